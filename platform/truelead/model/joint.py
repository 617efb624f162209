"""Questions with options and free questions, all read in one pass behind prefixes that are kept.

A row is a question followed by its options. Every option sees the prefix, its question and itself,
and its positions go on behind the question, so that each is read exactly as if it stood there
alone: `scoring.read_options` gives the same likelihoods in two passes, which a test proves. Free
questions are rows without options; they are written on from the same pass.

Shape suffixes: B question rows, S tokens of a question row, O tokens of all its options, P tokens
of the prefix, W = S + O, A option tokens that predict a further one, H LLM width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truelead.model.batch import Batch
from truelead.model.grouped import Continuation, before_questions
from truelead.model.packed import dense_mask, refusal_of
from truelead.model.prefix import can_be_kept
from truelead.model.scoring import last_hidden

if TYPE_CHECKING:
    from truelead.model.modeling import TrueLeadForConditionalGeneration

Options = Sequence[Sequence[Sequence[int]]]


class JointReading(NamedTuple):
    """What one pass gives.

    Attributes:
        scores: log-likelihood (nats) of each option of each row, end of sequence included.
        free: the rows without options, in order, to be written on; None if there is none.
        free_hidden_BH: their last hidden states.
    """

    scores: list[list[float]]
    free: Continuation | None
    free_hidden_BH: Tensor | None


class _OptionTokens(NamedTuple):
    """Tokens of the options behind each question; their last ones are predicted, never read.

    Attributes:
        ids_BO: int64. option_BO: 1 + the option that a token belongs to, 0 on padding.
        place_BO: place in its option.
        next_A, option_A: id of the token that follows a token that is read, and the option's
            place among all options of all rows; both in the order of (row, column).
    """

    ids_BO: NDArray[np.int64]
    option_BO: NDArray[np.int64]
    place_BO: NDArray[np.int64]
    next_A: list[int]
    option_A: list[int]


def can_read_jointly(model: TrueLeadForConditionalGeneration) -> bool:
    """Whether the language model heeds positions and a mask for each pair of tokens."""
    return (
        can_be_kept(model)
        and model.language_model.config._attn_implementation in ("sdpa", "eager")
        and refusal_of(model.language_model) is None
    )


@torch.inference_mode()
def read_jointly(
    model: TrueLeadForConditionalGeneration, batch: Batch, options: Options
) -> JointReading:
    """Read every question with its options, in one pass of the language model.

    Args:
        model: in evaluation mode; `can_read_jointly`.
        batch: question rows that end before the answer.
        options: for each row the token ids of each option, end of sequence included; none for a
            free question.

    Raises:
        SpliceError: a row lacks the severity slot that the model has.
    """
    assert len(options) == batch.rows
    before, embeds_BSH = before_questions(model, batch)
    tokens = _lay_out(options)
    device = embeds_BSH.device
    ids_BO, option_BO, place_BO = (
        torch.from_numpy(of_tokens).to(device)
        for of_tokens in (tokens.ids_BO, tokens.option_BO, tokens.place_BO)
    )
    mask_BS = batch.mask_BS
    question_B = mask_BS.sum(dim=1)
    position_BS = (mask_BS.long().cumsum(dim=1) - 1).clamp_min(0)
    position_BW = before.length_B[:, None] + torch.cat(
        [position_BS, question_B[:, None] + place_BO], dim=1
    )
    seen_BWT = _seen(before.mask, mask_BS, option_BO)
    mask = dense_mask(model.language_model, seen_BWT[:, None], embeds_BSH.dtype)
    output: Any = model.language_model.base_model(
        inputs_embeds=torch.cat([embeds_BSH, model.get_input_embeddings()(ids_BO)], dim=1),
        attention_mask=mask,
        position_ids=position_BW,
        past_key_values=before.cache,
        use_cache=True,
    )
    hidden_BWH: Tensor = output.last_hidden_state
    width = mask_BS.shape[1]
    hidden_BH = last_hidden(hidden_BWH[:, :width], mask_BS)
    scores = _scores(model, options, tokens, hidden_BH, hidden_BWH[:, width:][option_BO > 0])
    free = [row for row, choices in enumerate(options) if not choices]
    if not free:
        return JointReading(scores, None, None)
    row_R = torch.tensor(free, device=device)
    questions = Continuation(
        before.cache,
        torch.cat([before.mask, mask_BS], dim=1),
        before.length_B + question_B,
        hidden_BWH[:, :width],
    )
    return JointReading(scores, _without_options(questions, row_R), hidden_BH[row_R])


def _seen(prefix_mask_BP: Tensor, mask_BS: Tensor, option_BO: Tensor) -> Tensor:
    """bool [B, W, P + W], True where the token of the second axis sees that of the last one."""
    rows, width = mask_BS.shape
    more = option_BO.shape[1]
    question_BW = torch.cat([torch.zeros_like(mask_BS, dtype=torch.long), option_BO], dim=1)
    real_BW = torch.cat([mask_BS, option_BO > 0], dim=1)
    place_W = torch.arange(width + more, device=mask_BS.device)
    among_BWW = (
        (place_W[:, None] >= place_W)
        & real_BW[:, None]
        & ((question_BW[:, None] == 0) | (question_BW[:, :, None] == question_BW[:, None]))
    )
    prefix_BWP = prefix_mask_BP[:, None].expand(rows, width + more, prefix_mask_BP.shape[1])
    return torch.cat([prefix_BWP, among_BWW], dim=2)


def _lay_out(options: Options) -> _OptionTokens:
    counts = [sum(len(ids) - 1 for ids in choices) for choices in options]
    shape = (len(options), max(counts, default=0))
    ids_BO, option_BO, place_BO = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    next_A: list[int] = []
    option_A: list[int] = []
    number = 0
    for row, choices in enumerate(options):
        start = 0
        for at, ids in enumerate(choices):
            end = start + len(ids) - 1
            ids_BO[row, start:end] = ids[:-1]
            option_BO[row, start:end] = at + 1
            place_BO[row, start:end] = np.arange(end - start)
            next_A.extend(ids[1:])
            option_A.extend([number] * (end - start))
            start = end
            number += 1
    return _OptionTokens(ids_BO, option_BO, place_BO, next_A, option_A)


def _scores(
    model: TrueLeadForConditionalGeneration,
    options: Options,
    tokens: _OptionTokens,
    hidden_BH: Tensor,
    hidden_AH: Tensor,
) -> list[list[float]]:
    """From the hidden states of the questions' last tokens and of the options' tokens."""
    row_R = torch.tensor(
        [row for row, choices in enumerate(options) for _ in choices], dtype=torch.long
    )
    if not len(row_R):
        return [[] for _ in options]
    device = hidden_BH.device
    first_R = torch.tensor([ids[0] for choices in options for ids in choices], device=device)
    head = model.get_output_embeddings()
    first_BV = head(hidden_BH).float().log_softmax(dim=-1)
    score_R = first_BV[row_R.to(device), first_R]
    if tokens.next_A:
        next_A = torch.tensor(tokens.next_A, device=device)
        log_probability_AV = head(hidden_AH).float().log_softmax(dim=-1)
        picked_A = log_probability_AV.gather(1, next_A[:, None])[:, 0]
        score_R = score_R.index_add(0, torch.tensor(tokens.option_A, device=device), picked_A)
    values = iter(score_R.tolist())
    return [[next(values) for _ in choices] for choices in options]


def _without_options(read: Continuation, row_R: Tensor) -> Continuation:
    """Rows of a cache in which options stand behind the questions; they are cut off."""
    chosen = read.repeat(row_R)
    length = read.mask.shape[1]
    for layer in chosen.cache.layers:
        kept: Any = layer
        kept.keys = kept.keys[:, :, :length].contiguous()
        kept.values = kept.values[:, :, :length].contiguous()
    return chosen
