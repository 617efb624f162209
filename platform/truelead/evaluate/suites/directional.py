"""Changes of the ECG that must move an answer, and in which direction.

Directional expectation tests after Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP
Models with CheckList", ACL 2020. The directions follow from what the statements mean: sinus
tachycardia and bradycardia are heart rates, voltage criteria of hypertrophy (Sokolow and Lyon,
American Heart Journal 1949) and low voltage are amplitudes, and turning the limb leads over turns
the frontal axis by 180 degrees, away from normal and from the left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from truelead.evaluate.metrics import normalise
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.subset import stratified_subset
from truelead.evaluate.suites.suite import Cells, Measure, Suite, SuiteContext
from truelead.types import Question

_SET = "balanced/test-wordings"
_YES = "yes"


class _Expected(NamedTuple):
    """P(yes) must rise (1) or fall (-1); for `only_yes`, of ECGs that have what is asked for."""

    direction: int
    only_yes: bool = False


_RISES, _FALLS, _IS_LOST = _Expected(1), _Expected(-1), _Expected(-1, only_yes=True)

# Change -> what is asked for in a verify question (the end of its question_id) -> what must happen.
_EXPECTED: dict[str, dict[str, _Expected]] = {
    "faster": {"STACH": _RISES, "SBRAD": _FALLS},
    "slower": {"STACH": _FALLS, "SBRAD": _RISES},
    "voltage-doubled": {"LVH": _RISES, "VCLVH": _RISES, "HVOLT": _RISES, "LVOLT": _FALLS},
    "voltage-halved": {"LVH": _FALLS, "VCLVH": _FALLS, "HVOLT": _FALLS, "LVOLT": _RISES},
    "limb-leads-inverted": {
        "normal heart axis": _IS_LOST,
        "left axis deviation": _IS_LOST,
        "LAFB": _IS_LOST,
    },
}


class Directional(Suite):
    """Heart rate, voltage and axis changed in the signal, and asked about."""

    title: ClassVar[str] = "Changes that must move the answer"
    explanation: ClassVar[str] = (
        "Balanced questions about heart rate, voltage and axis, with an ECG changed in just that: "
        "played 1.5 times faster or slower, doubled or halved in voltage, or with its limb leads "
        "turned over. 'Moves as it must' is the share of questions whose probability of 'yes' "
        "moves in the direction that the change demands (by chance 50 %; 0 % where the ECG is "
        "ignored), 'movement' the mean change of that probability in that direction. Right answers "
        "are judged by the labels of the unchanged ECG, and should become fewer."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """The balanced questions that a change bears on; none where the setup asks no such."""
        cells: Cells = {}
        for change in _EXPECTED:
            concerned = [
                question
                for question in context.test_sets.get(_SET, ())
                if _expected(question, change) is not None
            ]
            if context.further_questions is not None:
                concerned = list(
                    stratified_subset(concerned, context.further_questions, context.seed)
                )
            if concerned:
                cells[f"{_SET}/{change}"] = tuple(
                    Trial.of_changed(question, change) for question in concerned
                )
        return cells

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """How often and how far P(yes) moves in the expected direction."""
        moved = []
        for trial in trials:
            expected = _expected(trial.question, trial.change)
            assert expected is not None, "planned by `cells`"
            before = _probability_of_yes(answered[Trial.of(trial.question)])
            moved.append(expected.direction * (_probability_of_yes(answered[trial]) - before))
        moved_Q = np.array(moved)
        everything = np.arange(len(trials))
        return {
            "moves as it must": Measure(everything, (moved_Q > 0).astype(np.float64)),
            "movement": Measure(everything, moved_Q),
        }


def _expected(question: Question, change: str) -> _Expected | None:
    if question.question_type != "single-verify" or question.question_id.startswith("ecg-qa:"):
        return None
    expected = _EXPECTED[change].get(question.question_id.rpartition(":")[2])
    if expected is None or (expected.only_yes and normalise(question.answers) != {_YES}):
        return None
    return expected


def _probability_of_yes(prediction: Prediction) -> float:
    """1 or 0 where the answer comes without probabilities."""
    given = prediction.option_probabilities.get(_YES)
    return float(normalise(prediction.answers) == {_YES}) if given is None else given
