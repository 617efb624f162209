"""What weighting strategies share: the observed questions, each with a weight counted from them."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping

from truelead.config import Scalar
from truelead.debias.adjustment.base import Adjustment, DrawnQuestion
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError
from truelead.types import Question

Key = tuple[str, str, int]
"""Question_id, answer, stratum (-1 where strata are not told apart)."""


class ObservedWeights(Adjustment):
    """Counts the observed questions of the train groups, and weights them by those counts.

    Weights are clipped and scaled to mean 1 over what was counted. A question whose key was not
    seen while counting gets the largest weight.

    Options:
        clip: weights are kept within 1 / clip .. clip before scaling, above 1.
        estimation_epochs: how many epochs of observed questions are counted.
    """

    OPTIONS: dict[str, Scalar] = {"clip": 10.0, "estimation_epochs": 4}  # noqa: RUF012

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        super().__init__(setup, questions_per_ecg, seed, options)
        self._clip = float(self.options["clip"] or 0)
        epochs = int(self.options["estimation_epochs"] or 0)
        if self._clip <= 1 or epochs < 1:
            raise ConfigError(
                f"options of {self.name}: expected clip above 1 and estimation_epochs of at least 1"
            )
        counts = self._count(epochs)
        weights = self.unclipped(counts)
        clipped = {
            key: min(max(weight, 1.0 / self._clip), self._clip) for key, weight in weights.items()
        }
        total = sum(counts.values())
        self._mean = sum(counts[key] * clipped[key] for key in counts) / total
        self._weight = {key: weight / self._mean for key, weight in clipped.items()}
        self._clipped_share = (
            sum(count for key, count in counts.items() if clipped[key] != weights[key]) / total
        )
        self._violations = self.missing(counts)

    @abstractmethod
    def key(self, question: Question, stratum: int) -> Key:
        """What decides the weight of an observed question."""

    @abstractmethod
    def unclipped(self, counts: Mapping[Key, int]) -> dict[Key, float]:
        """The weight of every counted key."""

    @abstractmethod
    def missing(self, counts: Mapping[Key, int]) -> tuple[str, ...]:
        """Positivity violations in the counts, each named."""

    def weight(self, question: Question, stratum: int) -> float:
        """The weight of an observed question; one not seen while counting gets the largest."""
        return self._weight.get(self.key(question, stratum), self._clip / self._mean)

    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """See `Adjustment.draw`."""
        stratum = self.setup.stratum(group)
        return tuple(
            DrawnQuestion(question, self.weight(question, stratum), stratum)
            for question in self.setup.observed(group, epoch, self.questions_per_ecg)
        )

    def violations(self) -> tuple[str, ...]:
        """See `Adjustment.violations`."""
        return self._violations

    def own_diagnostics(self) -> dict[str, float]:
        """Share of the observed questions whose weight was clipped."""
        return {"clipped": self._clipped_share}

    def _count(self, epochs: int) -> dict[Key, int]:
        counts: dict[Key, int] = defaultdict(int)
        for group in self.setup.groups("train"):
            stratum = self.setup.stratum(group)
            for epoch in range(epochs):
                for question in self.setup.observed(group, epoch, self.questions_per_ecg):
                    counts[self.key(question, stratum)] += 1
        if not counts:
            raise ConfigError(
                f"{self.name}: expected observed questions about the train ECGs, found none"
            )
        return dict(counts)
