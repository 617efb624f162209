"""The language model: a small Llama built from sizes, or any Hugging Face causal LM, with LoRA.

Nothing here runs code from a checkpoint: no remote code, no pickle, and hub models only at the
commit that the recipe pins.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D

from truelead.config import LanguageModelConfig
from truelead.errors import ModelError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ADAPTER = "default"


def build_small_language_model(
    config: LanguageModelConfig, tokenizer: PreTrainedTokenizerBase
) -> LlamaForCausalLM:
    """A freshly initialised Llama (Touvron et al. 2023) of the sizes in `config`.

    Raises:
        ModelError: the hidden size is no even multiple of the heads.
    """
    if config.hidden_size % (2 * config.heads):
        raise ModelError(
            f"language_model.hidden_size: expected a multiple of {2 * config.heads} "
            f"(2 x {config.heads} heads), found {config.hidden_size}"
        )
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            # 8/3 of the hidden size, as in Llama, to the next multiple of 16.
            intermediate_size=-(-config.hidden_size * 8 // 3 // 16) * 16,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=2048,
            # Llama's own. 0.05 (nearer to 1/sqrt(128)) learned more slowly on PTB-XL, see LOG.md.
            initializer_range=0.02,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=False,
            attn_implementation="sdpa",
        )
    )


def load_language_model(
    path: str, revision: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal LM and its tokenizer from a local folder, or from the hub at a pinned commit.

    Raises:
        ModelError: a hub id without a 40-digit commit; nothing usable there; weights that are not
            safetensors; an architecture whose head is more than a matrix.
    """
    arguments: dict[str, Any] = {"trust_remote_code": False}
    if Path(path).is_dir():
        arguments["local_files_only"] = True
    else:
        if revision is None or not _COMMIT.fullmatch(revision):
            raise ModelError(
                f"language_model.revision: expected the 40-digit commit of hub model {path!r} "
                f"(or a local folder as path), found {revision!r}"
            )
        arguments["revision"] = revision
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, **arguments)
        model = AutoModelForCausalLM.from_pretrained(
            path, use_safetensors=True, dtype=torch.float32, **arguments
        )
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"language_model.path: expected a causal language model in {path!r}: {reason}"
        ) from error
    _check_plain_head(model, path)
    return model, tokenizer


@torch.no_grad()
def _check_plain_head(model: PreTrainedModel, path: str) -> None:
    """Logits are computed at answer positions only, from the output embeddings alone.

    Models that scale or cap their logits would silently train on other numbers.
    """
    ids = torch.tensor([[0, 1]], device=model.device)
    was_training = model.training
    model.eval()
    expected = model(input_ids=ids).logits
    hidden = model.base_model(input_ids=ids).last_hidden_state
    found = model.get_output_embeddings()(hidden)
    model.train(was_training)
    if not torch.allclose(expected, found, rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"language_model.path: {path!r} scales its logits after the output embeddings, "
            "which is not supported"
        )


@torch.no_grad()
def resize_embeddings(model: PreTrainedModel, vocabulary: int, new_ids: list[int]) -> None:
    """Make room for new tokens and start their embeddings at the mean of the others."""
    if vocabulary > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    for embedding in {model.get_input_embeddings(), model.get_output_embeddings()}:
        weight = embedding.weight
        old = torch.ones(weight.shape[0], dtype=torch.bool, device=weight.device)
        old[new_ids] = False
        weight[~old] = weight[old].mean(dim=0)


def add_lora(model: nn.Module, rank: int, alpha: int) -> None:
    """Freeze `model` and give its layers low-rank adapters (Hu et al. 2022), in place.

    Those are the linear layers of a language model but for its output layer, and the linear layers
    and convolutions of any other module.
    """
    of_language = isinstance(model, PreTrainedModel)
    kinds = (nn.Linear, nn.Conv1d)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules="all-linear"
        if of_language
        else [name for name, child in model.named_modules() if isinstance(child, kinds)],
        task_type="CAUSAL_LM" if of_language else None,
        fan_in_fan_out=any(isinstance(child, Conv1D) for child in model.modules()),
    )
    inject_adapter_in_model(config, model, adapter_name=_ADAPTER)


def has_lora(module: nn.Module) -> bool:
    """Whether `module` holds adapters."""
    return any(isinstance(child, LoraLayer) for child in module.modules())


def merged_state(module: nn.Module, state: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The state of `module` as if it had been trained without adapters.

    The adapters' product is added to a copy; the module itself keeps its weights bit for bit.

    Args:
        module: any module, with or without adapters inside.
        state: its state if gathered elsewhere (a sharded training); default its own.
    """
    state = dict(module.state_dict() if state is None else state)
    for name, layer in module.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        down = state.pop(f"{name}.lora_A.{_ADAPTER}.weight")
        up = state.pop(f"{name}.lora_B.{_ADAPTER}.weight")
        base = state.pop(f"{name}.base_layer.weight")
        # A convolution's second matrix is one of kernel 1: together they are one convolution.
        product = torch.tensordot(up.float().flatten(1), down.float(), dims=1)
        delta = product * layer.scaling[_ADAPTER]
        if getattr(layer, "fan_in_fan_out", False):  # GPT-2 keeps its matrices transposed
            delta = delta.T
        state[f"{name}.weight"] = (base.float() + delta).to(base.dtype)
        bias = state.pop(f"{name}.base_layer.bias", None)
        if bias is not None:
            state[f"{name}.bias"] = bias
    return state
