"""All questions about an ECG behind one shared prefix.

The prefix of a group (its one or two ECGs) runs once into a key-value cache; the cache is repeated
for the group's question rows, and gradients flow back through it. The result equals running every
question with its own copy of the ECG, which a test proves.

Shape suffixes: G groups, B question rows, P tokens of the prefix, S tokens of a question row,
H LLM width, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from truelead.errors import ModelError
from truelead.model.batch import IGNORED_LABEL, AnswerLoss, Batch
from truelead.model.severity_slot import masked_mean
from truelead.model.splice import splice

if TYPE_CHECKING:
    from truelead.model.modeling import TrueLeadForConditionalGeneration
    from truelead.model.prefix import ReadPrefix


@dataclass
class Continuation:
    """Rows that have been read, and can be read on.

    Attributes:
        cache: keys and values of everything read so far, one row each.
        mask: bool [B, tokens read], which of them are real.
        length_B: the position that the next token of a row has.
        hidden_BSH: last hidden states of the tokens read last.
    """

    cache: DynamicCache
    mask: Tensor
    length_B: Tensor
    hidden_BSH: Tensor

    def repeat(self, row_R: Tensor) -> Continuation:
        """The rows named by `row_R` (long), any number of times each; self is left as it was."""
        return Continuation(
            repeat_cache(self.cache, row_R),
            self.mask[row_R],
            self.length_B[row_R],
            self.hidden_BSH[row_R],
        )


def repeat_cache(cache: DynamicCache, row_R: Tensor) -> DynamicCache:
    """A new cache that holds the rows `row_R` of `cache`.

    `index_select` rather than indexing: its gradient adds whole rows, several times faster.

    Raises:
        ModelError: the language model keeps a state other than keys and values.
    """
    repeated = copy.copy(cache)
    repeated.layers = []
    for layer in cache.layers:
        if getattr(layer, "keys", None) is None:
            raise ModelError(
                "language_model: expected a transformer whose layers cache keys and values"
            )
        twin = copy.copy(layer)
        twin.keys = layer.keys.index_select(0, row_R)
        twin.values = layer.values.index_select(0, row_R)
        repeated.layers.append(twin)
    return repeated


def read_prefixes(model: TrueLeadForConditionalGeneration, batch: Batch) -> Continuation:
    """Run each group's prefix once.

    Raises:
        SpliceError: placeholders and ECGs of a group disagree.
    """
    return read_prefix_embeddings(model, batch, prefix_embeddings(model, batch))


def prefix_embeddings(model: TrueLeadForConditionalGeneration, batch: Batch) -> Tensor:
    """embeds_GPH of each group's prefix, with its ECG tokens.

    Raises:
        SpliceError: placeholders and ECGs of a group disagree.
    """
    return splice(
        model.get_input_embeddings()(batch.prefix_ids_GP),
        batch.prefix_ids_GP,
        model.ecg_tokens(ecg_NLT=batch.ecg_NLT, features_NPD=batch.features_NPD),
        batch.ecg_index_GE,
        model.config.ecg_token_id,
    )


def read_prefix_embeddings(
    model: TrueLeadForConditionalGeneration, batch: Batch, embeds_GPH: Tensor
) -> Continuation:
    """Run each group's prefix, whose embeddings are at hand, once."""
    start = torch.zeros(len(embeds_GPH), dtype=torch.long, device=embeds_GPH.device)
    empty = batch.prefix_mask_GP[:, :0]
    cache = DynamicCache(config=model.config.get_text_config())
    return _read(model, cache, empty, start, batch.prefix_mask_GP, inputs_embeds=embeds_GPH)


def read_on(
    model: TrueLeadForConditionalGeneration, before: Continuation, ids_BS: Tensor, mask_BS: Tensor
) -> Continuation:
    """Read the tokens `ids_BS` (padded on the right) after what `before` has read.

    The cache of `before` grows in place: use the result in its stead.
    """
    embeds_BSH = model.get_input_embeddings()(ids_BS)
    return _read(
        model, before.cache, before.mask, before.length_B, mask_BS, inputs_embeds=embeds_BSH
    )


def _read(
    model: TrueLeadForConditionalGeneration,
    cache: DynamicCache,
    mask_before: Tensor,
    length_B: Tensor,
    mask_BS: Tensor,
    inputs_embeds: Tensor,
) -> Continuation:
    mask = torch.cat([mask_before, mask_BS], dim=1)
    position_ids_BS = length_B[:, None] + (mask_BS.long().cumsum(dim=1) - 1).clamp_min(0)
    output: Any = model.language_model.base_model(
        inputs_embeds=inputs_embeds,
        attention_mask=mask.long(),
        position_ids=position_ids_BS,
        past_key_values=cache,
        use_cache=True,
    )
    return Continuation(cache, mask, length_B + mask_BS.sum(dim=1), output.last_hidden_state)


def read_questions(model: TrueLeadForConditionalGeneration, batch: Batch) -> Continuation:
    """Read all question rows, each behind its group's prefix.

    Raises:
        SpliceError: placeholders and ECGs of a group disagree; a row lacks the severity slot that
            the model has.
    """
    before, embeds_BSH = before_questions(model, batch)
    return _read(
        model, before.cache, before.mask, before.length_B, batch.mask_BS, inputs_embeds=embeds_BSH
    )


def before_questions(
    model: TrueLeadForConditionalGeneration, batch: Batch
) -> tuple[Continuation, Tensor]:
    """Each row's prefix, read now or kept from before, and embeds_BSH of the question rows.

    Raises:
        SpliceError: as `read_questions`.
    """
    if batch.read_prefixes is not None:
        kept = [batch.read_prefixes[group] for group in batch.group_B.tolist()]
        before, ecg_BH = _behind_read(model, kept)
        return before, _with_slot(model, batch, ecg_BH)
    prefix_GPH = prefix_embeddings(model, batch)
    before = read_prefix_embeddings(model, batch, prefix_GPH).repeat(batch.group_B)
    return before, question_embeddings(model, batch, prefix_GPH)


def _behind_read(
    model: TrueLeadForConditionalGeneration, prefixes: Sequence[ReadPrefix]
) -> tuple[Continuation, Tensor]:
    """Rows that have read these prefixes, one each, and ecg_BH: the means of their ECG tokens.

    The rows' hidden states are empty: a question is always read next.
    """
    length = max(prefix.tokens for prefix in prefixes)
    cache = DynamicCache(config=model.config.get_text_config())
    for at in range(len(prefixes[0].layers)):
        cache.update(
            torch.stack([_padded(prefix.layers[at][0], length) for prefix in prefixes]),
            torch.stack([_padded(prefix.layers[at][1], length) for prefix in prefixes]),
            at,
        )
    ecg_BH = torch.stack([prefix.ecg_H for prefix in prefixes])
    length_B = torch.tensor([prefix.tokens for prefix in prefixes], device=ecg_BH.device)
    mask = torch.arange(length, device=ecg_BH.device) < length_B[:, None]
    hidden_B0H = ecg_BH.new_zeros(len(prefixes), 0, ecg_BH.shape[1])
    return Continuation(cache, mask, length_B, hidden_B0H), ecg_BH


def _padded(of_tokens: Tensor, length: int) -> Tensor:
    """[heads, length, width]; what is added on the right is masked away."""
    missing = length - of_tokens.shape[1]
    return functional.pad(of_tokens, (0, 0, 0, missing)) if missing else of_tokens


def question_embeddings(
    model: TrueLeadForConditionalGeneration, batch: Batch, prefix_GPH: Tensor
) -> Tensor:
    """embeds_BSH of the question rows, a severity slot filled from their group's prefix.

    Raises:
        SpliceError: a row lacks the severity slot that the model has.
    """
    ecg_BH = None
    if model.severity_slot is not None:
        ecg_GH = masked_mean(prefix_GPH, batch.prefix_ids_GP == model.config.ecg_token_id)
        ecg_BH = ecg_GH[batch.group_B]
    return _with_slot(model, batch, ecg_BH)


def _with_slot(
    model: TrueLeadForConditionalGeneration, batch: Batch, ecg_BH: Tensor | None
) -> Tensor:
    embeds_BSH: Tensor = model.get_input_embeddings()(batch.input_ids_BS)
    if model.severity_slot is not None:
        assert ecg_BH is not None, "a slot reads the mean of the ECG tokens"
        embeds_BSH = model.severity_slot(
            embeds_BSH, batch.input_ids_BS, batch.told_stratum_B, ecg_BH
        )
    return embeds_BSH


def answer_loss(model: TrueLeadForConditionalGeneration, batch: Batch) -> AnswerLoss:
    """Negative log-likelihood of the answers; logits are computed at answer positions only.

    Raises:
        SpliceError: placeholders and ECGs of a group disagree.
    """
    hidden_BSH = read_questions(model, batch).hidden_BSH
    # A hidden state predicts the next token; the first token of a row is never an answer.
    target_BS = batch.labels_BS[:, 1:]
    answer_BS = target_BS != IGNORED_LABEL
    logits = model.get_output_embeddings()(hidden_BSH[:, :-1][answer_BS])
    nll = functional.cross_entropy(logits.float(), target_BS[answer_BS], reduction="none")
    row = answer_BS.nonzero()[:, 0]
    loss_B = torch.zeros(batch.rows, device=nll.device).index_add(0, row, nll)
    return AnswerLoss(loss_B, answer_BS.sum(dim=1))
