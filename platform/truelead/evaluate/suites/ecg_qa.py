"""ECG-QA's own test rows: exact match for each of the seven question types."""

from __future__ import annotations

from typing import ClassVar

from truelead.evaluate.suites.suite import Cells, Suite, SuiteContext, with_own_ecgs

_PREFIXES = ("official/", "noise/")


class EcgQa(Suite):
    """Rows of ECG-QA's official files, for setups that have them."""

    title: ClassVar[str] = "ECG-QA"
    explanation: ClassVar[str] = (
        "Official ECG-QA rows, exact match: the answered set must equal the true set. Macro is "
        "the mean over the question types, micro the share over all rows. 'noise' are the official "
        "rows about noise in the leads, of train-split patients who were kept out of training."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """Every official test set of the setup."""
        return {
            name: with_own_ecgs(questions)
            for name, questions in context.test_sets.items()
            if name.startswith(_PREFIXES)
        }
