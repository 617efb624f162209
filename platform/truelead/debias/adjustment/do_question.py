"""The literal do(Q): every question of the bank is as likely for every patient."""

from __future__ import annotations

import numpy as np

from truelead.debias.adjustment.base import Adjustment, DrawnQuestion
from truelead.debias.randomness import generator


class DoQuestion(Adjustment):
    """Draws from the bank with P(q) independent of severity; answers come from the labels.

    Questions are drawn by `Setup.question_weight` (evenly, if it has no say), without repeats
    inside an epoch, among all that can be asked about the group; s follows P(s) because every
    train group is visited. Answers keep their natural frequency, so most are "no": a model
    starved of positive examples is the price.
    """

    name = "do-question"

    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """See `Adjustment.draw`."""
        rng = generator("do-question", self.seed, epoch, *group)
        cells = self.setup.cells(group)
        if not cells:
            return ()
        count = min(self.questions_per_ecg, len(cells))
        stratum = self.setup.stratum(group)
        weight_C = np.array([self.setup.question_weight(cell.question_id) for cell in cells])
        asked = rng.choice(len(cells), size=count, replace=False, p=weight_C / weight_C.sum())
        return tuple(
            DrawnQuestion(self.setup.ask(group, cells[index].question_id, rng), 1.0, stratum)
            for index in asked.tolist()
        )
