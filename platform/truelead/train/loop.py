"""The training loop, the same for every stage: batches in, scheduled updates out.

The loss of a step is the weighted sum over the rows of all workers divided by the weighted count
of their answer tokens, so that neither the number of workers nor the way the rows fall on them
changes it (a mean of the workers' means would).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from truelead.errors import TrueLeadError
from truelead.train.checkpoint import Checkpoints
from truelead.train.engine import Engine
from truelead.train.metrics import MetricsWriter, peak_memory_bytes

MAXIMUM_SKIPPED_STEPS = 10
"""Updates that may be left out for a loss or gradient that is not finite, in one run."""


class DivergedError(TrueLeadError):
    """Too many steps had a loss or a gradient that is not finite."""


@dataclass(frozen=True)
class LossTerms:
    """What one worker adds to the loss of a step.

    Attributes:
        loss: scalar, the weighted sum of the rows' losses.
        weight: scalar, the weighted count that the global sum is divided by.
        counts: work done, such as "answer_tokens", "questions", "ecgs"; logged as rates. Every
            worker gives the same names in the same order.
    """

    loss: Tensor
    weight: Tensor
    counts: Mapping[str, float]


@dataclass(frozen=True)
class FeedBatch:
    """One worker's share of a step.

    Attributes:
        content: what `Task.loss` takes.
        position: JSON values from which `Task.batches` goes on after this step.
    """

    content: Any
    position: dict[str, int]


class Task(Protocol):
    """What a stage trains: its batches and its loss."""

    def batches(self, step: int, position: dict[str, int] | None) -> Iterator[FeedBatch]:
        """Batches from `step` on; a pure function of the two arguments and the stage's seed."""

    def loss(self, engine: Engine, content: Any) -> LossTerms:
        """Run the model on one batch."""


@dataclass(frozen=True)
class LoopConfig:
    """Length and rhythm of the loop; all in steps.

    Attributes:
        until: where this run of the loop ends, by default at `steps`; the learning rate follows
            the schedule of all steps.
    """

    steps: int
    checkpoint_every: int
    log_every: int
    seed: int
    until: int | None = None

    @property
    def end(self) -> int:
        """The last step of this run."""
        return self.steps if self.until is None else min(self.until, self.steps)


@dataclass
class _Window:
    """Sums since the last logged step."""

    start: float = field(default_factory=time.monotonic)
    steps: int = 0
    counts: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Runs a `Task` on this worker, in step with the others."""

    def __init__(
        self,
        engine: Engine,
        task: Task,
        config: LoopConfig,
        *,
        checkpoints: Checkpoints | None = None,
        writer_for: Any = None,
    ) -> None:
        """Args:
        checkpoints: where to resume from and save to; None trains without.
        writer_for: called with the first step, gives a `MetricsWriter`; rank 0 only.
        """
        self.engine = engine
        self.task = task
        self.config = config
        self.checkpoints = checkpoints
        self.world_size = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.step = 0
        self.skipped = 0
        self.position: dict[str, int] | None = None
        self._restore()
        self._writer: MetricsWriter | None = writer_for(self.step) if writer_for else None
        self._window = _Window()

    def fit(self) -> dict[str, float]:
        """Train from the restored step to the last.

        Returns:
            the last step's metrics.

        Raises:
            DivergedError: more than `MAXIMUM_SKIPPED_STEPS` updates were left out.
        """
        metrics: dict[str, float] = {}
        try:
            for batch in self.batch_generator():
                metrics = self.train_step(batch)
                if self.step % self.config.checkpoint_every == 0 or self._is_last():
                    self._save(metrics)
        finally:
            if self._writer is not None:
                self._writer.close()
        return metrics

    def batch_generator(self) -> Iterator[FeedBatch]:
        """The batches that remain; each step's random numbers depend on the step alone."""
        if self.step >= self.config.end:
            return
        batches = self.task.batches(self.step, self.position)
        while self.step < self.config.end:
            batch = next(batches)
            torch.manual_seed((self.config.seed * 1_000_003 + self.step) * 1009 + self.rank)
            yield batch

    def train_step(self, batch: FeedBatch) -> dict[str, float]:
        """One update, or one skipped step; counts, logs, and moves the position on."""
        loss, counts, applied = self.forward_backward_step(batch)
        applied = applied and self.engine.update(self.step)
        if not applied:
            self._count_skip()
        self._window.steps += 1
        for name, value in counts.items():
            self._window.counts[name] = self._window.counts.get(name, 0.0) + value
        self.step += 1
        self.position = batch.position
        metrics = {
            "loss": loss,
            "learning_rate": self.engine.learning_rate,
            "gradient_norm": self.engine.gradient_norm if applied else math.nan,
            "skipped_steps": float(self.skipped),
        }
        if self.step % self.config.log_every == 0 or self._is_last():
            metrics |= self._log(metrics)
        return metrics

    def forward_backward_step(self, batch: FeedBatch) -> tuple[float, dict[str, float], bool]:
        """Loss of all workers, their work counts, and whether the gradients may be applied.

        The gradients are left unmade where the loss of any worker is not finite; all workers
        see the same sums, so all leave the step out together.
        """
        terms = self.task.loss(self.engine, batch.content)
        sums = torch.tensor(
            [0.0, 0.0, *terms.counts.values()], dtype=torch.float64, device=terms.loss.device
        )
        sums[0], sums[1] = terms.loss.detach(), terms.weight.detach()
        if dist.is_initialized():
            dist.all_reduce(sums)
        loss_sum, weight_sum, *totals = sums.tolist()
        counts = dict(zip(terms.counts, totals, strict=True))
        loss = loss_sum / weight_sum if weight_sum > 0 else math.nan
        if not math.isfinite(loss):
            return loss, counts, False
        # DeepSpeed divides the summed gradients by the number of workers.
        self.engine.backward(terms.loss * (self.world_size / weight_sum))
        return loss, counts, True

    def _count_skip(self) -> None:
        self.skipped += 1
        if self.skipped > MAXIMUM_SKIPPED_STEPS:
            raise DivergedError(
                f"step {self.step}: loss or gradient not finite for the {self.skipped}th time, "
                f"expected at most {MAXIMUM_SKIPPED_STEPS}: lower the learning rate or "
                "train.gradient_clipping"
            )

    def _is_last(self) -> bool:
        return self.step >= self.config.end

    def _log(self, metrics: Mapping[str, float]) -> dict[str, float]:
        seconds = max(1e-9, time.monotonic() - self._window.start)
        more = {f"{name}_per_second": n / seconds for name, n in self._window.counts.items()}
        more["step_seconds"] = seconds / self._window.steps
        more["peak_memory_bytes"] = float(peak_memory_bytes())
        if self._writer is not None:
            self._writer.log(self.step, {**metrics, **more})
        self._window = _Window()
        return more

    def _save(self, metrics: Mapping[str, float]) -> None:
        if self.checkpoints is None:
            return
        state = {"step": self.step, "skipped": self.skipped, "position": self.position}
        self.checkpoints.save(self.engine, state, metrics)

    def _restore(self) -> None:
        state = self.checkpoints.restore(self.engine) if self.checkpoints else None
        if state is not None:
            self.step = int(state["step"])
            self.skipped = int(state["skipped"])
            self.position = state["position"]
