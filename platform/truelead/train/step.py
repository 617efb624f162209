"""What a step of training is made of: a worker's share of it, its loss, and what all did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from truelead.train.engine import Engine
from truelead.train.throughput import Ratio


@dataclass(frozen=True)
class LossTerms:
    """What one worker adds to the loss of a step.

    Attributes:
        loss: scalar, the weighted sum of the rows' losses.
        weight: scalar, the weighted count that the global sum is divided by.
        counts: work done, such as "answer_tokens", "questions", "ecgs"; logged as rates. Every
            worker gives the same names in the same order.
        ratios: further means, logged over the steps since the last log; names as with `counts`.
    """

    loss: Tensor
    weight: Tensor
    counts: Mapping[str, float]
    ratios: Mapping[str, Ratio] = field(default_factory=dict)

    def plus(self, other: LossTerms) -> LossTerms:
        """Two parts of a step together, detached; the weight is that of self."""
        counts = {n: self.counts.get(n, 0.0) + v for n, v in other.counts.items()}
        ratios = {
            n: Ratio(*(a + b for a, b in zip(self.ratios.get(n, (0.0, 0.0)), v, strict=True)))
            for n, v in other.ratios.items()
        }
        return LossTerms(self.loss + other.loss.detach().cpu(), self.weight, counts, ratios)


@dataclass(frozen=True)
class StepDone:
    """What all workers did in one step.

    Attributes:
        loss: the step's loss.
        weight: what it was divided by.
        counts, ratios: of all workers.
        applicable: whether the update may be tried.
    """

    loss: float
    weight: float
    counts: Mapping[str, float]
    ratios: Mapping[str, Ratio]
    applicable: bool


@dataclass(frozen=True)
class FeedBatch:
    """One worker's share of a step.

    Attributes:
        content: what `Task.loss` takes.
        position: JSON values from which `Task.batches` goes on after this step.
        parts: the same in micro-batches, whose losses and weights add up to those of `content`;
            then these are run in its stead. Empty: the share is run whole.
        weight: weight of the parts together, known before any of them is run.
        filler: a part with loss 0, run where other workers have more parts.
    """

    content: Any
    position: dict[str, int]
    parts: tuple[Any, ...] = ()
    weight: float = 0.0
    filler: Any = None


class Task(Protocol):
    """What a stage trains: its batches and its loss."""

    def batches(self, step: int, position: dict[str, int] | None) -> Iterator[FeedBatch]:
        """Batches from `step` on; a pure function of the two arguments and the stage's seed."""

    def loss(self, engine: Engine, content: Any) -> LossTerms:
        """Run the model on one batch, or on one part of it."""

    def probe(self, engine: Engine, content: Any) -> Mapping[str, Ratio]:
        """Further means of the model as it stands; it learns nothing of it. Empty: none."""
