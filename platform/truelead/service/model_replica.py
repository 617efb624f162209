"""One copy of the model: loads it, and answers the questions that arrive together in one batch."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ray import serve

from truelead.data.durable import file_sha256
from truelead.errors import ModelError, ServiceError, TrueLeadError
from truelead.model.answering import Answer, Answerer, Ask
from truelead.service.exchange import Inquiry, Reply
from truelead.service.wire import ModelDescription
from truelead.types import LEADS, Ecg

UNHEALTHY_AFTER = 3
"""Batches in a row that ended in an unexpected error."""


class ModelReplica:
    """A model in memory. The maths is in `answer_all`; the rest is the batching around it.

    Args:
        folder: of the model.
        threads: that one batch may use.
        batch_size: questions at most in one batch.
        batch_wait_seconds: how long a question waits for others.

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
    ) -> None:
        torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else None
        self.answerer = Answerer.from_pretrained(folder, device)
        self.description = describe_model(Path(folder), self.answerer)
        self.batch_sizes: list[int] = []
        self._failures = 0
        # The first forward pass is slow; it is no caller's.
        extractor = self.answerer.processor.feature_extractor
        flat = Ecg(np.zeros((len(LEADS), extractor.samples), np.float32), extractor.sampling_rate)
        self.answer_all([Inquiry((flat,), "warm-up", ("yes", "no")), Inquiry((flat,), "warm-up")])
        self.batch_sizes.clear()
        self._answer_batch.set_max_batch_size(batch_size)
        self._answer_batch.set_batch_wait_timeout_s(batch_wait_seconds)

    def answer_all(self, inquiries: Sequence[Inquiry]) -> list[Reply | TrueLeadError]:
        """An answer, or the reason why there is none, for each question.

        One question that cannot be answered does not spoil the others of its batch.
        """
        self.batch_sizes = [*self.batch_sizes[-99:], len(inquiries)]
        self._failures += 1
        found: list[Reply | TrueLeadError] = []
        try:
            asks = [Ask(one.ecgs, one.question, one.options) for one in inquiries]
            found += [self._reply(answer) for answer in self.answerer.answer(asks)]
        except TrueLeadError as error:
            if len(inquiries) == 1:
                found = [error]
            else:
                for one in inquiries:
                    found += self.answer_all([one])
        self._failures = 0
        return found

    def _reply(self, answer: Answer) -> Reply | ServiceError:
        if not all(math.isfinite(value) for value in answer.option_probabilities.values()):
            return ServiceError("model: expected finite likelihoods, found others", status=500)
        return Reply(answer.text, answer.answers, answer.option_probabilities, self.description)

    @serve.batch
    async def _answer_batch(self, inquiries: list[Inquiry]) -> list[Reply | TrueLeadError]:
        # In a thread: the replica goes on collecting questions and answering health checks.
        return await asyncio.to_thread(self.answer_all, inquiries)

    async def answer(self, inquiry: Inquiry) -> Reply | TrueLeadError:
        """The answer to one question, found together with those that came with it.

        Errors of the user are returned, not raised: raised ones would carry a traceback.
        """
        found: Reply | TrueLeadError = await self._answer_batch(inquiry)
        return found

    async def describe(self) -> ModelDescription:
        """The model."""
        return self.description

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


def describe_model(folder: Path, answerer: Answerer) -> ModelDescription:
    """What the service says of its model."""
    extractor = answerer.processor.feature_extractor
    return ModelDescription(
        name=model_name(folder),
        digest=weights_sha256(folder),
        parameters=sum(parameter.numel() for parameter in answerer.model.parameters()),
        sampling_rate=extractor.sampling_rate,
        seconds=extractor.seconds,
    )


def model_name(folder: Path) -> str:
    """A run's "debiased/finetune"; of any other folder its own name. Never the whole path."""
    if folder.name in {"pretrain", "finetune"}:
        return f"{folder.parent.name}/{folder.name}"
    return folder.name


def weights_sha256(folder: Path) -> str:
    """SHA-256 of model.safetensors; of several shards, of their digests in the order of names.

    Raises:
        ModelError: there are no weights.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder}: expected model.safetensors, found none")
    digests = [file_sha256(file) for file in files]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
