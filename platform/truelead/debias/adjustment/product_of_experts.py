"""Product of experts: a question-only model explains the shortcut, so that the model need not."""

from __future__ import annotations

from torch import Tensor

from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import (
    AnswerRows,
    QuestionBranch,
    RowObjective,
    at_target,
    log_softmax,
)


class ProductOfExperts(LossLevel):
    """Trains softmax(log p + log b) with b a question-only branch learned beside it.

    The branch has its own cross-entropy and takes no gradient from the product. Answers are given
    by p alone.

    Assumes that answer and ECG are independent given what the branch knows. Fails as logit
    adjustment does, to which it converges here: the branch knows each question and ends at
    P(a given q). Where question and ECG must be read together, the product also hides what both
    know.

    Source: Hinton G., Neural Computation 2002 (products of experts); Clark C. et al., EMNLP 2019,
    section 3.2 ("Bias Product"); trained together as in Karimi Mahabadi R. et al., ACL 2020.

    Options: those of `OnDraws`.
    """

    name = "product-of-experts"

    def objective(self, width: int) -> ProductLikelihood:
        """See `LossLevel.objective`."""
        return ProductLikelihood(len(self.table.questions) + 1, len(self.table.answers) + 1)


class ProductLikelihood(RowObjective):
    """Cross-entropy of the product, and that of the question-only branch.

    Args: as `QuestionBranch`.
    """

    def __init__(self, questions: int, answers: int) -> None:
        super().__init__()
        self.branch = QuestionBranch(questions, answers)

    def loss_B(self, rows: AnswerRows) -> Tensor:
        """See `RowObjective.loss_B`."""
        facts = rows.facts
        blind_BK = log_softmax(self.branch(facts), facts.option_BK)
        product_BK = log_softmax(rows.log_probability_BK + blind_BK.detach(), facts.option_BK)
        return -at_target(product_BK, facts) - at_target(blind_BK, facts)
