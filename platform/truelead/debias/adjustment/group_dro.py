"""Group DRO: train for the worst group of severity and answer."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from truelead.config import Scalar
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import AnswerRows, Objective


class GroupDro(LossLevel):
    """Minimises sum_g v_g L_g, with v raised for groups of large loss: v_g ~ v_g exp(rate * L_g).

    A group is a severity stratum together with whether the answer is positive: where the shortcut
    misleads (a healthy patient with a finding, an ill one without) the loss is large, and the
    weight follows.

    Assumes that the groups hold what the shortcut gets wrong. Fails with few rows in a group (the
    model learns those rows by heart), and by noisy labels, which are a large loss that no weight
    mends. Without strong regularisation it is known to end at the plain minimum.

    Source: Sagawa S. et al., "Distributionally Robust Neural Networks", ICLR 2020, algorithm 1.

    Options: those of `OnDraws`, and
        rate: of the groups' weights.
    """

    name = "group-dro"
    OPTIONS: dict[str, Scalar] = {**LossLevel.OPTIONS, "rate": 0.01}  # noqa: RUF012

    def objective(self, width: int) -> WorstGroupLikelihood:
        """See `LossLevel.objective`."""
        strata = len(self.setup.severity.strata)
        return WorstGroupLikelihood(2 * strata, self.number("rate", above=True))


class WorstGroupLikelihood(Objective):
    """Cross-entropy weighted by the groups; the groups' weights move with every training batch.

    Args:
        groups: severity strata times two.
        rate: see `GroupDro`.
    """

    weight_G: Tensor

    def __init__(self, groups: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("weight_G", torch.full((groups,), 1.0 / groups))

    def forward(self, rows: AnswerRows) -> Tensor:
        """See `Objective.forward`."""
        facts = rows.facts
        loss_B = rows.cross_entropy_B
        group_B = 2 * facts.stratum_B + facts.positive_B
        groups = len(self.weight_G)
        sums_2G = torch.zeros(2, groups, device=loss_B.device)
        sums_2G[0].index_add_(0, group_B, facts.weight_B)
        sums_2G[1].index_add_(0, group_B, facts.weight_B * loss_B.detach())
        if dist.is_initialized():
            dist.all_reduce(sums_2G)
        rows_G, present_G = sums_2G[0].clamp_min(1e-9), sums_2G[0] > 0
        if self.training:
            raised_G = self.weight_G * (self.rate * sums_2G[1] / rows_G).exp()
            self.weight_G.copy_(raised_G / raised_G.sum())
        share_G = (self.weight_G * present_G) / (self.weight_G * present_G).sum()
        # The caller divides by the rows of all workers, so a group's mean counts as all rows.
        scale_G = share_G * sums_2G[0].sum() / rows_G
        return (scale_G[group_B] * facts.weight_B * loss_B).sum()
