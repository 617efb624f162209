"""How each part learns: the new keys, the older ones, and where both are given."""

from __future__ import annotations

from typing import Any

import pytest

from truelead.config import Recipe, parse_recipe
from truelead.errors import ConfigError


def recipe_of(parts: dict[str, Any], **changes: Any) -> Recipe:
    stage = {"learning_rate": 1e-3, "parts": parts, **changes.pop("stage", {})}
    return parse_recipe({"name": "x", "pretrain": stage, **changes})


def test_the_older_keys_alone_mean_what_they_meant() -> None:
    parts = recipe_of({}).parts("pretrain")
    assert (parts.encoder.train, parts.encoder.learning_rate) == ("frozen", 0.0)
    assert (parts.projector.train, parts.projector.learning_rate) == ("full", 1e-3)
    assert (parts.language_model.train, parts.language_model.learning_rate) == ("full", 1e-3)
    older = recipe_of(
        {}, stage={"encoder_learning_rate": 2e-4}, language_model={"train": "lora", "lora_rank": 3}
    )
    parts = older.parts("pretrain")
    assert (parts.encoder.train, parts.encoder.learning_rate) == ("full", 2e-4)
    assert (parts.language_model.train, parts.language_model.lora_rank) == ("lora", 3)
    assert older.trains_encoder("pretrain")
    assert not older.trains_encoder("finetune")


def test_the_parts_own_keys_come_first() -> None:
    recipe = recipe_of(
        {
            "encoder": {"train": "lora", "learning_rate": 1e-5, "lora_rank": 2},
            "projector": {"learning_rate": 5e-4},
            "language_model": {"train": "frozen"},
        },
        language_model={"train": "lora", "lora_alpha": 7},
    )
    parts = recipe.parts("pretrain")
    assert parts.encoder.model_dump() == {
        "train": "lora",
        "learning_rate": 1e-5,
        "lora_rank": 2,
        "lora_alpha": 7,
    }
    assert (parts.projector.train, parts.projector.learning_rate) == ("full", 5e-4)
    assert (parts.language_model.train, parts.language_model.learning_rate) == ("frozen", 0.0)
    assert recipe.parts("finetune").language_model.train == "lora"


@pytest.mark.parametrize(
    ("parts", "stage", "message"),
    [
        ({"encoder": {"train": "full"}}, {}, "encoder: learning_rate: expected one"),
        ({"encoder": {"train": "frozen"}}, {"encoder_learning_rate": 1e-4}, "encoder_learning_rat"),
        ({"projector": {"train": "frozen", "learning_rate": 1.0}}, {}, "expected none for a froz"),
        (
            {"projector": {"train": "frozen"}, "language_model": {"train": "frozen"}},
            {},
            "pretrain.parts: expected a part that learns",
        ),
    ],
)
def test_contradictions_are_refused(
    parts: dict[str, Any], stage: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_of(parts, stage=stage)
