"""Counterfactual inference (CF-VQA): what the ECG changes of what the question alone would say."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import (
    AnswerRows,
    RowObjective,
    at_target,
    centred,
    log_softmax,
)


class Counterfactual(LossLevel):
    """Trains Z(q, k) = log sigmoid(z_q + z_k), answers by Z(q, k) - Z(q, c).

    z_k are the centred log-likelihoods of the options read with the ECG, z_q those read by the
    same model without any ECG, c a learned constant that stands for "no ECG and question read
    together". The difference is the total indirect effect: the natural direct effect of the
    question on the answer is taken away when answering. The loss is the cross-entropy of Z, that
    of z_q, and for c alone the divergence of Z(q, c) from Z(q, k).

    Assumes that the effects of question and ECG add up inside the sigmoid. Fails where they do
    not, and costs two readings of each question, in training and in answering.

    Source: Niu Y. et al., "Counterfactual VQA", CVPR 2021 (SUM fusion without the vision-only
    branch, which tells nothing here: without a question an ECG has no answer).

    Options: those of `OnDraws`.
    """

    name = "cf-vqa"

    def objective(self, width: int) -> FusedLikelihood:
        """See `LossLevel.objective`."""
        return FusedLikelihood()


class FusedLikelihood(RowObjective):
    """Cross-entropies of fusion and question-only reading, and the fit of the constant."""

    needs_blind = True

    def __init__(self) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.zeros(1))

    def loss_B(self, rows: AnswerRows) -> Tensor:
        """See `RowObjective.loss_B`."""
        facts = rows.facts
        assert rows.blind_BK is not None
        question_BK = centred(rows.blind_BK, facts.option_BK)
        fused_BK = log_softmax(functional.logsigmoid(question_BK + rows.logits_BK), facts.option_BK)
        constant_BK = functional.logsigmoid(question_BK.detach() + self.constant)
        constant_BK = log_softmax(constant_BK, facts.option_BK)
        fit_B = -(fused_BK.detach().exp() * constant_BK).sum(dim=1)
        return fit_B - at_target(fused_BK, facts) - at_target(rows.blind_BK, facts)

    def answer_rule(self) -> dict[str, float | str]:
        """See `Objective.answer_rule`."""
        return {"rule": "counterfactual", "constant": float(self.constant.detach())}
