"""A stage as a training with LoRA leaves it: a whole model, and its adapters beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from truelead.model.adapter_writing import write_adapter
from truelead.model.build import fit_to_strategy, load_model, save_model
from truelead.model.export import save_adapter
from truelead.model.language_model import add_lora

HUB_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.3,
}
"""Of a language model in the hub's format, so small that it is made in no time."""

SLOT = {"kind": "strata", "prior": [0.5, 0.3, 0.2]}


def write_tuned_stage(
    base: Path, stage: Path, *, seed: int = 1, strategy: dict[str, Any] | None = None
) -> Path:
    """Go on from `base` as a tuning does: adapters, another projector, perhaps a severity slot."""
    model, processor = load_model(base)
    fit_to_strategy(model, processor, seed=seed, **(strategy or {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        add_lora(model.language_model, 3, 6)
        for name, parameter in model.named_parameters():
            if "lora_B" in name or name.startswith("projector"):
                parameter.data += 0.3 * torch.randn_like(parameter)
    save_adapter(stage / "adapter", model.language_model)
    save_model(stage, model.eval(), processor)
    return stage


def write_tuned_adapter(base: Path, stage: Path, folder: Path, **options: Any) -> Path:
    """The stage, and what it has beyond its base in a folder of its own."""
    write_tuned_stage(base, stage, **options)
    folder.mkdir(parents=True)
    write_adapter(folder, base=base, stage=stage, lora=stage / "adapter")
    return folder
