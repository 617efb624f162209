"""Losses over the options of closed questions: what loss-level strategies train with.

A language model gives every option of a question a likelihood; over the options of one question
these make a categorical distribution, and what is known for classifiers applies. The likelihood of
the options together, -log sum_k p(option k), is trained by plain likelihood beside every objective,
so that a model also learns to write an answer at all; it tells nothing of which one.

Shape suffixes: B question rows, K options (padded to the longest row), H LLM width, Q known
questions, V known answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

NO_OPTION = -1e9
"""Log-probability of the padding: zero probability, and no NaN in its products."""


@dataclass(frozen=True)
class RowFacts:
    """What is known of the rows apart from the model's reading.

    Attributes:
        option_BK: bool, which options are real.
        target_B: long, place of the true answer among the options.
        weight_B: float32, weight of each row's loss.
        stratum_B: long, severity stratum.
        question_B: long, number of the question, whatever its wording.
        answer_BK: long, number of each option's text.
        group_B: long, number of the row's group of ECGs.
        prior_BK: float32, log P(a given q) as drawn in training.
        positive_B: bool, whether the true answer says that the thing asked for is there.
        foil_differs_B: bool, whether the foil ECG's labels give another answer; all False
            where no foils are read.
    """

    option_BK: Tensor
    target_B: Tensor
    weight_B: Tensor
    stratum_B: Tensor
    question_B: Tensor
    answer_BK: Tensor
    group_B: Tensor
    prior_BK: Tensor
    positive_B: Tensor
    foil_differs_B: Tensor

    def to(self, device: torch.device | str) -> RowFacts:
        """The facts with their tensors on `device`."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})

    def take(self, rows: Tensor) -> RowFacts:
        """The facts of some rows."""
        return replace(self, **{name: value[rows] for name, value in vars(self).items()})


@dataclass(frozen=True)
class AnswerRows:
    """The rows of a batch as categorical distributions.

    Attributes:
        log_probability_BK: log p(option given question and ECG), normalised over the options.
        facts: see `RowFacts`.
        hidden_BH: last hidden state of the question.
        blind_BK: as `log_probability_BK`, read without any ECG; None where the objective does
            not need it.
        foil_BK: as `log_probability_BK`, read with another patient's ECG; it holds only in the
            rows of `facts.foil_differs_B`.
    """

    log_probability_BK: Tensor
    facts: RowFacts
    hidden_BH: Tensor
    blind_BK: Tensor | None = None
    foil_BK: Tensor | None = None

    @property
    def cross_entropy_B(self) -> Tensor:
        """-log p(true answer)."""
        return -at_target(self.log_probability_BK, self.facts)

    @property
    def logits_BK(self) -> Tensor:
        """Centred log-probabilities (mean 0 over the options), 0 on the padding."""
        return centred(self.log_probability_BK, self.facts.option_BK)


class Objective(nn.Module, ABC):
    """A loss over `AnswerRows`; may hold parameters of its own, trained beside the model's.

    Attributes:
        needs_blind: whether it reads the questions without ECGs too.
        needs_foil: whether it reads them with other patients' ECGs too.
    """

    needs_blind: ClassVar[bool] = False
    needs_foil: ClassVar[bool] = False

    @abstractmethod
    def forward(self, rows: AnswerRows) -> Tensor:
        """The sum over the rows of their weighted losses, in nats; the caller divides it."""

    def answer_rule(self) -> dict[str, float | str] | None:
        """How the trained model must answer closed questions; None: by likelihood."""
        return None


class RowObjective(Objective):
    """An objective that is a sum of independent rows."""

    def forward(self, rows: AnswerRows) -> Tensor:
        """See `Objective.forward`."""
        return (rows.facts.weight_B * self.loss_B(rows)).sum()

    @abstractmethod
    def loss_B(self, rows: AnswerRows) -> Tensor:
        """Each row's loss, unweighted."""


class QuestionBranch(nn.Module):
    """The learned question-only model: logits of the answers for each question, whatever the words.

    It knows which question a wording asks, so that nothing that can be guessed from the words is
    beyond it. Only training uses it.

    Args:
        questions: Q.
        answers: V.
    """

    def __init__(self, questions: int, answers: int) -> None:
        super().__init__()
        self.logits_QV = nn.Embedding(questions, answers)
        nn.init.zeros_(self.logits_QV.weight)

    def forward(self, facts: RowFacts) -> Tensor:
        """logits_BK of the options; 0 on the padding."""
        logits_BV: Tensor = self.logits_QV(facts.question_B)
        return logits_BV.gather(1, facts.answer_BK) * facts.option_BK


def log_softmax(logits_BK: Tensor, option_BK: Tensor) -> Tensor:
    """Log-probabilities over the real options; `NO_OPTION` on the padding."""
    return logits_BK.masked_fill(~option_BK, NO_OPTION).log_softmax(dim=1).clamp_min(NO_OPTION)


def at_target(log_probability_BK: Tensor, facts: RowFacts) -> Tensor:
    """The true answer's entry of each row."""
    return log_probability_BK.gather(1, facts.target_B[:, None])[:, 0]


def centred(values_BK: Tensor, option_BK: Tensor) -> Tensor:
    """Values minus their mean over the real options; 0 on the padding."""
    kept_BK = values_BK.masked_fill(~option_BK, 0.0)
    mean_B = kept_BK.sum(dim=1) / option_BK.sum(dim=1)
    return (kept_BK - mean_B[:, None]).masked_fill(~option_BK, 0.0)


def environment_means(values_B: Tensor, facts: RowFacts) -> Tensor:
    """Weighted mean of the values in each severity stratum that has rows: float [environments]."""
    means = []
    for stratum in facts.stratum_B.unique():
        weight_B = facts.weight_B * (facts.stratum_B == stratum)
        means.append((weight_B * values_B).sum() / weight_B.sum().clamp_min(1e-9))
    return torch.stack(means)
