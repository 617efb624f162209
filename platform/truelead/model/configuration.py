"""Configuration of the composed model, in the hub's format (`config.json`)."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PretrainedConfig

from truelead.errors import ModelError
from truelead.model.answer_rule import check_rule


class TrueLeadConfig(PretrainedConfig):
    """Sizes and parts of a `TrueLeadForConditionalGeneration`.

    Args:
        text_config: configuration of the language model, or a mapping with its `model_type`.
        encoder_name, encoder_options: a name of `ENCODERS` and its arguments.
        samples: T, samples of a standardised ECG.
        projector_name, projector_options: a name of `PROJECTORS` and its arguments.
        ecg_token_id: id of the placeholder that ECG tokens replace.
        severity_slot: arguments of `make_severity_slot`; None: questions stand alone.
        answer_rule: how closed questions are answered (`truelead.model.answer_rule`); None: by
            the likelihood of their options.

    Raises:
        ModelError: `text_config` is a mapping without a known `model_type`; the answer rule does
            not exist or does not fit the slot.
    """

    model_type = "truelead"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012  (the hub's own convention)

    def __init__(
        self,
        text_config: PretrainedConfig | dict[str, Any] | None = None,
        encoder_name: str = "resnet1d",
        encoder_options: dict[str, Any] | None = None,
        samples: int = 1000,
        projector_name: str = "mlp",
        projector_options: dict[str, Any] | None = None,
        ecg_token_id: int = 3,
        severity_slot: dict[str, Any] | None = None,
        answer_rule: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if text_config is None:
            text_config = {"model_type": "llama"}
        if isinstance(text_config, dict):
            values = dict(text_config)
            try:
                text_config = AutoConfig.for_model(values.pop("model_type"), **values)
            except (KeyError, ValueError) as error:
                raise ModelError(
                    "text_config: model_type: expected a language model that transformers knows"
                ) from error
        resolved: Any = text_config
        self.text_config = resolved
        self.encoder_name = encoder_name
        self.encoder_options = dict(encoder_options or {})
        self.samples = samples
        self.projector_name = projector_name
        self.projector_options = dict(projector_options or {})
        self.ecg_token_id = ecg_token_id
        self.severity_slot = severity_slot
        check_rule(answer_rule, severity_slot)
        self.answer_rule = answer_rule
        # The language model ties its own weights where its own configuration says so.
        kwargs["tie_word_embeddings"] = resolved.tie_word_embeddings
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            kwargs.setdefault(name, getattr(resolved, name, None))
        super().__init__(**kwargs)
