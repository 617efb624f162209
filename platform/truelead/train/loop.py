"""The training loop, the same for every stage: batches in, scheduled updates out.

The loss of a step is the weighted sum over the rows of all workers divided by the weighted count
of their answer tokens, so that neither the number of workers nor the way the rows fall on them
changes it (a mean of the workers' means would).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from truelead.errors import TrueLeadError
from truelead.train.checkpoint import Checkpoints
from truelead.train.engine import Engine
from truelead.train.metrics import MetricsWriter
from truelead.train.step import FeedBatch, LossTerms, StepDone, Task
from truelead.train.throughput import Ratio, Throughput
from truelead.train.watchdog import Watchdog

_log = logging.getLogger(__name__)

MAXIMUM_SKIPPED_STEPS = 10
"""Updates that may be left out for a loss or gradient that is not finite, in one run."""


class DivergedError(TrueLeadError):
    """Too many steps had a loss or a gradient that is not finite."""


@dataclass(frozen=True)
class LoopConfig:
    """Length and rhythm of the loop; all in steps.

    Attributes:
        probe_every: a multiple of `log_every`; 0: `Task.probe` is not asked.
        peak_flops: of one worker's device, for the MFU; None: there is none.
        until: where this run of the loop ends, by default at `steps`; the learning rate follows
            the schedule of all steps.
    """

    steps: int
    checkpoint_every: int
    log_every: int
    seed: int
    probe_every: int = 0
    peak_flops: float | None = None
    until: int | None = None

    @property
    def end(self) -> int:
        """The last step of this run."""
        return self.steps if self.until is None else min(self.until, self.steps)


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
        watchdog: Watchdog | None = None,
    ) -> None:
        """Args:
        checkpoints: where to resume from and save to; None trains without.
        writer_for: called with the first step, gives a `MetricsWriter`; rank 0 only.
        watchdog: is told of every step; None: nothing watches.
        """
        self.engine = engine
        self.task = task
        self.config = config
        self.checkpoints = checkpoints
        self.watchdog = watchdog or Watchdog(None)
        self.world_size = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.step = 0
        self.skipped = 0
        self.position: dict[str, int] | None = None
        self._restore()
        self._writer: MetricsWriter | None = writer_for(self.step) if writer_for else None
        peak = config.peak_flops
        self.throughput = Throughput(None if peak is None else peak * self.world_size)

    def fit(self) -> dict[str, float]:
        """Train from the restored step to the last.

        Returns:
            the last step's metrics.

        Raises:
            DivergedError: more than `MAXIMUM_SKIPPED_STEPS` updates were left out.
            CheckpointError: too many saves in a row failed.
        """
        metrics: dict[str, float] = {}
        try:
            for batch in self.batch_generator():
                metrics = self.train_step(batch)
                self.watchdog.beat(self.step)
                if self.checkpoints is not None:
                    self.checkpoints.check()
                if self.step % self.config.checkpoint_every == 0 or self._is_last():
                    self._save()
            if self.checkpoints is not None:
                self.checkpoints.settle()
        finally:
            self.watchdog.stop()
            if self.checkpoints is not None:
                self.checkpoints.close()
            if self._writer is not None:
                with suppress(OSError):
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
        done = self.forward_backward_step(batch)
        applied = done.applicable and self.engine.update(self.step)
        if not applied:
            self._count_skip()
        self.step += 1
        self.position = batch.position
        metrics = {
            "loss": done.loss,
            "learning_rate": self.engine.learning_rate,
            "gradient_norm": self.engine.gradient_norm if applied else math.nan,
            "skipped_steps": float(self.skipped),
        }
        self.throughput.add(done.counts, done.ratios)
        if self.step % self.config.log_every == 0 or self._is_last():
            metrics |= self._log(metrics, batch)
        return metrics

    def forward_backward_step(self, batch: FeedBatch) -> StepDone:
        """The step's loss and gradients.

        The gradients are left unmade, or made NaN, where the loss of any worker is not finite; all
        workers see the same sums, so all leave the step out together.
        """
        if batch.parts:
            return self._in_parts(batch)
        self.engine.expect(last=True)
        terms = self.task.loss(self.engine, batch.content)
        done = self._over_workers(terms, terms.loss.detach(), terms.weight.detach())
        if done.applicable:
            # DeepSpeed divides the summed gradients by the number of workers.
            self.engine.backward(terms.loss * (self.world_size / done.weight))
        return done

    def _in_parts(self, batch: FeedBatch) -> StepDone:
        """As `forward_backward_step`, a micro-batch at a time.

        Every worker runs as many parts as the one with the most, since ZeRO's workers meet in each
        pass. The step's weight is known before its first pass, so that nothing is divided after.
        """
        passes, weight = self._agreed(len(batch.parts), batch.weight)
        if not weight > 0:
            return StepDone(math.nan, weight, {}, {}, applicable=False)
        total = LossTerms(torch.zeros(()), torch.tensor(batch.weight), {}, {})
        for number in range(passes):
            last = number == passes - 1
            self.engine.expect(last=last)
            if number < len(batch.parts):
                terms = self.task.loss(self.engine, batch.parts[number])
                total = total.plus(terms)
            else:
                terms = self.task.loss(self.engine, batch.filler)
            scale = self.world_size / weight
            if last:
                done = self._over_workers(total, total.loss, total.weight)
                # The passes before have left gradients: NaN makes the update leave them out.
                scale = scale if done.applicable else math.nan
            self.engine.backward(terms.loss * scale)
        return replace(done, applicable=True)

    def _agreed(self, parts: int, weight: float) -> tuple[int, float]:
        """The most parts of a worker, and the weights of all workers together."""
        if not dist.is_initialized():
            return parts, weight
        mine = torch.tensor([parts, weight], dtype=torch.float64, device=self.engine.device)
        everyone = [torch.empty_like(mine) for _ in range(self.world_size)]
        dist.all_gather(everyone, mine)
        found = torch.stack(everyone)
        return int(found[:, 0].max()), float(found[:, 1].sum())

    def _over_workers(self, terms: LossTerms, loss: Tensor, weight: Tensor) -> StepDone:
        """What all workers did, summed; NaN and infinity come through."""
        names = list(terms.ratios)
        told = [value for name in names for value in terms.ratios[name]]
        sums = torch.tensor(
            [0.0, 0.0, *terms.counts.values(), *told],
            dtype=torch.float64,
            device=self.engine.device,
        )
        sums[0], sums[1] = loss, weight
        if dist.is_initialized():
            dist.all_reduce(sums)
        loss_sum, weight_sum, *totals = sums.tolist()
        counts = dict(zip(terms.counts, totals, strict=False))
        pairs = iter(totals[len(counts) :])
        ratios = {name: Ratio(next(pairs), next(pairs)) for name in names}
        mean = loss_sum / weight_sum if weight_sum > 0 else math.nan
        return StepDone(mean, weight_sum, counts, ratios, applicable=math.isfinite(mean))

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

    def _log(self, metrics: Mapping[str, float], batch: FeedBatch) -> dict[str, float]:
        more = self.throughput.since_last_log()
        if self.config.probe_every and self.step % self.config.probe_every == 0:
            more |= self._probed(batch)
        if self._writer is not None:
            try:
                self._writer.log(self.step, {**metrics, **more})
            except OSError as error:  # a full disk costs the log, not the training
                _log.warning("metrics of step %d not written: %s", self.step, error)
        return more

    def _probed(self, batch: FeedBatch) -> dict[str, float]:
        told = self.task.probe(self.engine, batch.content)
        found = LossTerms(torch.zeros(()), torch.ones(()), {}, told)
        done = self._over_workers(found, found.loss, found.weight)
        return {n: ratio.total / ratio.of for n, ratio in done.ratios.items() if ratio.of}

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        state = {"step": self.step, "skipped": self.skipped, "position": self.position}
        self.checkpoints.save(self.engine, state)

    def _restore(self) -> None:
        state = self.checkpoints.restore(self.engine) if self.checkpoints else None
        if state is not None:
            self.step = int(state["step"])
            self.skipped = int(state["skipped"])
            self.position = state["position"]
