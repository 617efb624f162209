"""One copy of the model: loads it, and answers the questions that wait in one batch after another.

The ingress sends some questions with one call. Those of several calls are answered together, within
bounds of size and tokens, so the cost of the way is shared as well as that of the model.

A replica can also hold adapters of its model. Each is a model of its own, with its own batches and
caches, that shares the base's memory; one batch of one of them computes at a time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.errors import ServiceError, TrueLeadError
from truelead.model.adapter_folder import read_adapter_manifest
from truelead.service.adapters import describe_adapter
from truelead.service.batch_answering import (
    CACHE_BYTES,
    BatchAnswerer,
    Engine,
    Outcome,
    load_calibration,
)
from truelead.service.batcher import BatchBounds, Batcher
from truelead.service.exchange import EcgKey, Embedded, EmbeddingKind, Inquiry, Reply
from truelead.service.unexpected import as_service_error
from truelead.service.wire import EcgAttribution, ModelDescription
from truelead.types import Ecg

UNHEALTHY_AFTER = 3
"""Batches in a row that ended in an unexpected error."""

REMEMBERED = 100
"""Batches and loaded adapters that can be asked for."""

REMEMBERED_WORDINGS = 10_000

_LOGGER = logging.getLogger("truelead.service")


@dataclass(frozen=True)
class _Waiting:
    """A question, when (monotonic seconds of this replica) it arrived, and what it costs."""

    inquiry: Inquiry
    since: float
    tokens: int


@dataclass(frozen=True, eq=False)
class HeldModel:
    """A model in memory, and what brings its questions into batches."""

    answerer: BatchAnswerer
    batcher: Batcher[_Waiting, Outcome]
    counted: dict[tuple[int, str, tuple[str, ...]], int] = field(default_factory=dict)

    async def tokens(self, inquiries: Sequence[Inquiry]) -> list[int]:
        """What the model reads for each question.

        A wording is counted in a thread, which may wait for a batch that is worked on; the event
        loop does not. What was counted is remembered.
        """
        keys = [(len(one.ecgs), one.question, one.options) for one in inquiries]
        found = {key: self.counted[key] for key in keys if key in self.counted}
        new = {key: one for key, one in zip(keys, inquiries, strict=True) if key not in found}
        if new:
            counts = await asyncio.to_thread(lambda: [*map(self.answerer.tokens_of, new.values())])
            counted = dict(zip(new, counts, strict=True))
            found |= counted
            if len(self.counted) + len(counted) > REMEMBERED_WORDINGS:
                self.counted.clear()
            self.counted.update(counted)
        return [found[key] for key in keys]


class ModelReplica:
    """A model in memory. The maths is in `BatchAnswerer`; the rest is the batching around it.

    Args:
        folder: of the model.
        threads: that one batch may use.
        batch_size, batch_tokens: of one batch, at most.
        cache_bytes: of the ECGs' features that are kept.
        prefix_cache_bytes: of the read prefixes that are kept. The model and each adapter in
            memory have equal shares of both.
        with_reliance: whether answers come with their reliance, where it is calibrated.
        engine: what runs the language model.
        adapters: their folders by name.
        adapters_in_memory: at most.

    Raises:
        ModelError: the folder holds no whole model; an adapter's is not one of this model.
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
        adapters: Mapping[str, str] | None = None,
        adapters_in_memory: int = 4,
    ) -> None:
        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else None
        self._adapters = {name: Path(folder) for name, folder in (adapters or {}).items()}
        models = 1 + min(adapters_in_memory, len(self._adapters))
        self._cache_bytes, self._prefix_cache_bytes = (
            cache_bytes // models,
            prefix_cache_bytes // models,
        )
        self._with_reliance = with_reliance
        self.batch_answerer = BatchAnswerer(
            Path(folder),
            device,
            cache_bytes=self._cache_bytes,
            prefix_cache_bytes=self._prefix_cache_bytes,
            with_reliance=with_reliance,
            engine=engine,
        )
        self.batch_answerer.warm_up()
        self._descriptions = (
            self.batch_answerer.description,
            *map(self._description, self._adapters),
        )
        self.batch_sizes: list[int] = []
        self.loads: list[str] = []
        self._failures = 0
        # Of the models' batches one runs, and what it waited for others is not its own work.
        self._turn = threading.Lock()
        # What waits has waited for others in the ingress already.
        self._bounds = BatchBounds(size=batch_size, tokens=batch_tokens, wait_seconds=0.0)
        self._base = self._held(self.batch_answerer)

    def answer_all(
        self, waiting: Sequence[_Waiting], answerer: BatchAnswerer | None = None
    ) -> list[Outcome]:
        """An answer, or the reason why there is none, for each question of a batch.

        Args:
            answerer: of the adapter that is asked; None: of the base model.
        """
        with self._turn:
            begun = time.monotonic()
            self.batch_sizes = [*self.batch_sizes[1 - REMEMBERED :], len(waiting)]
            try:
                answer = (answerer or self.batch_answerer).answer_all
                found = answer([one.inquiry for one in waiting])
            except Exception as error:  # noqa: BLE001  # Serve would log its text
                self._failures += 1
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

    def _held(self, answerer: BatchAnswerer) -> HeldModel:
        async def answer_batch(waiting: Sequence[_Waiting]) -> list[Outcome]:
            # In a thread: the replica goes on collecting questions and answering health checks.
            return await asyncio.to_thread(self.answer_all, waiting, answerer)

        return HeldModel(
            answerer,
            Batcher(answer_batch, self._bounds, lambda one: one.tokens),
        )

    def _description(self, name: str) -> ModelDescription:
        """What is said of an adapter before it is loaded."""
        folder, base = self._adapters[name], self.batch_answerer.description
        manifest = read_adapter_manifest(folder, base.digest)
        calibration = load_calibration(folder, manifest.model) if self._with_reliance else None
        return describe_adapter(name, manifest, base, calibration and calibration[1])

    async def load_adapter(self, name: str) -> HeldModel:
        """An adapter read from its folder, anew each time; Serve's multiplexing keeps some.

        Raises:
            ModelError: the folder holds no whole adapter of this model any more.
        """
        return await asyncio.to_thread(self._load, name)

    def _load(self, name: str) -> HeldModel:
        answerer = self.batch_answerer.adapted(
            name,
            self._adapters[name],
            cache_bytes=self._cache_bytes,
            prefix_cache_bytes=self._prefix_cache_bytes,
            with_reliance=self._with_reliance,
        )
        answerer.warm_up()
        self.loads = [*self.loads[1 - REMEMBERED :], name]
        return self._held(answerer)

    async def _model(self, name: str) -> HeldModel | ServiceError:
        """The adapter of that name, loaded if it must be; the base model of no name."""
        if not name:
            return self._base
        if name not in self._adapters:
            # The ingress knows it from a replica of another version.
            return ServiceError("model: expected a replica that has it, ask again", status=503)
        try:
            return await self.load_adapter(name)
        except TrueLeadError as error:
            _LOGGER.error("an adapter cannot be loaded: %s", error)
            return ServiceError("model: expected an adapter that can be loaded", status=503)
        except Exception as error:  # noqa: BLE001  # likewise
            return as_service_error(error)

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
        names = dict.fromkeys(one.model for one in inquiries)
        models = {name: await self._model(name) for name in names}

        async def answers(name: str) -> list[Outcome]:
            asked = [one for one in inquiries if one.model == name]
            model = models[name]
            if isinstance(model, ServiceError):
                return [model] * len(asked)
            costs = await model.tokens(asked)
            waiting = (_Waiting(one, now, cost) for one, cost in zip(asked, costs, strict=True))
            return list(await asyncio.gather(*map(model.batcher, waiting)))

        found = await asyncio.gather(*map(answers, names))
        by_name = {name: iter(some) for name, some in zip(names, found, strict=True)}
        return [next(by_name[one.model]) for one in inquiries]

    async def attribute(
        self, inquiry: Inquiry, reply: Reply
    ) -> tuple[EcgAttribution, ...] | TrueLeadError:
        """Where an answer comes from: many readings, between the batches of other questions."""
        model = await self._model(inquiry.model)
        if isinstance(model, ServiceError):
            return model
        try:
            return await asyncio.to_thread(model.answerer.attribute, inquiry, reply)
        except TrueLeadError as error:
            return error
        except Exception as error:  # noqa: BLE001  # likewise
            return as_service_error(error)

    async def embed(
        self, ecgs: tuple[Ecg, ...], kind: EmbeddingKind, name: str = ""
    ) -> Embedded | TrueLeadError:
        """A vector of each ECG, by the adapter of that name or by the base model."""
        model = await self._model(name)
        if isinstance(model, ServiceError):
            return model
        try:
            return await asyncio.to_thread(model.answerer.embed, ecgs, kind)
        except TrueLeadError as error:
            return error
        except Exception as error:  # noqa: BLE001  # likewise
            return as_service_error(error)

    async def describe(self) -> ModelDescription:
        """The base model."""
        return self.batch_answerer.description

    async def describe_all(self) -> tuple[ModelDescription, ...]:
        """The base model and all adapters, loaded or not."""
        return self._descriptions

    async def recent_loads(self) -> list[str]:
        """Names of the adapters that were loaded last, oldest first."""
        return self.loads

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
