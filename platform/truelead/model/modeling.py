"""The composed model: encoder, projector, language model, and perhaps a severity slot.

Shape suffixes: N ECGs in the batch, L leads (12), T samples, P patches, K tokens an ECG, D encoder
width, H LLM width, B sequences, S tokens, E ECG slots (2).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from truelead.model.batch import AnswerLoss, Batch
from truelead.model.configuration import TrueLeadConfig
from truelead.model.encoder import Encoder, make_encoder
from truelead.model.grouped import answer_loss
from truelead.model.language_model import merged_state
from truelead.model.packed import packed_answer_loss
from truelead.model.projector import make_projector
from truelead.model.severity_slot import (
    NOT_TOLD,
    SeveritySlot,
    make_severity_slot,
    masked_mean,
)
from truelead.model.splice import splice

_ECG_INPUTS = ("ecg_NLT", "features_NPD", "ecg_index_BE")


class TrueLeadForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """A causal language model that reads one or two ECGs among its words.

    The encoder always stays in evaluation mode: its batch statistics are those of its own
    pre-training, so that cached features, training and answering see the same numbers.
    """

    config_class = TrueLeadConfig
    base_model_prefix = "truelead"
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: TrueLeadConfig) -> None:
        super().__init__(config)
        self.encoder = make_encoder(config.encoder_name, config.encoder_options, config.samples)
        self.projector = make_projector(
            config.projector_name,
            config.projector_options,
            self.encoder.width,
            config.text_config.hidden_size,
        )
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.severity_slot: SeveritySlot | None = None
        if config.severity_slot is not None:
            self.severity_slot = make_severity_slot(
                config.severity_slot, config.text_config.hidden_size
            )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Encoder and projector initialise themselves; the language model has its own rule."""

    def train(self, mode: bool = True) -> TrueLeadForConditionalGeneration:
        super().train(mode)
        self.encoder.eval()
        return self

    def get_input_embeddings(self) -> nn.Module:
        embeddings: nn.Module = self.language_model.get_input_embeddings()
        return embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        head: nn.Module = self.language_model.get_output_embeddings()
        return head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    def encode(self, ecg_NLT: Tensor) -> Tensor:
        """features_NPD of standardised ECGs."""
        dtype = next(self.encoder.parameters()).dtype
        features_NPD: Tensor = self.encoder(ecg_NLT.to(dtype))
        return features_NPD

    def ecg_tokens(
        self, *, ecg_NLT: Tensor | None = None, features_NPD: Tensor | None = None
    ) -> Tensor:
        """tokens_NKH of ECGs, or of features that `encode` gave."""
        if features_NPD is None:
            assert ecg_NLT is not None, "ECGs or features are needed"
            features_NPD = self.encode(ecg_NLT)
        # ZeRO-3 leaves an empty shard of a weight here, whose dtype is still the right one.
        dtype = self.projector.output_norm.weight.dtype
        tokens_NKH: Tensor = self.projector(features_NPD.to(dtype))
        return tokens_NKH

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        ecg_NLT: Tensor | None = None,
        features_NPD: Tensor | None = None,
        ecg_index_BE: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        told_stratum_B: Tensor | None = None,
        batch: Batch | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast | AnswerLoss:
        """With `batch` the grouped answer loss; else the ordinary forward of the hub's models.

        Args:
            input_ids: long [B, S], with K placeholders for each ECG of a sequence.
            ecg_NLT: standardised ECGs; or features_NPD: their features.
            ecg_index_BE: which ECGs a sequence holds, in order, -1 where none.
            labels: long [B, S], -100 where no loss is wanted; shifted inside.
            told_stratum_B: long, severity stratum that a strata slot reads; -1, as without it,
                where none is told.
            batch: groups of questions (`grouped.answer_loss`, or `packed.packed_answer_loss` where
                it has a layout); nothing else is read then.

        Raises:
            SpliceError: placeholders and ECGs disagree; a sequence lacks the severity slot that
                the model has.
        """
        if batch is not None:
            return (answer_loss if batch.layout is None else packed_answer_loss)(self, batch)
        if inputs_embeds is None:
            assert input_ids is not None, "input_ids or inputs_embeds is needed"
            inputs_embeds = self.get_input_embeddings()(input_ids)
            is_first = past_key_values is None or past_key_values.get_seq_length() == 0
            # Tokens read after the prompt hold no ECG, and come without one.
            if ecg_NLT is not None or features_NPD is not None:
                assert ecg_index_BE is not None, "ECGs come with ecg_index_BE"
                tokens_NKH = self.ecg_tokens(ecg_NLT=ecg_NLT, features_NPD=features_NPD)
                inputs_embeds = splice(
                    inputs_embeds, input_ids, tokens_NKH, ecg_index_BE, self.config.ecg_token_id
                )
            elif is_first:
                none_NKH = inputs_embeds.new_zeros(0, self.projector.tokens, inputs_embeds.shape[2])
                none_BE = input_ids.new_full((len(input_ids), 1), -1)
                splice(inputs_embeds, input_ids, none_NKH, none_BE, self.config.ecg_token_id)
            if is_first and self.severity_slot is not None:
                if told_stratum_B is None:
                    told_stratum_B = input_ids.new_full((len(input_ids),), NOT_TOLD)
                ecg_BH = masked_mean(inputs_embeds, input_ids == self.config.ecg_token_id)
                inputs_embeds = self.severity_slot(inputs_embeds, input_ids, told_stratum_B, ecg_BH)
        output: CausalLMOutputWithPast = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        return output

    def prepare_inputs_for_generation(
        self, *args: Any, is_first_iteration: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """ECGs are read with the prompt; later tokens find them in the cache."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            *args, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            for name in _ECG_INPUTS:
                inputs.pop(name, None)
        return inputs

    def _expand_inputs_for_generation(
        self, *args: Any, **kwargs: Any
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Sequences are repeated for beams; the ECGs, which they point to, are not."""
        ecgs = {name: kwargs.pop(name, None) for name in _ECG_INPUTS[:2]}
        input_ids, model_inputs = super()._expand_inputs_for_generation(*args, **kwargs)
        return input_ids, {**model_inputs, **ecgs}

    def save_pretrained(
        self, save_directory: str | Path, *args: Any, state_dict: Any = None, **kwargs: Any
    ) -> None:
        """As the hub's; adapters are merged into the saved weights, not into this model's."""
        super().save_pretrained(
            save_directory, *args, state_dict=merged_state(self, state_dict), **kwargs
        )


@torch.no_grad()
def compose(
    config: TrueLeadConfig, encoder: Encoder | None, language_model: PreTrainedModel
) -> TrueLeadForConditionalGeneration:
    """A model of ready parts, with a fresh projector at the scale of the word embeddings.

    Args:
        config: describes the parts; see `TrueLeadConfig`.
        encoder: a trained encoder, or None for a freshly initialised one.
        language_model: used as it is, not copied.
    """
    # On the meta device nothing large is built twice; the parts are put in right after.
    with torch.device("meta"):
        model = TrueLeadForConditionalGeneration(config)
    model.encoder = (
        encoder
        if encoder is not None
        else make_encoder(config.encoder_name, config.encoder_options, config.samples)
    )
    model.language_model = language_model
    model.projector = make_projector(
        config.projector_name,
        config.projector_options,
        model.encoder.width,
        config.text_config.hidden_size,
    )
    model.projector.match_scale(model.get_input_embeddings())
    if config.severity_slot is not None:
        model.severity_slot = make_severity_slot(
            config.severity_slot, config.text_config.hidden_size
        )
        model.severity_slot.match_scale(model.get_input_embeddings())
    model.generation_config = language_model.generation_config
    return model.train()
