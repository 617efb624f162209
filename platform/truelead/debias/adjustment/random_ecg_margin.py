"""Random-ECG margin: the true answer must be likelier with the right ECG than with another's."""

from __future__ import annotations

from torch import Tensor

from truelead.config import Scalar
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import AnswerRows, RowObjective, at_target


class RandomEcgMargin(LossLevel):
    """Adds strength * max(0, margin - (log p(a given q, e) - log p(a given q, e'))).

    e' is another ECG of the same batch whose labels answer the question otherwise; rows whose
    neighbour has the same answer, or cannot be asked, have no such term.

    Assumes that the labels of e' are right. Fails by making answers depend on the ECG in any way
    at all: by severity as well as by the finding; it measures reliance, not its ground.

    Source: hinge ranking loss, e.g. Faghri F. et al., "VSE++", BMVC 2018, between ECGs in place of
    images; the test it mirrors: Li et al., arXiv 2411.14795 (random ECG).

    Options: those of `OnDraws`, and
        margin: in nats.
        strength: weight of the term.
    """

    name = "random-ecg-margin"
    OPTIONS: dict[str, Scalar] = {  # noqa: RUF012
        **LossLevel.OPTIONS,
        "margin": 1.0,
        "strength": 1.0,
    }

    def objective(self, width: int) -> MarginLikelihood:
        """See `LossLevel.objective`."""
        return MarginLikelihood(self.number("margin", above=True), self.number("strength"))


class MarginLikelihood(RowObjective):
    """Cross-entropy, and the hinge against the foil ECG."""

    needs_foil = True

    def __init__(self, margin: float, strength: float) -> None:
        super().__init__()
        self.margin = margin
        self.strength = strength

    def loss_B(self, rows: AnswerRows) -> Tensor:
        """See `RowObjective.loss_B`."""
        facts = rows.facts
        assert rows.foil_BK is not None
        lead_B = at_target(rows.log_probability_BK, facts) - at_target(rows.foil_BK, facts)
        hinge_B = (self.margin - lead_B).clamp_min(0.0) * facts.foil_differs_B
        return rows.cross_entropy_B + self.strength * hinge_B
