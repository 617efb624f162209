"""RUBi: rows that the question alone answers are masked down."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import (
    AnswerRows,
    QuestionBranch,
    RowObjective,
    at_target,
    log_softmax,
)


class Rubi(LossLevel):
    """Trains softmax(z * sigmoid(m)) with m a question-only mask learned beside it.

    z are the centred log-likelihoods of the options. Where the question alone foretells the answer
    the mask makes the loss small, so that such rows move the model little. The mask feeds a
    question-only classifier with its own cross-entropy. Answers are given by z alone.

    Assumes that rows the question answers hold nothing else worth learning. Fails by taking away
    evidence with the bias: common answers are learned less well even where the ECG shows them.

    Source: Cadene R. et al., "RUBi: Reducing Unimodal Biases", NeurIPS 2019, section 3.2.

    Options: those of `OnDraws`.
    """

    name = "rubi"

    def objective(self, width: int) -> MaskedLikelihood:
        """See `LossLevel.objective`."""
        return MaskedLikelihood(len(self.table.questions) + 1, len(self.table.answers) + 1)


class MaskedLikelihood(RowObjective):
    """Cross-entropy of the masked logits, and that of the question-only classifier.

    Args: as `QuestionBranch`.
    """

    def __init__(self, questions: int, answers: int) -> None:
        super().__init__()
        self.branch = QuestionBranch(questions, answers)
        self.scale_V = nn.Parameter(torch.ones(answers))
        self.bias_V = nn.Parameter(torch.zeros(answers))

    def loss_B(self, rows: AnswerRows) -> Tensor:
        """See `RowObjective.loss_B`."""
        facts = rows.facts
        mask_BK = self.branch(facts)
        masked_BK = log_softmax(rows.logits_BK * mask_BK.sigmoid(), facts.option_BK)
        # The classifier learns from the mask, and does not shape it.
        blind_BK = self.scale_V[facts.answer_BK] * mask_BK.detach() + self.bias_V[facts.answer_BK]
        blind_BK = log_softmax(blind_BK, facts.option_BK)
        return -at_target(masked_BK, facts) - at_target(blind_BK, facts)
