"""Statements that no training question was ever about.

After Li et al., arXiv 2411.14795, who test what the model was not tuned for.
"""

from __future__ import annotations

from typing import ClassVar

from truelead.evaluate.suites.suite import Cells, Suite, SuiteContext, with_own_ecgs

_SET = "zero-shot/test-wordings"


class ZeroShot(Suite):
    """Balanced questions about held-out statements."""

    title: ClassVar[str] = "Zero-shot statements"
    explanation: ClassVar[str] = (
        "Statements that the language model was never asked about in training, each put equally "
        "often to ECGs that have it and that do not, in new wordings: a model that ignores the ECG "
        "scores 50 %. An encoder that was trained on labels may have learned the statement; what "
        "is tested is whether the language model can ask it for something new."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """The setup's zero-shot test, if it holds statements out."""
        return {_SET: with_own_ecgs(context.test_sets[_SET])} if _SET in context.test_sets else {}
