"""The encoder that is never trained: drawn once from the seed, and frozen."""

from __future__ import annotations

from pathlib import Path

import pytest

from truelead.config import ArmConfig, Recipe, StageConfig
from truelead.errors import ConfigError
from truelead.train.language_stage import _first_encoder
from truelead.train.random_encoder import ensure_random_encoder


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    arms = (ArmConfig(name="erm"), ArmConfig(name="control", encoder="random"))
    return Recipe(name="here", output=tmp_path, arms=arms)


def test_it_is_drawn_from_the_seed_and_kept(recipe: Recipe) -> None:
    folder = _first_encoder(recipe, "control")
    assert folder == ensure_random_encoder(recipe) == recipe.output / "encoder-random" / "encoder"
    weights = folder / "encoder.safetensors"
    first, written = weights.read_bytes(), weights.stat().st_mtime_ns
    ensure_random_encoder(recipe)
    assert weights.stat().st_mtime_ns == written
    ensure_random_encoder(recipe.model_copy(update={"seed": 1}))
    assert weights.read_bytes() != first
    ensure_random_encoder(recipe)
    assert weights.read_bytes() == first
    assert _first_encoder(recipe, "erm") == recipe.output / "encoder"


def test_it_is_not_trained(recipe: Recipe) -> None:
    trained = recipe.model_copy(update={"finetune": StageConfig(encoder_learning_rate=1e-4)})
    with pytest.raises(ConfigError, match=r"control: encoder: random: .*encoder_learning_rate 0"):
        _first_encoder(trained, "control")
