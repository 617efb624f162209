"""Logit adjustment: learn what the ECG adds to the prior of the answers."""

from __future__ import annotations

from torch import Tensor

from truelead.config import Scalar
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import (
    AnswerRows,
    RowObjective,
    at_target,
    log_softmax,
)


class LogitAdjustment(LossLevel):
    """Trains log p + strength * log P(a given q), answers by log p.

    P(a given q) is counted from the draws. With strength 1 the model fits P(e given q, a) up to a
    factor: its answers are those of a world where all answers of a question are as likely.

    Assumes that the shortcut is the answers' prior within a question, and that P(e given q, a) is
    the same wherever the question is asked. Fails under confounding that goes on: P(e given q, a)
    was drawn from the patients whom the question is asked of, so severity's mark on the ECG stays
    a hint; and for questions too rare to count.

    Source: Menon A. et al., "Long-tail learning via logit adjustment", ICLR 2021, equation 10,
    with the prior taken within each question.

    Options: those of `OnDraws`, and
        strength: of the prior, tau in the source.
    """

    name = "logit-adjustment"
    OPTIONS: dict[str, Scalar] = {**LossLevel.OPTIONS, "strength": 1.0}  # noqa: RUF012

    def objective(self, width: int) -> AdjustedLikelihood:
        """See `LossLevel.objective`."""
        return AdjustedLikelihood(self.number("strength"))


class AdjustedLikelihood(RowObjective):
    """Cross-entropy of log p + strength * log prior."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def loss_B(self, rows: AnswerRows) -> Tensor:
        """See `RowObjective.loss_B`."""
        facts = rows.facts
        adjusted_BK = rows.log_probability_BK + self.strength * facts.prior_BK
        return -at_target(log_softmax(adjusted_BK, facts.option_BK), facts)
