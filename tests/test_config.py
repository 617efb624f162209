"""A recipe is checked whole before any work, and its errors name the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from truelead.config import Recipe, load_recipe, parse_recipe
from truelead.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"name": "x", "pretain": {}}, "unknown key 'pretain', did you mean 'pretrain'"),
        ({"name": "x", "pretrain": {"step": 3}}, "unknown key 'pretrain.step'"),
        ({"name": "x", "arms": [{"name": "a", "fine": 1}]}, "unknown key 'arms.0.fine'"),
        ({"name": "x", "pretrain": {"steps": "many"}}, "pretrain.steps"),
        ({"name": "x", "train": {"zero_stage": 7}}, "train.zero_stage"),
        ({}, "name"),
        ({"name": "x", "arms": [{"name": "a"}, {"name": "a"}]}, "distinct names"),
    ],
)
def test_one_line_names_the_wrong_key(tree: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe(tree)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overrides_reach_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\narms: [{name: a}, {name: b}]\n", encoding="utf-8")
    recipe = load_recipe(
        path, ["pretrain.steps=7", "encoder.options.width=64", "arms.1.pretrain=ipw", "seed=3"]
    )
    assert recipe.pretrain.steps == 7
    assert recipe.encoder.options == {"width": 64}
    assert recipe.arm("b").pretrain.strategy == "ipw"
    assert recipe.arm("a").pretrain.strategy == "none"
    assert recipe.seed == 3


def test_options_of_an_arm_come_on_top_of_the_stage() -> None:
    recipe = parse_recipe(
        {
            "name": "x",
            "pretrain": {"options": {"clip": 5.0, "estimation_epochs": 2}},
            "arms": [{"name": "a", "pretrain": "ipw", "pretrain_options": {"clip": 3.0}}],
        }
    )
    assert recipe.arm("a").pretrain.options == {"clip": 3.0, "estimation_epochs": 2}
    assert recipe.arm("a").finetune.options == {}


@pytest.mark.parametrize("override", ["pretrain.steps", "=3", "seed.deep=1", "arms.9.name=a"])
def test_bad_overrides_are_refused(tmp_path: Path, override: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\narms: [{name: a}]\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        load_recipe(path, [override])


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a recipe file"):
        load_recipe(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected YAML"):
        load_recipe(broken)
    broken.write_text("- a\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected a mapping"):
        load_recipe(broken)


def test_a_recipe_cannot_be_changed() -> None:
    recipe = Recipe(name="x")
    with pytest.raises(ValidationError):
        recipe.seed = 1  # type: ignore[misc]
    with pytest.raises(ConfigError, match="expected one of erm, debiased"):
        recipe.arm("other")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "jobs" / "recipes").glob("*.yaml")))
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert load_recipe(path).name == path.stem


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"questions": {"wording_fold": 3}}, "wording_fold: expected 0 to 2"),
        (
            {"questions": {"wording_fold": 1, "trained_wordings": "template"}},
            "trained_wordings: template: expected wording_fold 0",
        ),
        (
            {
                "questions": {"wording_fold": 1},
                "arms": [{"name": "one", "trained_wordings": "paraphrased"}],
            },
            "one: trained_wordings: expected questions.wording_fold 0",
        ),
    ],
)
def test_wordings_that_cannot_be_split_so_are_refused(tree: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_recipe({"name": "here", **tree})


def test_an_arm_may_train_in_other_wordings() -> None:
    arms = [{"name": "all"}, {"name": "own", "trained_wordings": "template"}]
    recipe = parse_recipe({"name": "here", "arms": arms})
    assert recipe.arm("all").questions == recipe.questions
    assert recipe.arm("own").questions.trained_wordings == "template"
