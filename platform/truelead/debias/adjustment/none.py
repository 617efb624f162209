"""No adjustment: empirical risk on the questions as they were observed."""

from __future__ import annotations

from truelead.debias.adjustment.base import Adjustment, DrawnQuestion


class NoAdjustment(Adjustment):
    """The observed (confounded) questions, each with weight 1."""

    name = "none"

    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """See `Adjustment.draw`. The observed questions do not depend on the training seed."""
        stratum = self.setup.stratum(group)
        return tuple(
            DrawnQuestion(question, 1.0, stratum)
            for question in self.setup.observed(group, epoch, self.questions_per_ecg)
        )
