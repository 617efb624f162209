"""A trained language model in the hub's layouts, for programs that know nothing of TrueLead.

Two layouts, data only: a causal language model as transformers and servers like vLLM read it
(`config.json` with `architectures`, safetensors with or without an index, tokenizer,
`generation_config.json`), and an adapter as PEFT reads it. Both are the language model alone: it
reads words. ECGs reach it as embeddings in place of the placeholder's, which the encoder and
projector of the whole model make.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedTokenizerBase

from truelead.errors import ModelError
from truelead.model.language_model import has_lora
from truelead.model.modeling import TrueLeadForConditionalGeneration

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_ADAPTER = "default"
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def write_language_model(
    folder: Path,
    model: TrueLeadForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    *,
    dtype: torch.dtype = torch.float32,
    largest_shard: str = "5GB",
) -> None:
    """Write the language model of `model`, which holds no adapters, alone.

    Args:
        model: its language model is changed to `dtype`.
        dtype: of the weights as written.
        largest_shard: size of a weights file above which there are several, with an index.

    Raises:
        ModelError: the folder written is not what loaders expect.
    """
    language_model = model.language_model.to(dtype)
    language_model.generation_config = model.generation_config
    language_model.save_pretrained(folder, max_shard_size=largest_shard)
    tokenizer.save_pretrained(folder)
    check_layout(folder)


def check_layout(folder: Path) -> None:
    """Check what a loader of causal language models looks for.

    Raises:
        ModelError: a file or a key is missing, or the files do not belong together.
    """
    for name in (
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: expected {name}, found none")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for key in ("architectures", "model_type", "vocab_size"):
        if not config.get(key):
            raise ModelError(f"{folder / 'config.json'}: expected {key}, found none")
    if found := [p.name for p in folder.iterdir() if p.suffix in _PICKLES]:
        raise ModelError(f"{folder}: expected safetensors only, found {found[0]}")
    index = folder / "model.safetensors.index.json"
    files = [folder / "model.safetensors"]
    named: set[str] | None = None
    if index.is_file():
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files, named = sorted({folder / name for name in places.values()}), set(places)
    held: set[str] = set()
    for file in files:
        if not file.is_file():
            raise ModelError(f"{folder}: expected {file.name}, found none")
        with safe_open(file, framework="pt") as tensors:
            held |= set(tensors.keys())
    if named is not None and named != held:
        raise ModelError(f"{index}: expected the names of all weights, and no others")


def save_adapter(folder: Path, language_model: nn.Module) -> None:
    """Write the LoRA adapters inside `language_model` as PEFT does, without the rest.

    Raises:
        ModelError: there are none.
    """
    if not has_lora(language_model):
        raise ModelError(f"{folder}: expected a language model with adapters, found none")
    layers = {
        name: layer
        for name, layer in language_model.named_modules()
        if isinstance(layer, LoraLayer)
    }
    first = next(iter(layers.values()))
    config = LoraConfig(
        r=first.r[_ADAPTER],
        lora_alpha=first.lora_alpha[_ADAPTER],
        target_modules=sorted(layers),
        task_type="CAUSAL_LM",
        fan_in_fan_out=bool(getattr(first, "fan_in_fan_out", False)),
        inference_mode=True,
    )
    tensors = {}
    for name, layer in layers.items():
        for part in ("lora_A", "lora_B"):
            weight = getattr(layer, part)[_ADAPTER].weight
            key = f"base_model.model.{name}.{part}.weight"
            tensors[key] = weight.detach().cpu().contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(str(folder))
