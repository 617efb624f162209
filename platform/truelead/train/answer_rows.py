"""Drawn questions as rows of options, for the objectives of loss-level strategies.

Shape suffixes: B question rows, K options, E ECG slots (2), G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from truelead.debias.adjustment import DrawnQuestion
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.adjustment.objective import NO_OPTION, RowFacts
from truelead.debias.setup.base import NEGATIVE_ANSWERS
from truelead.model.answering import closed_options, is_closed
from truelead.model.batch import Batch
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.types import Question

OptionIds = list[list[tuple[int, ...]]]


@dataclass(frozen=True)
class OptionBatch:
    """What `ObjectiveModel` reads.

    Attributes:
        batch: the rows, which end before the answer.
        option_ids: for each row the token ids of its options.
        facts: see `RowFacts`.
        blind: the same rows, in the same order, without ECGs; None where not needed.
        foil: the rows of `facts.foil_differs_B`, in order, with other groups' ECGs; None where
            there is none. In `company` a single row of no effect stands in for none.
        company: every worker reads a foil, since with ZeRO 3 all must run the same layers.
        answer_tokens_B: tokens of the true answers, which the loss of a step is divided by.
    """

    batch: Batch
    option_ids: OptionIds
    facts: RowFacts
    blind: Batch | None
    foil: Batch | None
    answer_tokens_B: Tensor
    company: bool = False

    def to(self, device: torch.device | str) -> OptionBatch:
        """The batch with its tensors on `device`."""
        return replace(
            self,
            batch=self.batch.to(device),
            facts=self.facts.to(device),
            blind=self.blind and self.blind.to(device),
            foil=self.foil and self.foil.to(device),
            answer_tokens_B=self.answer_tokens_B.to(device),
        )


class OptionBatches:
    """Makes the batches of one worker.

    Args:
        strategy: gives priors, and the labels' answers about foil ECGs.
        processor: of the model.
        blind, foil: which further readings the objective needs.
        company: see `OptionBatch`.
    """

    def __init__(
        self,
        strategy: LossLevel,
        processor: TrueLeadProcessor,
        *,
        blind: bool,
        foil: bool,
        company: bool = False,
    ) -> None:
        self._table = strategy.table
        self._setup = strategy.setup
        self._processor = processor
        self._blind = blind
        self._foil = foil
        self._company = foil and company

    def __call__(
        self,
        groups: Sequence[tuple[tuple[str, ...], Sequence[DrawnQuestion]]],
        place: dict[str, int],
        arrays: dict[str, Any],
    ) -> OptionBatch:
        """The batch of these groups.

        Args:
            groups: record_ids of one or two ECGs, and the questions drawn for them.
            place: record_id -> place in the arrays.
            arrays: `ecgs` or `features`, as `TrueLeadProcessor.batch` takes them.
        """
        inputs = [
            GroupInput(
                tuple(place[name] for name in names),
                tuple(item.question for item in drawn),
                tuple(item.weight for item in drawn),
                with_answers=False,
            )
            for names, drawn in groups
        ]
        batch = self._processor.batch(inputs, **arrays)
        items = [item for _, drawn in groups for item in drawn]
        options = [_options(item.question) for item in items]
        write = self._processor.prompts.answer
        foil_G = _neighbours([names for names, _ in groups]) if self._foil else []
        facts = self._facts(items, options, batch, groups, foil_G)
        return OptionBatch(
            batch=batch,
            option_ids=[[write(option) for option in choices] for choices in options],
            facts=facts,
            blind=self._blind_batch(items, arrays) if self._blind else None,
            foil=_foil_batch(batch, foil_G, facts.foil_differs_B, company=self._company),
            answer_tokens_B=torch.tensor(
                [float(len(write(item.question.answer_text))) for item in items]
            ),
            company=self._company,
        )

    def _facts(
        self,
        items: Sequence[DrawnQuestion],
        options: Sequence[Sequence[str]],
        batch: Batch,
        groups: Sequence[tuple[tuple[str, ...], Sequence[DrawnQuestion]]],
        foil_G: Sequence[int],
    ) -> RowFacts:
        rows, width = len(items), max(len(choices) for choices in options)
        option_BK = np.zeros((rows, width), dtype=np.bool_)
        prior_BK = np.full((rows, width), NO_OPTION, dtype=np.float32)
        answer_BK = np.zeros((rows, width), dtype=np.int64)
        target_B = np.zeros(rows, dtype=np.int64)
        for row, (item, choices) in enumerate(zip(items, options, strict=True)):
            option_BK[row, : len(choices)] = True
            prior_BK[row, : len(choices)] = self._table.log_prior(
                item.question.question_id, choices
            )
            answer_BK[row, : len(choices)] = [self._table.answers.get(c, 0) for c in choices]
            target_B[row] = choices.index(item.question.answer_text)
        return RowFacts(
            option_BK=torch.from_numpy(option_BK),
            target_B=torch.from_numpy(target_B),
            weight_B=batch.weight_B,
            stratum_B=torch.tensor([item.stratum for item in items]),
            question_B=torch.tensor(
                [self._table.questions.get(item.question.question_id, 0) for item in items]
            ),
            answer_BK=torch.from_numpy(answer_BK),
            group_B=batch.group_B,
            prior_BK=torch.from_numpy(prior_BK),
            positive_B=torch.tensor(
                [item.question.answer_text not in NEGATIVE_ANSWERS for item in items]
            ).long(),
            foil_differs_B=self._foil_differs(items, batch, groups, foil_G),
        )

    def _foil_differs(
        self,
        items: Sequence[DrawnQuestion],
        batch: Batch,
        groups: Sequence[tuple[tuple[str, ...], Sequence[DrawnQuestion]]],
        foil_G: Sequence[int],
    ) -> Tensor:
        if not foil_G:
            return torch.zeros(len(items), dtype=torch.bool)
        answers_G = [
            {cell.question_id: cell.answer for cell in self._setup.cells(groups[foil][0])}
            for foil in foil_G
        ]
        return torch.tensor(
            [
                answers_G[group].get(item.question.question_id, item.question.answer_text)
                != item.question.answer_text
                for item, group in zip(items, batch.group_B.tolist(), strict=True)
            ]
        )

    def _blind_batch(self, items: Sequence[DrawnQuestion], arrays: dict[str, Any]) -> Batch:
        questions = tuple(item.question for item in items)
        return self._processor.batch([GroupInput((), questions, with_answers=False)], **arrays)


def _foil_batch(
    batch: Batch, foil_G: Sequence[int], differs_B: Tensor, *, company: bool
) -> Batch | None:
    rows = differs_B.nonzero()[:, 0]
    if not len(rows):
        return batch.take_rows(torch.tensor([0])) if company else None
    return replace(
        batch.take_rows(rows),
        ecg_index_GE=batch.ecg_index_GE[torch.tensor(foil_G)],
    )


def _options(question: Question) -> tuple[str, ...]:
    """The options as written, the true answer among them; an open question has only that one."""
    answer = question.answer_text
    if not is_closed(question):
        return (answer,)
    options = closed_options(question)
    return options if answer in options else (*options, answer)


def _neighbours(groups: Sequence[tuple[str, ...]]) -> list[int]:
    """For each group the next one about as many ECGs; itself where there is no other."""
    by_size: dict[int, list[int]] = {}
    for at, names in enumerate(groups):
        by_size.setdefault(len(names), []).append(at)
    following = list(range(len(groups)))
    for members in by_size.values():
        for at, after in zip(members, members[1:] + members[:1], strict=True):
            following[at] = after
    return following
