"""Likelihoods of closed options, and greedy generation, behind shared prefixes.

A question is read once behind its group's ECGs; its options are read behind the question.

Shape suffixes: B question rows, R option rows, S tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from truelead.model.batch import Batch
from truelead.model.grouped import Continuation, read_on, read_questions

if TYPE_CHECKING:
    from truelead.model.modeling import TrueLeadForConditionalGeneration


class OptionReading(NamedTuple):
    """Log-likelihoods of the options of question rows; gradients flow through it.

    Attributes:
        score_R: log-likelihood (nats) of each option, end of sequence included.
        row_R: the question row of each option; rows in order, a row's options in order.
        hidden_BH: last hidden state of each question row, from which its answer is read.
    """

    score_R: Tensor
    row_R: Tensor
    hidden_BH: Tensor


def read_options(
    model: TrueLeadForConditionalGeneration,
    batch: Batch,
    options: Sequence[Sequence[Sequence[int]]],
) -> OptionReading:
    """Read every option behind its question.

    Args:
        model: training or answering.
        batch: question rows that end before the answer.
        options: for each row the token ids of each option, end of sequence included.
    """
    assert len(options) == batch.rows
    read = read_questions(model, batch)
    hidden_BH = last_hidden(read.hidden_BSH, batch.mask_BS)
    row_R = torch.tensor(
        [row for row, choices in enumerate(options) for _ in choices], dtype=torch.long
    )
    if not len(row_R):
        return OptionReading(hidden_BH.new_zeros(0).float(), row_R, hidden_BH)
    ids_RS, mask_RS = _pad([ids for choices in options for ids in choices])
    row_R, ids_RS, mask_RS = (x.to(read.mask.device) for x in (row_R, ids_RS, mask_RS))
    head = model.get_output_embeddings()
    first_BV = head(hidden_BH).float().log_softmax(dim=-1)
    score_R = first_BV[row_R, ids_RS[:, 0]]
    if ids_RS.shape[1] > 1:
        # The last token of an option is predicted but never read.
        option = read_on(model, read.repeat(row_R), ids_RS[:, :-1], mask_RS[:, :-1])
        later_RS = mask_RS[:, 1:]
        log_probability = head(option.hidden_BSH[later_RS]).float().log_softmax(dim=-1)
        target = ids_RS[:, 1:][later_RS]
        picked = log_probability.gather(1, target[:, None])[:, 0]
        score_R = score_R.index_add(0, later_RS.nonzero()[:, 0], picked)
    return OptionReading(score_R, row_R, hidden_BH)


@torch.inference_mode()
def score_options(
    model: TrueLeadForConditionalGeneration,
    batch: Batch,
    options: Sequence[Sequence[Sequence[int]]],
) -> list[list[float]]:
    """Log-likelihood (nats) of each option of each question row.

    Args: as `read_options`; the model in evaluation mode.

    Returns:
        For each row, the sum of the log-probabilities of each option's tokens.
    """
    scores = iter(read_options(model, batch, options).score_R.tolist())
    return [[next(scores) for _ in choices] for choices in options]


@torch.inference_mode()
def generate_greedily(
    model: TrueLeadForConditionalGeneration, batch: Batch, eos_token_id: int, maximum_tokens: int
) -> list[list[int]]:
    """The most likely next token, again and again, for each question row.

    Args:
        model: in evaluation mode.
        batch: question rows that end before the answer.
        eos_token_id: ends a row; not part of the result.
        maximum_tokens: where a row ends at the latest.

    Returns:
        Token ids of each row.
    """
    read = read_questions(model, batch)
    return continue_greedily(
        model, read, last_hidden(read.hidden_BSH, batch.mask_BS), eos_token_id, maximum_tokens
    )


@torch.inference_mode()
def continue_greedily(
    model: TrueLeadForConditionalGeneration,
    read: Continuation,
    hidden_BH: Tensor,
    eos_token_id: int,
    maximum_tokens: int,
) -> list[list[int]]:
    """As `generate_greedily`, of rows whose questions have been read.

    Args:
        read: grows in place.
        hidden_BH: last hidden state of each row, from which its answer is read.
    """
    head = model.get_output_embeddings()
    rows: list[list[int]] = [[] for _ in range(len(hidden_BH))]
    # Rows that have ended leave the computation.
    alive = list(range(len(hidden_BH)))
    for step in range(maximum_tokens):
        token_B = head(hidden_BH).argmax(dim=-1)
        going = [at for at, token in enumerate(token_B.tolist()) if token != eos_token_id]
        for at in going:
            rows[alive[at]].append(int(token_B[at]))
        if not going or step + 1 == maximum_tokens:
            break
        if len(going) < len(alive):
            keep = torch.tensor(going, device=token_B.device)
            read, token_B = read.repeat(keep), token_B[keep]
            alive = [alive[at] for at in going]
        one_B1 = torch.ones_like(token_B, dtype=torch.bool)[:, None]
        read = read_on(model, read, token_B[:, None], one_B1)
        hidden_BH = read.hidden_BSH[:, -1]
    return rows


def last_hidden(hidden_BSH: Tensor, mask_BS: Tensor) -> Tensor:
    """hidden_BH of each row's last token."""
    last_B = mask_BS.sum(dim=1) - 1
    return hidden_BSH[torch.arange(len(last_B), device=last_B.device), last_B]


def _pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    length = max(len(row) for row in rows)
    ids = torch.zeros((len(rows), length), dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = True
    return ids, mask
