"""All questions about an ECG behind one shared prefix.

The prefix of a group (its one or two ECGs) runs once into a key-value cache; the cache is repeated
for the group's question rows, and gradients flow back through it. The result equals running every
question with its own copy of the ECG, which a test proves.

Shape suffixes: G groups, B question rows, P tokens of the prefix, S tokens of a question row,
H LLM width, V vocabulary.
"""

from __future__ import annotations

import copy
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
    return _read_prefixes(model, batch, prefix_embeddings(model, batch))


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


def _read_prefixes(
    model: TrueLeadForConditionalGeneration, batch: Batch, embeds_GPH: Tensor
) -> Continuation:
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
    prefix_GPH = prefix_embeddings(model, batch)
    before = _read_prefixes(model, batch, prefix_GPH).repeat(batch.group_B)
    embeds_BSH = question_embeddings(model, batch, prefix_GPH)
    return _read(
        model, before.cache, before.mask, before.length_B, batch.mask_BS, inputs_embeds=embeds_BSH
    )


def question_embeddings(
    model: TrueLeadForConditionalGeneration, batch: Batch, prefix_GPH: Tensor
) -> Tensor:
    """embeds_BSH of the question rows, a severity slot filled from their group's prefix.

    Raises:
        SpliceError: a row lacks the severity slot that the model has.
    """
    embeds_BSH: Tensor = model.get_input_embeddings()(batch.input_ids_BS)
    if model.severity_slot is not None:
        ecg_GH = masked_mean(prefix_GPH, batch.prefix_ids_GP == model.config.ecg_token_id)
        embeds_BSH = model.severity_slot(
            embeds_BSH, batch.input_ids_BS, batch.told_stratum_B, ecg_GH[batch.group_B]
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
