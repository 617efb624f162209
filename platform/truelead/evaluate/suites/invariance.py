"""Changes of the ECG that leave its meaning, and so must leave the answer.

Invariance tests after Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with
CheckList", ACL 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites.suite import Cells, Measure, Suite, SuiteContext, drop_and_flips
from truelead.questions.templates import TEMPLATES
from truelead.types import Question

_SETS = ("balanced/test-wordings", "official/paraphrased", "noise/paraphrased")
_CHANGES = ("gain-plus-20", "gain-minus-20", "baseline-wander", "time-shift")


class Invariance(Suite):
    """The first of the balanced and the official test sets, about slightly changed ECGs."""

    title: ClassVar[str] = "Changes that must not matter"
    explanation: ClassVar[str] = (
        "The same questions about the same ECG with all leads 20 % larger or smaller, with a "
        "baseline wander of at most 0.1 mV at 0.3 Hz (not for questions about noise), or recorded "
        "from half a second later. Answers must stay: 'flips', the share that changes, should be "
        "near 0, and so should 'drop', the accuracy lost. A statement that rests on a voltage near "
        "its limit may rightly change with the gain."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """Each change of the questions in `SuiteContext.further`."""
        for name in _SETS:
            if name in context.test_sets:
                questions = context.further(name)
                cells = {
                    f"{name}/{change}": tuple(
                        Trial.of_changed(question, change)
                        for question in questions
                        if not (change == "baseline-wander" and _is_about_noise(question))
                    )
                    for change in _CHANGES
                }
                return {cell: trials for cell, trials in cells.items() if trials}
        return {}

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """Accuracy drop and flip rate against the unchanged ECG."""
        everything = np.arange(len(trials))
        drop, flips = drop_and_flips(
            [Trial.of(trial.question) for trial in trials], trials, answered
        )
        return {"flips": Measure(everything, flips), "drop": Measure(everything, drop)}


def _is_about_noise(question: Question) -> bool:
    return TEMPLATES[question.template_id].attribute_type == "noise"
