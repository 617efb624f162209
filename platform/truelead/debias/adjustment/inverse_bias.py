"""Inverse-bias weighting: the observed questions, weighted against what the question foretells."""

from __future__ import annotations

from collections import defaultdict

from truelead.config import Scalar
from truelead.debias.adjustment.base import Adjustment, DrawnQuestion
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError


class InverseBias(Adjustment):
    """Weights w = 1 / (K(q) P(a given q)), clipped, scaled to mean 1; K(q) answers of the question.

    The bias model is the question alone: P(a given q) is counted from the observed questions of
    the train groups. Under the weights the answers of each question are even, I(Q;A) = 0.

    Assumes that the shortcut from Q to A is all there is. Fails where severity foretells the
    answer beyond the question: selection by s stays in the weighted data, so this is a baseline
    and no backdoor adjustment. Apart from confounding it also throws the answers' true prior away.

    Source: reweighting by a bias model, Clark et al., EMNLP 2019, section 3.2 ("Reweight"), who
    weight by 1 - P; the inverse is the weight that evens the answers out.

    Options:
        clip: weights are kept within 1 / clip .. clip before scaling, above 1.
        estimation_epochs: how many epochs of observed questions are counted.
    """

    name = "inverse-bias"
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
        counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for group in setup.groups("train"):
            for epoch in range(epochs):
                for question in setup.observed(group, epoch, questions_per_ecg):
                    counts[question.question_id][question.answer_text] += 1
        if not counts:
            raise ConfigError(
                f"{self.name}: expected observed questions about the train ECGs, found none"
            )
        total = mass = 0.0
        clipped: dict[tuple[str, str], float] = {}
        for question_id, answers in counts.items():
            asked = sum(answers.values())
            for answer, count in answers.items():
                weight = asked / (len(answers) * count)
                clipped[question_id, answer] = min(max(weight, 1 / self._clip), self._clip)
                total += count
                mass += count * clipped[question_id, answer]
        self._mean = mass / total
        self._weight = {key: weight / self._mean for key, weight in clipped.items()}
        self._violations = tuple(
            f"{question_id} is observed with one answer only"
            for question_id, answers in sorted(counts.items())
            if len(answers) < 2
        )

    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """See `Adjustment.draw`; an answer not seen while counting gets the largest weight."""
        stratum = self.setup.stratum(group)
        return tuple(
            DrawnQuestion(
                question,
                self._weight.get(
                    (question.question_id, question.answer_text), self._clip / self._mean
                ),
                stratum,
            )
            for question in self.setup.observed(group, epoch, self.questions_per_ecg)
        )

    def violations(self) -> tuple[str, ...]:
        """See `Adjustment.violations`."""
        return self._violations
