"""Lay the groups of a batch out in packed sequences of a bounded number of tokens.

A group is its prefix (the one or two ECGs) followed by its question rows, one behind the other.
Groups are put into sequences by first-fit decreasing (Johnson 1973), equal ones in the order of
the batch, so the same batch always gives the same layout. A group that exceeds the bound is split
by questions, in their order, and its prefix is repeated in front of each part. A single question
that exceeds the bound with its prefix gets a sequence of its own, longer than the bound: nothing
is ever cut off.

Shape suffixes: G groups, B question rows, P tokens of the prefix, S tokens of a question row,
C packed sequences, W tokens of a packed sequence, A answer tokens, X spans of tokens.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truelead.model.batch import IGNORED_LABEL, Batch, PackedLayout

Integers = NDArray[np.int64]


class _Part(NamedTuple):
    """A prefix and some of its group's question rows; `tokens` in all."""

    group: int
    rows: list[int]
    tokens: int


def pack(batch: Batch, tokens_per_sequence: int, *, multiple: int = 1) -> Batch:
    """The batch with a `PackedLayout`; its texts and ECGs stay as they are.

    Args:
        tokens_per_sequence: bound on the tokens of a sequence.
        multiple: W is rounded up to a multiple of this, as a blocked attention kernel wants it.
    """
    assert tokens_per_sequence >= 1
    assert multiple >= 1
    prefix_G = batch.prefix_mask_GP.numpy().sum(axis=1)
    row_B = batch.mask_BS.numpy().sum(axis=1)
    group_B = batch.group_B.numpy()
    parts = _split(prefix_G, row_B, group_B, tokens_per_sequence)
    sequences = first_fit_decreasing([part.tokens for part in parts], tokens_per_sequence)
    longest = max(sum(parts[at].tokens for at in members) for members in sequences)
    width = -(-longest // multiple) * multiple
    (groups, prefix_width), row_width = batch.prefix_ids_GP.shape, batch.input_ids_BS.shape[1]

    # A span is a prefix (numbered as its group) or a question row (numbered after the groups).
    placed = [parts[at] for members in sequences for at in members]
    span_X = np.array(
        [span for part in placed for span in (part.group, *(groups + row for row in part.rows))]
    )
    segment_X = np.repeat(
        [at for members in sequences for at in members], [1 + len(part.rows) for part in placed]
    )
    sequence_X = np.repeat(
        np.arange(len(sequences)),
        [sum(1 + len(parts[at].rows) for at in members) for members in sequences],
    )
    row_start_B = groups * prefix_width + np.arange(batch.rows) * row_width
    start_X = np.concatenate([np.arange(groups) * prefix_width, row_start_B])[span_X]
    length_X = np.concatenate([prefix_G, row_B])[span_X]
    position_X = np.concatenate([np.zeros_like(prefix_G), prefix_G[group_B]])[span_X]
    before_X = np.cumsum(length_X) - length_X
    # Spans of a sequence stand behind one another, from the sequence's own start on.
    first_X = np.searchsorted(sequence_X, sequence_X)
    place_X = sequence_X * width + before_X - before_X[first_X]

    within = np.arange(length_X.sum()) - np.repeat(before_X, length_X)
    place = np.repeat(place_X, length_X) + within

    def laid_out(value: Integers, padding: int) -> Tensor:
        flat = np.full(len(sequences) * width, padding, dtype=np.int64)
        flat[place] = value
        return torch.from_numpy(flat.reshape(len(sequences), width))

    # A token predicts the next one; the first token of a row is never an answer.
    labels_BS = batch.labels_BS.numpy()
    row_A, column_A = (labels_BS[:, 1:] != IGNORED_LABEL).nonzero()
    place_of_span = np.zeros(groups + batch.rows, dtype=np.int64)
    place_of_span[span_X] = place_X
    layout = PackedLayout(
        source_CW=laid_out(np.repeat(start_X, length_X) + within, 0),
        position_CW=laid_out(np.repeat(position_X, length_X) + within, 0),
        segment_CW=laid_out(np.repeat(segment_X, length_X), -1),
        question_CW=laid_out(np.repeat(np.maximum(span_X - groups + 1, 0), length_X), 0),
        answer_at_A=torch.from_numpy(place_of_span[groups + row_A] + column_A),
        target_A=torch.from_numpy(labels_BS[row_A, column_A + 1]),
        answer_row_A=torch.from_numpy(row_A),
    )
    return dataclasses.replace(batch, layout=layout)


def first_fit_decreasing(sizes: list[int], bound: int) -> list[list[int]]:
    """Bins of items whose sizes sum to at most `bound`, each item in the first bin that has room.

    Items come largest first, equal ones in their order; one larger than `bound` is alone.

    Returns:
        Indices of the items of each bin; each item once.
    """
    bins: list[list[int]] = []
    rooms: list[int] = []
    for item in sorted(range(len(sizes)), key=lambda at: -sizes[at]):
        for at, room in enumerate(rooms):
            if sizes[item] <= room:
                bins[at].append(item)
                rooms[at] -= sizes[item]
                break
        else:
            bins.append([item])
            rooms.append(bound - sizes[item])
    return bins


def _split(prefix_G: Integers, row_B: Integers, group_B: Integers, bound: int) -> list[_Part]:
    """The groups in order, those above `bound` in parts."""
    rows_G: list[list[int]] = [[] for _ in prefix_G]
    for row, group in enumerate(group_B.tolist()):
        rows_G[group].append(row)
    lengths = row_B.tolist()
    parts: list[_Part] = []
    for group, (prefix, members) in enumerate(zip(prefix_G.tolist(), rows_G, strict=True)):
        rows: list[int] = []
        tokens = prefix
        for row in members:
            if rows and tokens + lengths[row] > bound:
                parts.append(_Part(group, rows, tokens))
                rows, tokens = [], prefix
            rows.append(row)
            tokens += lengths[row]
        if rows:
            parts.append(_Part(group, rows, tokens))
    return parts
