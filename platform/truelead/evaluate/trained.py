"""What a run trained, for the report: sizes, steps, seeds and the draws' diagnostics."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from truelead.config import Recipe
from truelead.evaluate.report import ArmDescription


def arm_description(recipe: Recipe, arm: str, folders: Sequence[Path]) -> ArmDescription:
    """Strategies, seeds and size of an arm.

    Args:
        folders: its runs' models, each with the recipe.yaml of its training.
    """
    known = next((one for one in recipe.arms if one.name == arm), None)
    return ArmDescription(
        name=arm,
        pretrain=known.pretrain if known else "not in the recipe",
        finetune=known.finetune if known else "not in the recipe",
        runs=len(folders),
        seeds=_seeds(folders),
        parameters=_parameters(folders[0] / "model.safetensors"),
    )


def training_facts(recipe: Recipe) -> dict[str, str]:
    """The run's sizes and lengths in words."""
    language, encoder = recipe.language_model, recipe.encoder_training
    model = (
        language.path
        or f"{language.layers} layers of width {language.hidden_size}, {language.heads} heads, "
        f"{language.vocabulary_size:,} tokens"
    )
    facts = {
        "ECG encoder": f"{recipe.encoder.name}, {encoder.objective}, {encoder.epochs} epochs",
        "projector": recipe.projector.name,
        "language model": f"{model}, trained: {language.train}",
    }
    for name, stage in (("pre-training", recipe.pretrain), ("tuning", recipe.finetune)):
        facts[name] = (
            f"{stage.steps:,} steps of {stage.ecgs_per_step} ECGs with "
            f"{stage.questions_per_ecg} questions each, {stage.optimizer}"
        )
    return facts


def encoder_metrics(path: Path) -> Mapping[str, Any] | None:
    """The content of the encoder stage's metrics.json, None where there is none."""
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else None


def draw_diagnostics(runs: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, dict[str, float]]]:
    """Causal diagnostics that each arm's first run wrote of its draws, stage by stage."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for arm, folders in runs.items():
        for stage in ("pretrain", "finetune"):
            path = folders[0].parent / stage / "diagnostics.json"
            if path.is_file():
                values = json.loads(path.read_text(encoding="utf-8"))
                found.setdefault(arm, {})[stage] = {
                    name: float(value)
                    for name, value in values.items()
                    if isinstance(value, int | float)
                }
    return found


def _seeds(folders: Sequence[Path]) -> tuple[int, ...]:
    seeds = []
    for folder in folders:
        path = folder / "recipe.yaml"
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not isinstance(found.get("seed"), int):
            return ()
        seeds.append(found["seed"])
    return tuple(seeds)


def _parameters(path: Path) -> int | None:
    """Numbers in a file of weights, from its header; None where the model is in several files."""
    if not path.is_file():
        return None
    with safe_open(path, framework="numpy") as weights:
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
