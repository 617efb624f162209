"""Risk extrapolation (V-REx): the same loss in every stratum."""

from __future__ import annotations

from torch import Tensor

from truelead.config import Scalar
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import AnswerRows, Objective, environment_means


class RiskExtrapolation(LossLevel):
    """Adds penalty * variance of the mean losses of the severity strata.

    Assumes that a rule free of the shortcut has the same risk in every stratum. Fails where the
    strata are not equally hard (the very ill show more, and are asked more): evening the risks out
    then costs accuracy where it was easy.

    Source: Krueger D. et al., "Out-of-Distribution Generalization via Risk Extrapolation",
    ICML 2021, equation 8.

    Options: those of `OnDraws`, and
        penalty: weight of the variance, beta in the source.
    """

    name = "v-rex"
    OPTIONS: dict[str, Scalar] = {**LossLevel.OPTIONS, "penalty": 10.0}  # noqa: RUF012

    def objective(self, width: int) -> EvenLikelihood:
        """See `LossLevel.objective`."""
        return EvenLikelihood(self.number("penalty"))


class EvenLikelihood(Objective):
    """Mean risk, and the variance of the strata's risks."""

    def __init__(self, penalty: float) -> None:
        super().__init__()
        self.penalty = penalty

    def forward(self, rows: AnswerRows) -> Tensor:
        """See `Objective.forward`."""
        facts = rows.facts
        risks = environment_means(rows.cross_entropy_B, facts)
        risk = (facts.weight_B * rows.cross_entropy_B).sum()
        return risk + self.penalty * risks.var(correction=0) * facts.weight_B.sum()
