"""What all routes share: the backend, the metrics, the audit trail, and the time for an answer."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from truelead import __version__
from truelead.errors import ServiceError
from truelead.service import limits
from truelead.service.audit import AuditTrail
from truelead.service.chosen_model import chosen_model
from truelead.service.ecg_input import notes_on
from truelead.service.exchange import Embedded, EmbeddingKind, Inquiry, NamedEcg, Reply
from truelead.service.known_ecgs import KnownEcg, KnownEcgs
from truelead.service.metrics import ServiceMetrics
from truelead.service.traces import span
from truelead.service.wire import AskRequest, AskResponse, ModelDescription
from truelead.types import Ecg

DEADLINE_HEADER = "TrueLead-Deadline-Seconds"
_SECONDS = re.compile(r"\d{1,5}(\.\d{1,6})?", re.ASCII)
_Found = TypeVar("_Found")


class Backend(Protocol):
    """What answers: a model, wherever it runs."""

    async def answer(self, inquiry: Inquiry) -> Reply:
        """The answer to one question.

        Raises:
            TrueLeadError: the question cannot be answered.
            ServiceError: overloaded (429), not ready (503) or not in time (504).
        """

    async def embed(self, ecgs: tuple[Ecg, ...], kind: EmbeddingKind, model: str = "") -> Embedded:
        """A vector of each ECG, by the adapter of that name or by the base model.

        Raises:
            ServiceError: as `answer`.
        """

    async def models(self) -> tuple[ModelDescription, ...]:
        """The base model and all adapters, as they were a short while ago.

        Raises:
            ServiceError: as `describe`.
        """

    async def describe(self) -> ModelDescription:
        """The base model, asked now.

        Raises:
            ServiceError: it is not ready (503).
        """

    async def described(self) -> ModelDescription:
        """The base model as it was a short while ago.

        Raises:
            ServiceError: as `describe`.
        """


@dataclass(frozen=True)
class Answered:
    """A question's answer, ready to be sent, and what only some routes tell of it."""

    response: AskResponse
    reply: Reply


@dataclass(frozen=True)
class Context:
    """One application.

    Attributes:
        backend: answers.
        metrics: take the counts.
        audit: keeps the digests of answers; None where nobody asked for it.
        known: the ECGs that were sent last.
    """

    backend: Backend
    metrics: ServiceMetrics
    audit: AuditTrail | None = None
    known: KnownEcgs = field(default_factory=KnownEcgs)

    async def answer(self, request: Request, asked: AskRequest) -> Answered:
        """Decode, ask, measure, record.

        Raises:
            RecordError: an ECG cannot be used.
            ServiceError: no answer now, or not before the caller's deadline (504); no such model
                (404).
        """
        model = await self.in_time(request, lambda: self.chosen(asked.model))
        with span(request.state, "read ECGs"):
            ecgs = await run_in_threadpool(self._decode, asked)
        inquiry = Inquiry(
            tuple(NamedEcg(one.key, one.ecg) for one in ecgs),
            asked.question.strip(),
            asked.options or (),
            asked.attribution,
            model,
        )
        with span(request.state, "model"):
            reply = await self.in_time(request, lambda: self.backend.answer(inquiry))
        self.metrics.answered(reply)
        response = AskResponse(
            answer=reply.text,
            answers=reply.answers,
            option_probabilities=reply.option_probabilities,
            reliance=reply.reliance,
            attribution=reply.attribution,
            notes=notes_on(tuple(one.ecg for one in ecgs), reply.model),
            ecgs=tuple(one.summary for one in ecgs),
            model=reply.model.name,
            model_digest=reply.model.digest,
            data_digest=reply.model.data_digest,
            truelead_version=__version__,
            request_id=request.state.request_id,
        )
        if self.audit is not None:
            await run_in_threadpool(self.audit.record, request.scope["path"], asked, response)
        return Answered(response, reply)

    async def chosen(self, name: str | None) -> str:
        """The name of the adapter that is asked for; empty for the base model.

        Raises:
            ServiceError: 404, there is no such model.
        """
        if name is None:
            return ""
        known = await self.backend.models()
        found = chosen_model(name, known)
        return "" if found is known[0] else found.name

    def _decode(self, asked: AskRequest) -> list[KnownEcg]:
        read = self.known.read
        return [read(ecg, where=f"ecgs.{at}") for at, ecg in enumerate(asked.ecgs)]

    async def in_time(self, request: Request, work: Callable[[], Awaitable[_Found]]) -> _Found:
        """What the work gives, before the deadline that the caller may have set.

        Raises:
            ServiceError: 504 after it, 422 for a deadline that is no number.
        """
        seconds = _deadline(request)
        left = None if seconds is None else request.state.started + seconds - time.monotonic()
        try:
            async with asyncio.timeout(left):
                return await work()
        except TimeoutError:
            raise ServiceError(
                f"deadline: expected an answer within {seconds:g} s, found none", status=504
            ) from None


def _deadline(request: Request) -> float | None:
    text = request.headers.get(DEADLINE_HEADER)
    if text is None:
        return None
    seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
    if not 0 < seconds <= limits.MAXIMUM_DEADLINE_SECONDS:
        raise ServiceError(
            f"{DEADLINE_HEADER}: expected seconds above 0 and at most "
            f"{limits.MAXIMUM_DEADLINE_SECONDS:g}"
        )
    return seconds
