"""Learned mixin with entropy penalty (LMH): the model decides how far to trust the shortcut."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from truelead.config import Scalar
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import (
    AnswerRows,
    RowObjective,
    at_target,
    log_softmax,
)


class LearnedMixin(LossLevel):
    """Trains softmax(log p + g(x) log b) + entropy * H(softmax(g(x) log b)).

    b is P(a given q) counted from the draws; g(x) = softplus(w . h + c) reads the question's last
    hidden state h and says how much of the prior this row needs. The entropy penalty keeps g from
    falling to 0, which would give the shortcut back to the model. Answers are given by p alone.

    Assumes that the prior is wrong for some rows in a way that x tells. Fails where the penalty
    makes the prior certain although it is not: then rows that agree with the prior teach nothing.

    Source: Clark C. et al., "Don't Take the Easy Way Out", EMNLP 2019, section 3.2 ("Learned-Mixin
    +H"), written from its equations.

    Options: those of `OnDraws`, and
        entropy: weight of the entropy penalty.
    """

    name = "learned-mixin"
    OPTIONS: dict[str, Scalar] = {**LossLevel.OPTIONS, "entropy": 0.1}  # noqa: RUF012

    def objective(self, width: int) -> MixinLikelihood:
        """See `LossLevel.objective`."""
        return MixinLikelihood(width, self.number("entropy"))


class MixinLikelihood(RowObjective):
    """Cross-entropy of the mixin, and its entropy penalty.

    Args:
        width: H.
        entropy: weight of the penalty.
    """

    def __init__(self, width: int, entropy: float) -> None:
        super().__init__()
        self.entropy = entropy
        self.gate_H = nn.Parameter(torch.zeros(width))
        # softplus(0.54) = 1: the start is the plain product.
        self.gate_bias = nn.Parameter(torch.full((1,), 0.5413))

    def loss_B(self, rows: AnswerRows) -> Tensor:
        """See `RowObjective.loss_B`."""
        facts = rows.facts
        hidden_BH = rows.hidden_BH.float()
        gate_B = functional.softplus(hidden_BH @ self.gate_H.float() + self.gate_bias.float())
        scaled_BK = gate_B[:, None] * facts.prior_BK.masked_fill(~facts.option_BK, 0.0)
        mixed_BK = log_softmax(rows.log_probability_BK + scaled_BK, facts.option_BK)
        bias_BK = log_softmax(scaled_BK, facts.option_BK)
        entropy_B = -(bias_BK.exp() * bias_BK).sum(dim=1)
        return self.entropy * entropy_B - at_target(mixed_BK, facts)
