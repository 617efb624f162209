"""Paraphrase agreement: two wordings of one question must be answered alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from truelead.config import Scalar
from truelead.debias.adjustment.base import DrawnQuestion
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import AnswerRows, Objective
from truelead.debias.randomness import generator
from truelead.types import Question


class ParaphraseAgreement(LossLevel):
    """Adds strength * KL divergence between the answers to two wordings of a question, both ways.

    Every second drawn question gives way to a paraphrase of the one before it, so that an epoch is
    as long as without; a question with one single training wording stands twice in it.

    Assumes that the shortcut hangs on the words. Fails where it hangs on what is asked: both
    wordings then agree on the same guess.

    Source: consistency of a model with itself by symmetric divergence, Miyato T. et al., TPAMI
    2018 (virtual adversarial training) and Liang X. et al., NeurIPS 2021 (R-Drop), here over
    wordings in place of noise or dropout.

    Options: those of `OnDraws`, and
        strength: weight of the divergence.
    """

    name = "paraphrase-kl"
    OPTIONS: dict[str, Scalar] = {**LossLevel.OPTIONS, "strength": 1.0}  # noqa: RUF012

    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """See `Adjustment.draw`."""
        drawn = self.base.draw(group, epoch)
        rng = generator("paraphrase", self.seed, epoch, *group)
        # Official rows of a set, which are no questions of the bank, have no other wordings.
        worded = {cell.question_id for cell in self.setup.cells(group)}
        pairs: list[DrawnQuestion] = []
        for item in drawn[: max(1, len(drawn) // 2)]:
            twin = item.question
            if twin.question_id in worded:
                twin = self._paraphrase(group, twin, rng)
            pairs += [item, DrawnQuestion(twin, item.weight, item.stratum)]
        return tuple(pairs)

    def _paraphrase(
        self, group: tuple[str, ...], question: Question, rng: np.random.Generator
    ) -> Question:
        """The question in another training wording; itself where it has but one."""
        count = self.setup.wording_count(question.question_id, "train")
        for index in rng.permutation(count).tolist():
            other = self.setup.word(group, question.question_id, "train", index)
            if other.text != question.text:
                return other
        return question

    def objective(self, width: int) -> AgreeingLikelihood:
        """See `LossLevel.objective`."""
        return AgreeingLikelihood(self.number("strength"))


class AgreeingLikelihood(Objective):
    """Cross-entropy, and the divergence between neighbouring rows that ask the same of one ECG."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, rows: AnswerRows) -> Tensor:
        """See `Objective.forward`."""
        facts = rows.facts
        risk = (facts.weight_B * rows.cross_entropy_B).sum()
        first, second = _twins(facts.group_B, facts.question_B)
        one_TK, other_TK = rows.log_probability_BK[first], rows.log_probability_BK[second]
        # (p - q)(log p - log q) summed is the divergence both ways.
        divergence_T = ((one_TK.exp() - other_TK.exp()) * (one_TK - other_TK)).sum(dim=1)
        weight_T = facts.weight_B[first]
        return risk + self.strength * (weight_T * divergence_T).sum()


def _twins(group_B: Tensor, question_B: Tensor) -> tuple[Tensor, Tensor]:
    """Rows 2i and 2i + 1 of each group that ask the same question."""
    same_B = (group_B[1:] == group_B[:-1]) & (question_B[1:] == question_B[:-1])
    first: list[int] = []
    row = 0
    flags = same_B.tolist()
    while row < len(flags):
        if flags[row]:
            first.append(row)
            row += 1
        row += 1
    index = torch.tensor(first, dtype=torch.long, device=group_B.device)
    return index, index + 1
