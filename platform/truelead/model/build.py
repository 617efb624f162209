"""From a recipe or a saved folder to a model and its processor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from truelead.config import LanguageModelConfig, PartsLearning, Recipe
from truelead.errors import ModelError
from truelead.model.answer_rule import check_rule
from truelead.model.configuration import TrueLeadConfig
from truelead.model.encoder import build_encoder, load_encoder
from truelead.model.feature_extraction import EcgFeatureExtractor
from truelead.model.language_model import (
    add_lora,
    build_small_language_model,
    load_language_model,
    resize_embeddings,
)
from truelead.model.modeling import TrueLeadForConditionalGeneration, compose
from truelead.model.processing import TrueLeadProcessor
from truelead.model.severity_slot import (
    QUESTION_END,
    SEVERITY,
    SEVERITY_SLOTS,
    check_prior,
    make_severity_slot,
)
from truelead.model.tokenizer import (
    ECG_PLACEHOLDER,
    add_ecg_tokens,
    add_special_tokens,
    train_tokenizer,
)


def build_model(
    recipe: Recipe, encoder_folder: str | Path | None, corpus: Iterable[str]
) -> tuple[TrueLeadForConditionalGeneration, TrueLeadProcessor]:
    """A model at the start of language-model training, and its processor.

    Args:
        recipe: `encoder`, `projector`, `language_model`, `data` and `seed` are read.
        encoder_folder: a pre-trained encoder (`Encoder.save`), or None for a fresh one.
        corpus: training texts, for the tokenizer of the small language model; not read when the
            recipe names a language model.

    Returns:
        The model in training mode, with the language model trainable as the recipe says and the
        encoder trainable only where a stage gives it a learning rate.

    Raises:
        ModelError: a part cannot be built or loaded, or parts do not fit each other.
    """
    feature_extractor = EcgFeatureExtractor(
        sampling_rate=float(recipe.data.sampling_rate), seconds=recipe.data.duration_seconds
    )
    wanted = recipe.language_model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if encoder_folder is not None:
            encoder = load_encoder(encoder_folder)
        else:
            encoder = build_encoder(recipe.encoder, feature_extractor.samples)
        if encoder.samples != feature_extractor.samples:
            raise ModelError(
                f"{encoder_folder}: expected an encoder for {feature_extractor.samples} samples "
                f"(data.sampling_rate x data.duration_seconds), found {encoder.samples}"
            )
        if wanted.path is None:
            tokenizer = train_tokenizer(corpus, wanted.vocabulary_size)
            language_model = build_small_language_model(wanted, tokenizer)
        else:
            language_model, tokenizer = load_language_model(wanted.path, wanted.revision)
            resize_embeddings(language_model, len(tokenizer), add_ecg_tokens(tokenizer))
        config = TrueLeadConfig(
            text_config=language_model.config,
            encoder_name=encoder.name,
            encoder_options=encoder.options,
            samples=encoder.samples,
            projector_name=recipe.projector.name,
            projector_options=recipe.projector.options,
            ecg_token_id=tokenizer.convert_tokens_to_ids(ECG_PLACEHOLDER),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        model = compose(config, encoder, language_model)
        train_encoder = recipe.trains_encoder("pretrain") or recipe.trains_encoder("finetune")
        prepare_for_training(model, wanted, train_encoder=train_encoder)
    processor = TrueLeadProcessor(
        feature_extractor, tokenizer, tokens_per_ecg=model.projector.tokens
    )
    return model, processor


def prepare_for_training(
    model: TrueLeadForConditionalGeneration,
    config: LanguageModelConfig,
    *,
    train_encoder: bool = False,
) -> TrueLeadForConditionalGeneration:
    """Say which parameters learn, adding adapters where `config.train` is "lora".

    The projector always learns. A model from `load_model` (whose adapters, if any, were merged on
    saving) goes through here before its next stage.
    """
    model.requires_grad_(True)
    model.encoder.requires_grad_(train_encoder)
    if config.train == "frozen":
        model.language_model.requires_grad_(False)
    elif config.train == "lora":
        add_lora(model.language_model, config.lora_rank, config.lora_alpha)
    return model.train()


def prepare_parts(
    model: TrueLeadForConditionalGeneration, parts: PartsLearning
) -> TrueLeadForConditionalGeneration:
    """Say how each part learns: whole, by new adapters on its linear layers, or not at all.

    What belongs to no part (a severity slot) always learns. A model from `load_model` goes through
    here before its next stage.
    """
    model.requires_grad_(True)
    for name, learning in parts:
        part = getattr(model, name)
        if learning.train == "frozen":
            part.requires_grad_(False)
        elif learning.train == "lora":
            add_lora(part, learning.lora_rank, learning.lora_alpha)
    return model.train()


@torch.no_grad()
def fit_to_strategy(
    model: TrueLeadForConditionalGeneration,
    processor: TrueLeadProcessor,
    *,
    seed: int,
    severity_slot: Mapping[str, Any] | None = None,
    answer_rule: dict[str, Any] | None = None,
) -> None:
    """Give a model what a training strategy asks of it, in place, before it is trained.

    A slot that the model has already stays with what it has learned, and takes the new P(s).

    Args:
        seed: of a new slot's parameters.
        severity_slot: "kind" and "prior" (`truelead.model.severity_slot`); None: as it is.
        answer_rule: how closed questions will be answered; None: by likelihood.

    Raises:
        ModelError: the model has a slot of another kind or size; the rule does not fit it.
    """
    if severity_slot is not None:
        kind, prior = severity_slot["kind"], check_prior(severity_slot["prior"])
        if model.severity_slot is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                _add_severity_slot(model, processor, kind, prior)
        else:
            found = model.config.severity_slot
            if (found["kind"], len(found["prior"])) != (kind, len(prior)):
                raise ModelError(
                    f"severity_slot: expected the model's own, {found['kind']} of "
                    f"{len(found['prior'])}, found a strategy with {kind} of {len(prior)}"
                )
            model.config.severity_slot = {**found, "prior": list(prior)}
            model.severity_slot.prior = prior
    check_rule(answer_rule, model.config.severity_slot)
    model.config.answer_rule = answer_rule


def _add_severity_slot(
    model: TrueLeadForConditionalGeneration,
    processor: TrueLeadProcessor,
    kind: str,
    prior: tuple[float, ...],
) -> None:
    if kind not in SEVERITY_SLOTS:
        known = ", ".join(SEVERITY_SLOTS)
        raise ModelError(f"severity_slot: kind: expected one of {known}, found {kind!r}")
    tokenizer = processor.tokenizer
    before, after = SEVERITY_SLOTS[kind].WORDS
    new_ids = add_special_tokens(tokenizer, [*before, *after])
    resize_embeddings(model.language_model, len(tokenizer), new_ids)
    text_config = model.language_model.config
    model.config.text_config.vocab_size = text_config.vocab_size
    options: dict[str, Any] = {"kind": kind, "prior": list(prior)}
    options["token_id"] = int(tokenizer.convert_tokens_to_ids(SEVERITY))
    if QUESTION_END in after:
        options["question_end_id"] = int(tokenizer.convert_tokens_to_ids(QUESTION_END))
    slot = make_severity_slot(options, text_config.hidden_size)
    slot.match_scale(model.get_input_embeddings())
    model.severity_slot = slot.to(model.device)
    model.config.severity_slot = options
    processor.set_severity_slot(kind)


def load_model(
    folder: str | Path, device: str | torch.device | None = None
) -> tuple[TrueLeadForConditionalGeneration, TrueLeadProcessor]:
    """The model and processor that `save_model` wrote, in evaluation mode.

    Raises:
        ModelError: the folder holds no whole TrueLead model.
    """
    folder = Path(folder)
    for name in ("config.json", "processor_config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: expected a model folder with {name}, found none")
    try:
        config = TrueLeadConfig.from_pretrained(folder, local_files_only=True)
        model, found = TrueLeadForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        processor = TrueLeadProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder}: expected a whole TrueLead model: {reason}") from error
    # What is missing would be filled with random numbers, and answer all the same.
    for key, problem in (("missing_keys", "without"), ("mismatched_keys", "with a misfitting")):
        if found[key]:
            name = sorted(str(one) for one in found[key])[0]
            raise ModelError(
                f"{folder}: expected a whole TrueLead model, found one {problem} {name}"
            )
    if device is not None:
        model.to(device)
    return model.eval(), processor


def save_model(
    folder: str | Path, model: TrueLeadForConditionalGeneration, processor: TrueLeadProcessor
) -> Path:
    """Write both in the hub's layout: configuration, safetensors, tokenizer, processor."""
    folder = Path(folder)
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder
