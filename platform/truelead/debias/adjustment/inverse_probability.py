"""Inverse probability weighting: the observed questions, weighted as if severity had no say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from truelead.config import Scalar
from truelead.debias.adjustment.observed_weights import Key, ObservedWeights
from truelead.types import Question


class InverseProbabilityWeighting(ObservedWeights):
    """Stabilised weights w = P(q) / P(q given s), clipped, scaled to mean 1.

    Both probabilities are counted from the observed questions of the train groups over
    `estimation_epochs` epochs. `balance_answers` further multiplies by what makes the answers of
    each question even under those weights. The unclipped weights have mean 1 wherever every
    question is observed in every stratum; a question never observed in a stratum is a positivity
    violation, which no weight mends.

    Source: Robins J., Hernan M., Brumback B., Epidemiology 2000 (stabilised weights).

    Options: those of `ObservedWeights`, and
        balance_answers: even out the answers within each question.
    """

    name = "ipw"
    OPTIONS: dict[str, Scalar] = {**ObservedWeights.OPTIONS, "balance_answers": False}  # noqa: RUF012

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
        return tuple(
            f"{question} is never observed in stratum {name!r}"
            for question in sorted({question for question, _, _ in counts})
            for stratum, name in enumerate(self.setup.severity.strata)
            if (question, stratum) not in seen
        )


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
