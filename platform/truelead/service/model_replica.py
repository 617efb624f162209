"""One copy of the model: loads it, and answers the questions that wait in one batch after another.

The ingress sends some questions with one call. Those of several calls are answered together, within
bounds of size and tokens, so the cost of the way is shared as well as that of the model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.errors import ServiceError, TrueLeadError
from truelead.service.batch_answering import CACHE_BYTES, BatchAnswerer, Engine, Outcome
from truelead.service.batcher import BatchBounds, Batcher
from truelead.service.exchange import EcgKey, Embedded, EmbeddingKind, Inquiry, Reply
from truelead.service.unexpected import as_service_error
from truelead.service.wire import EcgAttribution, ModelDescription
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
        batch_size, batch_tokens: of one batch, at most.
        cache_bytes: of the ECGs' features that are kept.
        prefix_cache_bytes: of the read prefixes that are kept.
        with_reliance: whether answers come with their reliance, where it is calibrated.
        engine: what runs the language model.

    Raises:
        ModelError: the folder holds no whole model.
    """

    def __init__(
        self,
        folder: str,
        *,
        threads: int = 1,
        batch_size: int = 16,
        batch_tokens: int = 16_384,
        cache_bytes: int = CACHE_BYTES,
        prefix_cache_bytes: int = CACHE_BYTES,
        with_reliance: bool = True,
        engine: Engine = "transformers",
    ) -> None:
        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else None
        self.batch_answerer = BatchAnswerer(
            Path(folder),
            device,
            cache_bytes=cache_bytes,
            prefix_cache_bytes=prefix_cache_bytes,
            with_reliance=with_reliance,
            engine=engine,
        )
        self.batch_answerer.warm_up()
        self.batch_sizes: list[int] = []
        self._failures = 0
        # What waits has waited for others in the ingress already.
        bounds = BatchBounds(size=batch_size, tokens=batch_tokens, wait_seconds=0.0)
        self._batcher = Batcher(
            self._answer_batch, bounds, lambda one: self.batch_answerer.tokens_of(one.inquiry)
        )

    def answer_all(self, waiting: Sequence[_Waiting]) -> list[Outcome]:
        """An answer, or the reason why there is none, for each question of a batch."""
        begun = time.monotonic()
        self.batch_sizes = [*self.batch_sizes[-99:], len(waiting)]
        self._failures += 1
        try:
            found = self.batch_answerer.answer_all([one.inquiry for one in waiting])
        except Exception as error:  # noqa: BLE001  # Serve would log its text
            return [as_service_error(error)] * len(waiting)
        self._failures = 0
        worked = time.monotonic() - begun
        return [
            replace(
                reply,
                work=replace(
                    reply.work,
                    batch_size=len(waiting),
                    waited_seconds=begun - one.since,
                    worked_seconds=worked,
                ),
            )
            if isinstance(reply, Reply)
            else reply
            for one, reply in zip(waiting, found, strict=True)
        ]

    async def _answer_batch(self, waiting: Sequence[_Waiting]) -> list[Outcome]:
        # In a thread: the replica goes on collecting questions and answering health checks.
        return await asyncio.to_thread(self.answer_all, waiting)

    async def answer_many(
        self,
        inquiries: Sequence[Inquiry],
        keys: Sequence[EcgKey] = (),
        features_NPD: NDArray[np.float32] | None = None,
    ) -> list[Outcome]:
        """The answers to questions that came with one call, found with those of other calls.

        Args:
            inquiries: the questions.
            keys, features_NPD: ECGs among theirs that a separate encoder has encoded.

        Errors of the user are returned, not raised: raised ones would carry a traceback.
        """
        if features_NPD is not None:
            await asyncio.to_thread(self.batch_answerer.learn, keys, features_NPD)
        now = time.monotonic()
        return list(await asyncio.gather(*(self._batcher(_Waiting(one, now)) for one in inquiries)))

    async def attribute(
        self, inquiry: Inquiry, reply: Reply
    ) -> tuple[EcgAttribution, ...] | TrueLeadError:
        """Where an answer comes from: many readings, between the batches of other questions."""
        try:
            return await asyncio.to_thread(self.batch_answerer.attribute, inquiry, reply)
        except TrueLeadError as error:
            return error
        except Exception as error:  # noqa: BLE001  # likewise
            return as_service_error(error)

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
