"""Invariant risk minimisation: one answer rule that is best in every stratum at once."""

from __future__ import annotations

import torch
from torch import Tensor

from truelead.config import Scalar
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import (
    AnswerRows,
    Objective,
    at_target,
)


class InvariantRisk(LossLevel):
    """Adds penalty * sum over strata of the squared gradient of the risk by a scale of the logits.

    A stratum is an environment. The gradient of cross-entropy by a scalar that multiplies the
    logits, at 1, is sum_k p_k z_k - z_true; its mean within a stratum is estimated on two halves
    of the rows, whose product is an unbiased square. The penalty is held at 1 for the first
    `warmup_steps`.

    Assumes that P(a given q, e) by the right features is the same in every stratum and by the
    shortcut is not. Fails with few environments (here as many as strata), where the penalty can be
    small for a rule that still uses severity, and with large models, which drive it to 0 by
    fitting every row.

    Source: Arjovsky M. et al., "Invariant Risk Minimization", 2019, section 3.1 (IRMv1) and
    appendix D (the two halves).

    Options: those of `OnDraws`, and
        penalty: its weight.
        warmup_steps: steps during which the weight is 1.
    """

    name = "irm"
    OPTIONS: dict[str, Scalar] = {  # noqa: RUF012
        **LossLevel.OPTIONS,
        "penalty": 10.0,
        "warmup_steps": 100,
    }

    def objective(self, width: int) -> InvariantLikelihood:
        """See `LossLevel.objective`."""
        return InvariantLikelihood(self.number("penalty"), int(self.number("warmup_steps")))


class InvariantLikelihood(Objective):
    """Mean risk and the invariance penalty, divided by the penalty's weight where it is above 1."""

    steps: Tensor

    def __init__(self, penalty: float, warmup_steps: int) -> None:
        super().__init__()
        self.penalty = penalty
        self.warmup_steps = warmup_steps
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, rows: AnswerRows) -> Tensor:
        """See `Objective.forward`."""
        facts = rows.facts
        probability_BK = rows.log_probability_BK.exp()
        logits_BK = rows.logits_BK
        slope_B = (probability_BK * logits_BK).sum(dim=1) - at_target(logits_BK, facts)
        penalty = torch.zeros((), device=slope_B.device)
        for stratum in facts.stratum_B.unique():
            inside = (facts.stratum_B == stratum).nonzero()[:, 0]
            halves = [slope_B[inside[start::2]] for start in (0, 1)]
            if len(inside) > 1:
                penalty = penalty + halves[0].mean() * halves[1].mean()
        weight = self.penalty if float(self.steps) >= self.warmup_steps else 1.0
        if self.training:
            self.steps += 1
        total_weight = facts.weight_B.sum()
        risk = (facts.weight_B * rows.cross_entropy_B).sum()
        return (risk + weight * penalty * total_weight) / max(weight, 1.0)
