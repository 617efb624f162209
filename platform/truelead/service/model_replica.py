"""One copy of the model: loads it, and answers the questions that arrive together in one batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from ray import serve

from truelead.errors import ServiceError, TrueLeadError
from truelead.service.batch_answering import CACHE_BYTES, BatchAnswerer
from truelead.service.exchange import Embedded, EmbeddingKind, Inquiry, Reply
from truelead.service.unexpected import as_service_error
from truelead.service.wire import ModelDescription
from truelead.types import Ecg

UNHEALTHY_AFTER = 3
"""Batches in a row that ended in an unexpected error."""


@dataclass(frozen=True)
class _Waiting:
    """A question and when (monotonic seconds of this replica) it arrived."""

    inquiry: Inquiry
    since: float


class ModelReplica:
    """A model in memory. The maths is in `BatchAnswerer`; the rest is the batching around it.

    Args:
        folder: of the model.
        threads: that one batch may use.
        batch_size: questions at most in one batch.
        batch_wait_seconds: how long a question waits for others.
        cache_bytes: of the ECGs' features that are kept.

    Raises:
        ModelError: the folder holds no whole model.
    """

    def __init__(
        self,
        folder: str,
        *,
        threads: int = 1,
        batch_size: int = 16,
        batch_wait_seconds: float = 0.005,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else None
        self.batch_answerer = BatchAnswerer(Path(folder), device, cache_bytes=cache_bytes)
        self.batch_answerer.warm_up()
        self.batch_sizes: list[int] = []
        self._failures = 0
        self._answer_batch.set_max_batch_size(batch_size)
        self._answer_batch.set_batch_wait_timeout_s(batch_wait_seconds)

    def answer_all(self, waiting: Sequence[_Waiting]) -> list[Reply | TrueLeadError]:
        """An answer, or the reason why there is none, for each question of a batch."""
        begun = time.monotonic()
        self.batch_sizes = [*self.batch_sizes[-99:], len(waiting)]
        self._failures += 1
        try:
            found = self.batch_answerer.answer_all([one.inquiry for one in waiting])
        except Exception as error:  # noqa: BLE001  # Serve would log its text
            return [as_service_error(error)] * len(waiting)
        self._failures = 0
        return [
            replace(
                reply,
                work=replace(reply.work, batch_size=len(waiting), waited_seconds=begun - one.since),
            )
            if isinstance(reply, Reply)
            else reply
            for one, reply in zip(waiting, found, strict=True)
        ]

    @serve.batch
    async def _answer_batch(self, waiting: list[_Waiting]) -> list[Reply | TrueLeadError]:
        # In a thread: the replica goes on collecting questions and answering health checks.
        return await asyncio.to_thread(self.answer_all, waiting)

    async def answer(self, inquiry: Inquiry) -> Reply | TrueLeadError:
        """The answer to one question, found together with those that came with it.

        Errors of the user are returned, not raised: raised ones would carry a traceback.
        """
        found: Reply | TrueLeadError = await self._answer_batch(_Waiting(inquiry, time.monotonic()))
        if inquiry.attribution and isinstance(found, Reply):
            # After the batch, so that the questions that came with it need not wait for it.
            try:
                shares = await asyncio.to_thread(self.batch_answerer.attribute, inquiry, found)
            except TrueLeadError as error:
                return error
            except Exception as error:  # noqa: BLE001  # likewise
                return as_service_error(error)
            return replace(found, attribution=shares)
        return found

    async def embed(self, ecgs: tuple[Ecg, ...], kind: EmbeddingKind) -> Embedded | TrueLeadError:
        """A vector of each ECG."""
        try:
            return await asyncio.to_thread(self.batch_answerer.embed, ecgs, kind)
        except TrueLeadError as error:
            return error
        except Exception as error:  # noqa: BLE001  # likewise
            return as_service_error(error)

    async def describe(self) -> ModelDescription:
        """The model."""
        return self.batch_answerer.description

    async def recent_batch_sizes(self) -> list[int]:
        """Sizes of the last 100 batches, oldest first."""
        return self.batch_sizes

    def check_health(self) -> None:
        """Called by Serve, which replaces the replica after failures.

        Raises:
            ServiceError: batch after batch ends in an unexpected error.
        """
        if self._failures > UNHEALTHY_AFTER:
            raise ServiceError("model: batches end in errors", status=503)
