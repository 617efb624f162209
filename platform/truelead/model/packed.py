"""Packed sequences: groups of questions in one pass of the language model, without a cache.

Every question token sees its group's prefix and the tokens of its own question before it, and
nothing else; positions go on behind the prefix for every question. So each question is read
exactly as if it stood alone behind its ECGs, which a test proves beside `grouped`.

With PyTorch's scaled dot-product attention the mask is a boolean [C, 1, W, W] and masked pairs
still cost time; FlexAttention (Dong et al. 2024, "Flex Attention: A Programming Model for
Generating Optimized Attention Kernels") skips blocks of them on a GPU.

Shape suffixes: C packed sequences, W tokens of a packed sequence, A answer tokens, B question
rows, G groups, P tokens of the prefix, S tokens of a question row, H LLM width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from truelead.errors import ModelError
from truelead.model.batch import AnswerLoss, Batch, PackedLayout
from truelead.model.grouped import prefix_embeddings, question_embeddings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from truelead.model.modeling import TrueLeadForConditionalGeneration

FLEX_BLOCK = 128
"""Tokens of a block that FlexAttention skips as a whole."""

_PROBE_TOKENS = 4


def packed_answer_loss(model: TrueLeadForConditionalGeneration, batch: Batch) -> AnswerLoss:
    """Negative log-likelihood of the answers; logits are computed at answer positions only.

    Args:
        batch: with a layout.

    Raises:
        SpliceError: placeholders and ECGs of a group disagree; a row lacks the severity slot that
            the model has.
        ModelError: the language model's attention takes no such mask.
    """
    layout = batch.layout
    assert layout is not None, "packing.pack makes the layout"
    prefix_GPH = prefix_embeddings(model, batch)
    rows_BSH = question_embeddings(model, batch, prefix_GPH)
    flat = torch.cat([prefix_GPH.flatten(0, 1), rows_BSH.flatten(0, 1)])
    embeds_CWH = flat.index_select(0, layout.source_CW.flatten()).unflatten(
        0, tuple(layout.source_CW.shape)
    )
    hidden_CWH = _read(model.language_model, embeds_CWH, layout)
    hidden_AH = hidden_CWH.flatten(0, 1).index_select(0, layout.answer_at_A)
    logits_AV = model.get_output_embeddings()(hidden_AH)
    nll_A = functional.cross_entropy(logits_AV.float(), layout.target_A, reduction="none")
    loss_B = nll_A.new_zeros(batch.rows).index_add(0, layout.answer_row_A, nll_A)
    tokens_B = torch.bincount(layout.answer_row_A, minlength=batch.rows)
    return AnswerLoss(loss_B, tokens_B)


def block_mask(layout: PackedLayout) -> Tensor:
    """bool [C, 1, W, W], True where the token of the third axis sees that of the last one."""
    segment_CW, question_CW = layout.segment_CW, layout.question_CW
    place_W = torch.arange(segment_CW.shape[1], device=segment_CW.device)
    seen_CWW = (
        (place_W[:, None] >= place_W)
        & (segment_CW[:, :, None] == segment_CW[:, None])
        & ((question_CW[:, None] == 0) | (question_CW[:, :, None] == question_CW[:, None]))
    )
    return seen_CWW[:, None]


def flex_block_mask(layout: PackedLayout) -> Any:
    """The same mask for FlexAttention, as blocks of `FLEX_BLOCK` tokens."""
    from torch.nn.attention.flex_attention import create_block_mask

    segment_CW, question_CW = layout.segment_CW, layout.question_CW
    sequences, width = segment_CW.shape

    def sees(sequence: Tensor, head: Tensor, token: Tensor, other: Tensor) -> Tensor:
        question = question_CW[sequence, other]
        return (
            (token >= other)
            & (segment_CW[sequence, token] == segment_CW[sequence, other])
            & ((question == 0) | (question == question_CW[sequence, token]))
        )

    return create_block_mask(
        sees, sequences, None, width, width, device=segment_CW.device, BLOCK_SIZE=FLEX_BLOCK
    )


def refusal_of(language_model: PreTrainedModel) -> str | None:
    """Why this language model cannot train on packed sequences; None where it can.

    Its configuration tells layers that look back less than the whole sequence. Whether it heeds
    masks and positions is tried out: two short questions behind one prefix, packed and apart.
    Call it before the model is sharded.
    """
    config = language_model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    if kinds - {"full_attention"} or (not kinds and window is not None):
        return "expected layers that see the whole sequence, found a sliding window or a state"
    try:
        packed, apart = _probe(language_model)
    except (ModelError, TypeError, ValueError, RuntimeError) as error:
        return " ".join(str(error).split())[:200]
    if not torch.allclose(packed, apart, rtol=1e-3, atol=1e-3):
        return "expected a model that heeds positions and a mask for each token, found another"
    return None


@torch.no_grad()
def _probe(language_model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """Hidden states of two questions behind one prefix, packed and apart, [2, tokens, H]."""
    device = language_model.device
    embedding: Any = language_model.get_input_embeddings()
    ids_3S = torch.arange(3 * _PROBE_TOKENS, device=device).reshape(3, -1)
    prefix_SH, *rows = embedding(ids_3S % embedding.weight.shape[0])
    row_of = torch.arange(3, device=device).repeat_interleave(_PROBE_TOKENS)[None]
    first = torch.arange(_PROBE_TOKENS, device=device)
    nothing = torch.zeros(0, dtype=torch.long, device=device)
    layout = PackedLayout(
        source_CW=torch.zeros_like(row_of),
        position_CW=torch.cat([first, first + _PROBE_TOKENS, first + _PROBE_TOKENS])[None],
        segment_CW=torch.zeros_like(row_of),
        question_CW=row_of,
        answer_at_A=nothing,
        target_A=nothing,
        answer_row_A=nothing,
    )
    was_training = language_model.training
    language_model.eval()
    try:
        hidden_WH = _read(language_model, torch.cat([prefix_SH, *rows])[None], layout)[0]
        alone: Any = language_model.base_model(
            inputs_embeds=torch.stack([torch.cat([prefix_SH, row]) for row in rows]),
            use_cache=False,
        )
    finally:
        language_model.train(was_training)
    packed = hidden_WH[_PROBE_TOKENS:].unflatten(0, (2, _PROBE_TOKENS))
    return packed, alone.last_hidden_state[:, _PROBE_TOKENS:]


def _read(language_model: PreTrainedModel, embeds_CWH: Tensor, layout: PackedLayout) -> Tensor:
    """Last hidden states [C, W, H]."""
    output: Any = language_model.base_model(
        inputs_embeds=embeds_CWH,
        attention_mask=_mask_for(language_model, layout, embeds_CWH.dtype),
        position_ids=layout.position_CW,
        use_cache=False,
    )
    hidden_CWH: Tensor = output.last_hidden_state
    return hidden_CWH


def _mask_for(language_model: PreTrainedModel, layout: PackedLayout, dtype: torch.dtype) -> Any:
    """The mask in the form that the model's attention takes."""
    attention = language_model.config._attn_implementation
    if attention == "flex_attention":
        return flex_block_mask(layout)
    mask = dense_mask(language_model, block_mask(layout), dtype)
    if mask is None:
        raise ModelError(
            "train.packing: packed: expected a language model with sdpa, eager or flex_attention, "
            f"found {attention}"
        )
    return mask


def dense_mask(language_model: PreTrainedModel, seen: Tensor, dtype: torch.dtype) -> Tensor | None:
    """A boolean mask for each pair of tokens as the attention takes it; None if it takes none."""
    attention = language_model.config._attn_implementation
    if attention == "sdpa":
        return seen
    if attention == "eager":
        # Added to the scores, where a boolean would silently count as 0 and 1.
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(
            ~seen, torch.finfo(dtype).min
        )
    return None
