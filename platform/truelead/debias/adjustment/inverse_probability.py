"""Inverse probability weighting: the observed questions, weighted as if severity had no say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from truelead.config import Scalar
from truelead.debias.adjustment.classifier_weights import ClassifierWeights
from truelead.debias.adjustment.observed_weights import Key, ObservedWeights
from truelead.debias.diagnostics import never_asked
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError
from truelead.types import Question

COUNTS, CLASSIFIER = "counts", "classifier"


class InverseProbabilityWeighting(ObservedWeights):
    """Stabilised weights w = P(q) / P(q given s), clipped, scaled to mean 1.

    With `propensity: counts` both probabilities are counted from the observed questions of the
    train groups over `estimation_epochs` epochs. With `propensity: classifier` the same weight is
    w = P(s) / P(s given q) (Bayes), where q is the question's wording and P(s given q) comes from
    a cross-fitted classifier of its words (see `truelead.debias.propensity`): for sets with too
    many different questions to count, or with none that repeat.

    `balance_answers` further multiplies by what makes the answers of each question even under
    those weights. The unclipped weights have mean 1 wherever every question is observed in every
    stratum; a question never observed in a stratum is a positivity violation, which no weight
    mends. The classifier never says never: there it is a violation where the questions would have
    to weigh more than `clip` in a stratum that they are not in.

    Source: Robins J., Hernan M., Brumback B., Epidemiology 2000 (stabilised weights).

    Options: those of `ObservedWeights`, and
        balance_answers: even out the answers within each question.
        propensity: "counts" or "classifier".
        folds: how many parts the patients are cut into for cross-fitting the classifier.
    """

    name = "ipw"
    OPTIONS: dict[str, Scalar] = {  # noqa: RUF012
        **ObservedWeights.OPTIONS,
        "balance_answers": False,
        "propensity": COUNTS,
        "folds": 5,
    }

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        super().__init__(setup, questions_per_ecg, seed, options)
        propensity, folds = self.options["propensity"], int(self.options["folds"] or 0)
        if propensity not in (COUNTS, CLASSIFIER) or folds < 2:
            raise ConfigError(
                f"options of {self.name}: expected propensity {COUNTS} or {CLASSIFIER} and folds "
                f"of at least 2, found {propensity!r} and {folds}"
            )
        self._classifier = (
            ClassifierWeights(
                setup,
                questions_per_ecg,
                epochs=int(self.options["estimation_epochs"] or 0),
                folds=folds,
                clip=self._clip,
                balance_answers=bool(self.options["balance_answers"]),
            )
            if propensity == CLASSIFIER
            else None
        )

    def key(self, question: Question, stratum: int) -> Key:
        """Question, answer and severity."""
        return (question.question_id, question.answer_text, stratum)

    def unclipped(self, counts: Mapping[Key, int]) -> dict[Key, float]:
        """See `ObservedWeights.unclipped`."""
        weights = _stabilised(counts)
        return _answer_balanced(counts, weights) if self.options["balance_answers"] else weights

    def missing(self, counts: Mapping[Key, int]) -> tuple[str, ...]:
        """Questions that are never observed in a stratum."""
        seen = {(question, stratum) for question, _, stratum in counts}
        return never_asked(seen, self.setup.severity.strata, "observed")

    def weight(self, question: Question, stratum: int) -> float:
        """See `ObservedWeights.weight`; the classifier weighs a question in new words too."""
        if self._classifier is None:
            return super().weight(question, stratum)
        return self._classifier.weight(question, stratum)

    def violations(self) -> tuple[str, ...]:
        """See `Adjustment.violations`."""
        return super().violations() if self._classifier is None else self._classifier.violations

    def own_diagnostics(self) -> dict[str, float]:
        """Share of the observed questions whose weight was clipped, and what a classifier tells."""
        if self._classifier is None:
            return super().own_diagnostics()
        return dict(self._classifier.diagnostics)


def _stabilised(counts: Mapping[Key, int]) -> dict[Key, float]:
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


def _answer_balanced(counts: Mapping[Key, int], weights: dict[Key, float]) -> dict[Key, float]:
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
