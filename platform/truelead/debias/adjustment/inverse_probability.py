"""Inverse probability weighting: the observed questions, weighted as if severity had no say."""

from __future__ import annotations

from collections import defaultdict

from truelead.config import Scalar
from truelead.debias.adjustment.base import Adjustment, DrawnQuestion
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError
from truelead.types import Question

_Key = tuple[str, str, int]


class InverseProbabilityWeighting(Adjustment):
    """Stabilised weights w = P(q) / P(q given s), clipped, scaled to mean 1.

    Both probabilities are counted from the observed questions of the train groups over
    `estimation_epochs` epochs. `balance_answers` further multiplies by what makes the answers of
    each question even under those weights. The unclipped weights have mean 1 wherever every
    question is observed in every stratum; a question never observed in a stratum is a positivity
    violation, which no weight mends.

    Source: Robins J., Hernan M., Brumback B., Epidemiology 2000 (stabilised weights).

    Options:
        clip: weights are kept within 1 / clip .. clip before scaling, above 1.
        balance_answers: even out the answers within each question.
        estimation_epochs: how many epochs of observed questions are counted.
    """

    name = "ipw"
    OPTIONS: dict[str, Scalar] = {  # noqa: RUF012
        "clip": 10.0,
        "balance_answers": False,
        "estimation_epochs": 4,
    }

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        super().__init__(setup, questions_per_ecg, seed, options)
        self._clip = float(self.options["clip"] or 0)
        epochs = int(self.options["estimation_epochs"] or 0)
        if self._clip <= 1 or epochs < 1:
            raise ConfigError(
                "options of ipw: expected clip above 1 and estimation_epochs of at least 1"
            )
        counts = self._count(epochs)
        weights = _stabilised(counts)
        if self.options["balance_answers"]:
            weights = _answer_balanced(counts, weights)
        clipped = {key: self._clipped(weight) for key, weight in weights.items()}
        total = sum(counts.values())
        self._mean = sum(counts[key] * clipped[key] for key in counts) / total
        self._weight = {key: weight / self._mean for key, weight in clipped.items()}
        self._clipped_share = (
            sum(count for key, count in counts.items() if clipped[key] != weights[key]) / total
        )
        questions = sorted({question for question, _, _ in counts})
        seen = {(question, stratum) for question, _, stratum in counts}
        self._violations = tuple(
            f"{question} is never observed in stratum {name!r}"
            for question in questions
            for stratum, name in enumerate(setup.severity.strata)
            if (question, stratum) not in seen
        )

    def weight(self, question: Question, stratum: int) -> float:
        """The weight of an observed question; one not seen while counting gets the largest."""
        key = (question.question_id, question.answer_text, stratum)
        return self._weight.get(key, self._clip / self._mean)

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

    def _count(self, epochs: int) -> dict[_Key, int]:
        counts: dict[_Key, int] = defaultdict(int)
        for group in self.setup.groups("train"):
            stratum = self.setup.stratum(group)
            for epoch in range(epochs):
                for question in self.setup.observed(group, epoch, self.questions_per_ecg):
                    counts[question.question_id, question.answer_text, stratum] += 1
        if not counts:
            raise ConfigError("ipw: expected observed questions about the train ECGs, found none")
        return dict(counts)

    def _clipped(self, weight: float) -> float:
        return min(max(weight, 1.0 / self._clip), self._clip)


def _stabilised(counts: dict[_Key, int]) -> dict[_Key, float]:
    """P(q) / P(q given s) for every observed (question, answer, stratum)."""
    question_count: dict[str, int] = defaultdict(int)
    stratum_count: dict[int, int] = defaultdict(int)
    joint: dict[tuple[str, int], int] = defaultdict(int)
    for (question, _, stratum), count in counts.items():
        question_count[question] += count
        stratum_count[stratum] += count
        joint[question, stratum] += count
    total = sum(counts.values())
    return {
        key: (question_count[key[0]] / total) / (joint[key[0], key[2]] / stratum_count[key[2]])
        for key in counts
    }


def _answer_balanced(counts: dict[_Key, int], weights: dict[_Key, float]) -> dict[_Key, float]:
    """Scale within each question so that its observed answers weigh the same."""
    mass: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (question, answer, stratum), count in counts.items():
        mass[question][answer] += count * weights[question, answer, stratum]
    return {
        (question, answer, stratum): weight
        * sum(mass[question].values())
        / len(mass[question])
        / mass[question][answer]
        for (question, answer, stratum), weight in weights.items()
    }
