"""Inverse-bias weighting: the observed questions, weighted against what the question foretells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from truelead.debias.adjustment.observed_weights import Key, ObservedWeights
from truelead.types import Question


class InverseBias(ObservedWeights):
    """Weights w = 1 / (K(q) P(a given q)), clipped, scaled to mean 1; K(q) answers of the question.

    The bias model is the question alone: P(a given q) is counted from the observed questions of
    the train groups. Under the weights the answers of each question are even, I(Q;A) = 0.

    Assumes that the shortcut from Q to A is all there is. Fails where severity foretells the
    answer beyond the question: selection by s stays in the weighted data, so this is a baseline
    and no backdoor adjustment. Apart from confounding it also throws the answers' true prior away.

    Source: reweighting by a bias model, Clark et al., EMNLP 2019, section 3.2 ("Reweight"), who
    weight by 1 - P; the inverse is the weight that evens the answers out.

    Options: those of `ObservedWeights`.
    """

    name = "inverse-bias"

    def key(self, question: Question, stratum: int) -> Key:
        """Question and answer; the severity plays no part."""
        return (question.question_id, question.answer_text, -1)

    def unclipped(self, counts: Mapping[Key, int]) -> dict[Key, float]:
        """See `ObservedWeights.unclipped`."""
        answers_of = _by_question(counts)
        return {
            (question, answer, stratum): sum(answers_of[question].values())
            / (len(answers_of[question]) * count)
            for (question, answer, stratum), count in counts.items()
        }

    def missing(self, counts: Mapping[Key, int]) -> tuple[str, ...]:
        """Questions of which one answer alone is observed: no weight can even them out."""
        return tuple(
            f"{question} is observed with one answer only"
            for question, answers in sorted(_by_question(counts).items())
            if len(answers) < 2
        )


def _by_question(counts: Mapping[Key, int]) -> dict[str, dict[str, int]]:
    answers_of: dict[str, dict[str, int]] = defaultdict(dict)
    for (question, answer, _), count in counts.items():
        answers_of[question][answer] = count
    return answers_of
