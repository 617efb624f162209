"""The interventional test: the question is set by us, whoever the patient is."""

from __future__ import annotations

from typing import ClassVar

from truelead.evaluate.suites.suite import Cells, Suite, SuiteContext, with_own_ecgs


class BalancedDoQuestion(Suite):
    """Each question is asked as often where its answer is yes as where it is no."""

    title: ClassVar[str] = "Balanced do(Q) questions"
    explanation: ClassVar[str] = (
        "Every question is put equally often to ECGs where the answer is yes and where it is no, "
        "whatever the severity, in wordings never used in training. A model that ignores the ECG "
        "scores 50 %. With 'same-severity' the no-ECGs are as ill as the yes-ECGs, so that a model "
        "that sees no more than how ill the patient is scores 50 % too."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """The setup's balanced tests."""
        names = ("balanced/test-wordings", "balanced-same-severity/test-wordings")
        return {
            name: with_own_ecgs(context.test_sets[name])
            for name in names
            if name in context.test_sets
        }
