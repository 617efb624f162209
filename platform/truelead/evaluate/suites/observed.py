"""Questions as they are asked in practice: sicker patients are asked other things."""

from __future__ import annotations

from typing import ClassVar

from truelead.evaluate.suites.suite import Cells, Suite, SuiteContext, with_own_ecgs


class Observed(Suite):
    """The confounded test of new patients with new wordings."""

    title: ClassVar[str] = "Observed questions (confounded)"
    explanation: ClassVar[str] = (
        "New patients, wordings never used in training, and questions asked as they are observed: "
        "how ill the patient is decides what is asked, so that a guess from the question alone "
        "scores well. A good score here does not yet show that the ECG was read."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """The setup's confounded test."""
        name = "confounded/test-wordings"
        return {name: with_own_ecgs(context.test_sets[name])} if name in context.test_sets else {}
