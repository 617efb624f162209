"""Greedy gradient ensemble (GGE): the model fits only what the question left unexplained."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import AnswerRows, RowObjective, at_target


class GreedyGradientEnsemble(LossLevel):
    """Trains on what a question-only model leaves of the gradient, one option against the rest.

    The question-only model is P(a given q) counted from the draws, with logit B of the true
    option. The model's target for that option is the leftover 2 sigmoid(-2 B), at most 1, and 0
    for all others, under binary cross-entropy of each option. Rows that the question answers have
    a target near 0 for every option: nothing is left to learn from them.

    Assumes that the question-only model is fitted first and as well as can be. Fails where common
    answers need the ECG too: they are hardly trained, and probabilities lose their meaning.

    Source: Han X. et al., "Greedy Gradient Ensemble for Robust VQA", ICCV 2021 (its distribution
    and question-only stages are one here, since the question-only model knows each question).

    Options: those of `OnDraws`.
    """

    name = "gge"

    def objective(self, width: int) -> LeftoverLikelihood:
        """See `LossLevel.objective`."""
        return LeftoverLikelihood()


class LeftoverLikelihood(RowObjective):
    """Binary cross-entropy of each option against what the prior leaves of the answer."""

    def loss_B(self, rows: AnswerRows) -> Tensor:
        """See `RowObjective.loss_B`."""
        facts = rows.facts
        prior_B = at_target(facts.prior_BK, facts).exp()
        leftover_B = (2 * (-2 * prior_B.logit(eps=1e-6)).sigmoid()).clamp(max=1.0)
        one_hot_BK = functional.one_hot(facts.target_B, facts.option_BK.shape[1])
        target_BK = one_hot_BK * leftover_B[:, None]
        # Of a row with one option nothing can be learned.
        option_BK = facts.option_BK & (facts.option_BK.sum(dim=1) > 1)[:, None]
        probability_BK = rows.log_probability_BK.exp().clamp(1e-6, 1 - 1e-6)
        loss_BK = functional.binary_cross_entropy(probability_BK, target_BK, reduction="none")
        return loss_BK.masked_fill(~option_BK, 0.0).sum(dim=1)
