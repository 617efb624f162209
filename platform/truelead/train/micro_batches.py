"""A worker's share of a step in parts of a bounded number of tokens, for gradient accumulation.

A part holds whole groups, in their order, as long as their tokens stay within the bound: the
prefix once, and every question row. A group above the bound is split by questions, its prefix
repeated; a single question above it is a part of its own. Nothing is cut off, and losses, weights
and gradients of the parts add up to those of the whole.

Shape suffixes: G groups, B question rows, E ECG slots (2), N ECGs in the batch, P tokens of the
prefix, S tokens of a question row.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from truelead.model.batch import Batch
from truelead.train.answer_rows import OptionBatch


def rows_of_parts(batch: Batch, tokens_B: Tensor, bound: int) -> list[list[int]]:
    """The question rows of each part, ascending.

    Args:
        batch: whose groups' rows stand behind one another.
        tokens_B: long, tokens of each row without its prefix.
        bound: on the tokens of a part.
    """
    rows_G: dict[int, list[int]] = {}
    for row, group in enumerate(batch.group_B.tolist()):
        rows_G.setdefault(group, []).append(row)
    prefix_G, lengths = batch.prefix_mask_GP.sum(dim=1).tolist(), tokens_B.tolist()
    parts: list[list[int]] = []
    rows: list[int] = []
    used = 0
    for group, members in rows_G.items():
        whole = prefix_G[group] + sum(lengths[row] for row in members)
        if used + whole <= bound:
            rows, used = rows + members, used + whole
            continue
        if rows:
            parts.append(rows)
        rows, used = [], prefix_G[group]
        for row in members:
            if rows and used + lengths[row] > bound:
                parts.append(rows)
                rows, used = [], prefix_G[group]
            rows.append(row)
            used += lengths[row]
    return [*parts, rows]


def split_answers(batch: Batch, bound: int) -> tuple[Batch, ...]:
    """The batch in parts of at most `bound` tokens; itself alone where it fits."""
    parts = rows_of_parts(batch, batch.mask_BS.sum(dim=1), bound)
    return (batch,) if len(parts) == 1 else tuple(part_of(batch, torch.tensor(p)) for p in parts)


def split_options(content: OptionBatch, bound: int) -> tuple[OptionBatch, ...]:
    """As `split_answers`; a row's tokens are those of its question and of all its options.

    The objective must be a sum over rows.
    """
    batch = content.batch
    option_tokens_B = torch.tensor([sum(map(len, choices)) for choices in content.option_ids])
    parts = rows_of_parts(batch, batch.mask_BS.sum(dim=1) + option_tokens_B, bound)
    if len(parts) == 1:
        return (content,)
    return tuple(options_part_of(content, torch.tensor(rows)) for rows in parts)


def without_weight(content: Batch | OptionBatch) -> Batch | OptionBatch:
    """The content with every row's weight 0, so that its loss and gradients are 0."""
    if isinstance(content, OptionBatch):
        batch = dataclasses.replace(
            content.batch, weight_B=torch.zeros_like(content.batch.weight_B)
        )
        facts = dataclasses.replace(
            content.facts, weight_B=torch.zeros_like(content.facts.weight_B)
        )
        return dataclasses.replace(content, batch=batch, facts=facts)
    return dataclasses.replace(content, weight_B=torch.zeros_like(content.weight_B))


def part_of(batch: Batch, row_R: Tensor) -> Batch:
    """The rows `row_R` (ascending) with their groups and ECGs alone, padding trimmed."""
    taken = batch.take_rows(row_R)
    group_G, group_B = taken.group_B.unique(return_inverse=True)
    index_GE = batch.ecg_index_GE[group_G]
    # One ECG stays where none is asked about, for its shape.
    used_N = index_GE[index_GE >= 0].unique() if bool((index_GE >= 0).any()) else torch.tensor([0])
    place = torch.full((int(used_N.max()) + 1,), -1)
    place[used_N] = torch.arange(len(used_N))
    prefix_mask_GP = batch.prefix_mask_GP[group_G]
    prefix_width = max(1, int(prefix_mask_GP.sum(dim=1).max()))
    row_width = max(1, int(taken.mask_BS.sum(dim=1).max()))
    return dataclasses.replace(
        taken,
        ecg_index_GE=torch.where(index_GE >= 0, place[index_GE.clamp_min(0)], -1),
        prefix_ids_GP=batch.prefix_ids_GP[group_G, :prefix_width],
        prefix_mask_GP=prefix_mask_GP[:, :prefix_width],
        group_B=group_B,
        input_ids_BS=taken.input_ids_BS[:, :row_width],
        mask_BS=taken.mask_BS[:, :row_width],
        labels_BS=taken.labels_BS[:, :row_width],
        ecg_NLT=None if batch.ecg_NLT is None else batch.ecg_NLT[used_N],
        features_NPD=None if batch.features_NPD is None else batch.features_NPD[used_N],
    )


def options_part_of(content: OptionBatch, row_R: Tensor) -> OptionBatch:
    """As `part_of`."""
    facts = content.facts.take(row_R)
    width = int(facts.option_BK.sum(dim=1).max())
    facts = dataclasses.replace(
        facts,
        option_BK=facts.option_BK[:, :width],
        answer_BK=facts.answer_BK[:, :width],
        prior_BK=facts.prior_BK[:, :width],
    )
    foil = None
    if content.foil is not None and bool(facts.foil_differs_B.any()):
        # The foil's rows are those that differ, in order.
        number_B = content.facts.foil_differs_B.long().cumsum(dim=0) - 1
        foil = part_of(content.foil, number_B[row_R[facts.foil_differs_B]])
    elif content.company:
        foil = part_of(content.batch, row_R[:1])
    return dataclasses.replace(
        content,
        batch=part_of(content.batch, row_R),
        option_ids=[content.option_ids[row] for row in row_R.tolist()],
        facts=facts,
        blind=None if content.blind is None else part_of(content.blind, row_R),
        foil=foil,
        answer_tokens_B=content.answer_tokens_B[row_R],
    )
