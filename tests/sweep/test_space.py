"""A space is refused before the first trial, in one line; a good one becomes recipes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from truelead.config import Recipe, load_recipe, parse_recipe
from truelead.errors import ConfigError
from truelead.sweep.checking import check_space
from truelead.sweep.distributions import DISTRIBUTIONS, parse_distribution
from truelead.sweep.driver import make_plan, run_sweep
from truelead.sweep.objective import trial_name
from truelead.sweep.sampling import draw, grid
from truelead.sweep.space import load_space, parse_space, with_values

REPOSITORY = Path(__file__).resolve().parents[2]
SPACES = sorted((REPOSITORY / "tune" / "spaces").glob("*.yaml"))

GOOD: dict[str, Any] = {
    "name": "two",
    "fixed": {"pretrain.strategy": "ipw"},
    "parameters": {
        "projector.name": {"choice": ["linear", "mlp"]},
        "pretrain.options.clip": {"loguniform": [2, 50]},
    },
    "trials": 5,
    "max_steps": 90,
    "scheduler": {"grace_steps": 10, "reduction": 3},
}


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return parse_recipe({"name": "swept", "output": str(tmp_path / "run")})


def space_with(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), **changes}


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["tiny", "ptbxl"])
def test_shipped_spaces_fit_the_shipped_recipes(path: Path, name: str) -> None:
    recipe = load_recipe(REPOSITORY / "jobs" / "recipes" / f"{name}.yaml")
    check_space(recipe, load_space(path))


def test_projection_clip_is_the_two_parameter_sweep() -> None:
    space = load_space(REPOSITORY / "tune" / "spaces" / "projection-clip.yaml")
    assert list(space.parameters) == ["projector.name", "pretrain.options.clip"]
    assert space.scheduler.name == "asha"
    assert space.fixed["pretrain.strategy"] == "ipw"


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({**GOOD, "trails": 3}, ["'trails'", "trials"]),
        ({k: v for k, v in GOOD.items() if k != "trials"}, ["trials"]),
        (space_with(trials=0), ["trials", "0"]),
        (space_with(metric="loss"), ["metric", "'loss'"]),
        (space_with(parameters={}), ["parameters"]),
        (space_with(scheduler={"name": "hyperband"}), ["scheduler.name", "'hyperband'"]),
        (space_with(scheduler={"name": "pbt"}), ["mutate", "pbt"]),
        (space_with(search={"name": "bayes"}), ["search.name", "'bayes'"]),
        (
            space_with(
                concurrent=2, scheduler={"name": "pbt", "mutate": ["pretrain.options.clip"]}
            ),
            ["concurrent", "take turns"],
        ),
        (space_with(objectives=["cost"]), ["objectives", "balanced"]),
        (space_with(constraints={"loss": 1}), ["constraints", "'loss'"]),
        (space_with(stages=["finetune"]), ["stages", "finetune"]),
        (space_with(deterministic=True, concurrent=2), ["concurrent", "deterministic"]),
        (
            space_with(
                deterministic=True,
                scheduler={"name": "pbt", "mutate": ["pretrain.options.clip"]},
            ),
            ["deterministic", "no seed"],
        ),
        (
            space_with(search={"name": "optuna", "multi_objective": True}),
            ["scheduler", "none", "asha"],
        ),
        (space_with(final={"baselines": {"plain": {}}}), ["baselines", "seeds"]),
        (space_with(storage="/a/path"), ["storage", "'/a/path'"]),
        (
            space_with(parameters={"severity": {"choice": ["ptbxl"], "when": ["a"]}}),
            ["severity", "when", "mapping"],
        ),
        (
            space_with(parameters={"severity": {"choice": ["ptbxl"], "points": 3}}),
            ["severity", "points", "range"],
        ),
        (space_with(scheduler={"reduction": 1}), ["scheduler.reduction"]),
        (space_with(parameters={"severity": {"choose": ["ptbxl"]}}), ["severity", "'choose'"]),
        (space_with(parameters={"severity": ["ptbxl"]}), ["severity", "choice"]),
        (space_with(parameters={"severity": {"choice": []}}), ["severity", "none"]),
        (space_with(parameters={"severity": {"choice": ["a", "a"]}}), ["severity", "distinct"]),
        (
            space_with(parameters={"pretrain.learning_rate": {"uniform": [1e-3, 1e-3]}}),
            ["pretrain.learning_rate", "empty range"],
        ),
        (
            space_with(parameters={"pretrain.learning_rate": {"loguniform": [0, 1]}}),
            ["pretrain.learning_rate", "above 0"],
        ),
        (
            space_with(parameters={"language_model.layers": {"randint": [1, 2.5]}}),
            ["language_model.layers", "whole numbers"],
        ),
        (
            space_with(parameters={"pretrain.learning_rate": {"uniform": ["a", "b"]}}),
            ["pretrain.learning_rate", "numbers"],
        ),
    ],
)
def test_malformed_spaces_are_one_line(tree: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_space(tree, where="space.yaml")
    assert_one_line(caught.value, words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"projctor.name": {"choice": ["mlp"]}}, ["projctor.name", "projector"]),
        ({"projector.nmae": {"choice": ["mlp"]}}, ["projector.nmae", "'name'"]),
        ({"projector.name.kind": {"choice": ["mlp"]}}, ["projector.name.kind"]),
        ({"projector.name": {"choice": ["mlp", "mpl"]}}, ["projector.name", "'mpl'", "linear"]),
        ({"projector.options.depth": {"choice": [1]}}, ["'depth'", "tokens"]),
        ({"pretrain.options.clop": {"choice": [2.0]}}, ["'clop'", "clip"]),
        ({"pretrain.options.clip": {"choice": ["high"]}}, ["clip", "float", "'high'"]),
        ({"pretrain.strategy": {"choice": ["magic"]}}, ["pretrain.strategy"]),
        ({"severity": {"choice": ["mild"]}}, ["severity", "'mild'"]),
        ({"language_model.layers": {"uniform": [1, 4]}}, ["language_model.layers", "integer"]),
        ({"pretrain.learning_rate": {"uniform": [-1, 1]}}, ["pretrain.learning_rate", "-1"]),
        ({"pretrain.steps": {"choice": [3]}}, ["pretrain.steps", "max_steps"]),
        ({"data.sampling_rate": {"choice": [100, 500]}}, ["data.sampling_rate", "share"]),
        ({"finetune.learning_rate": {"uniform": [1e-4, 1e-3]}}, ["finetune", "stages"]),
        ({"severity.strata": {"choice": [2, 90]}}, ["severity.strata", "90"]),
        ({"language_model.heads": {"choice": [4, 5]}}, ["hidden_size", "5 heads"]),
        ({"projector.options.inner_size": {"choice": [64]}}, ["'inner_size'", "tokens"]),
        (
            {
                "projector.options.inner_size": {
                    "choice": ["wide"],
                    "when": {"projector.name": "mlp"},
                }
            },
            ["projector.options", "inner_size"],
        ),
        (
            {"pretrain.weight_decay": {"uniform": [0, 1], "when": {"projector.nam": "mlp"}}},
            ["when", "parameter with choices", "'projector.nam'"],
        ),
        (
            {"pretrain.weight_decay": {"uniform": [0, 1], "when": {"projector.name": "mpl"}}},
            ["when", "linear, mlp", "'mpl'"],
        ),
        (
            {
                "severity": {"choice": ["ptbxl"], "when": {"pretrain.optimizer": "muon"}},
                "pretrain.optimizer": {"choice": ["muon"], "when": {"severity": "ptbxl"}},
            },
            ["when", "no circle", "severity, pretrain.optimizer"],
        ),
    ],
)
def test_spaces_that_do_not_fit_the_recipe_are_one_line(
    recipe: Recipe, changes: dict[str, Any], words: list[str]
) -> None:
    space = parse_space(space_with(parameters={**GOOD["parameters"], **changes}))
    with pytest.raises(ConfigError) as caught:
        check_space(recipe, space)
    assert_one_line(caught.value, words)


def test_a_space_that_is_no_yaml_mapping(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    for text, words in (("a: [", ["YAML"]), ("- a", ["mapping"])):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_space(path)
        assert_one_line(caught.value, [str(path), *words])
    with pytest.raises(ConfigError, match="found none"):
        load_space(tmp_path / "none.yaml")


def test_a_run_without_development_patients_or_shards_is_refused(recipe: Recipe) -> None:
    space = parse_space(GOOD)
    without = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"development_fraction": 0.0})}
    )
    with pytest.raises(ConfigError) as caught:
        run_sweep(without, space)
    assert_one_line(caught.value, ["data.development_fraction", "never by the test"])
    with pytest.raises(ConfigError) as caught:
        run_sweep(recipe, space)
    assert_one_line(caught.value, ["shards", "ingested"])


def test_every_distribution_draws_from_its_own_values() -> None:
    import numpy as np

    trees = {
        "choice": ["a", True, 3],
        "uniform": [0.5, 0.75],
        "loguniform": [1e-4, 1e-1],
        "randint": [3, 6],
        "lograndint": [2, 64],
    }
    assert trees.keys() == DISTRIBUTIONS.keys()
    for kind, values in trees.items():
        found = parse_distribution("here", {kind: values})
        random = np.random.RandomState(0)
        drawn = [found.domain().sample(random_state=random) for _ in range(50)]
        for value in (*drawn, *found.examples()):
            if kind == "choice":
                assert value in values
            else:
                assert values[0] <= value <= values[1]
                assert "int" not in kind or int(value) == value < values[1]


def test_draws_repeat_with_the_seed_and_never_double(recipe: Recipe) -> None:
    space = parse_space(GOOD)
    drawn = draw(space, recipe, 5)
    assert len(drawn) == 5
    assert drawn == draw(space, recipe, 9)[:5], "more trials begin with the same"
    assert drawn != draw(parse_space(space_with(seed=1)), recipe, 5)
    small = parse_space(
        space_with(parameters={"projector.name": {"choice": ["linear", "mlp"]}}, trials=9)
    )
    found = draw(small, recipe, 9)
    assert sorted(str(v["projector.name"]) for v in found) == ["linear", "mlp"]


CONDITIONAL = {
    # Declared before what it depends on.
    "projector.options.inner_size": {"choice": [64, 128], "when": {"projector.name": "mlp"}},
    "projector.name": {"choice": ["linear", "mlp"]},
    "pretrain.options.clip": {"loguniform": [2, 50], "points": 3},
}


def test_a_conditional_parameter_is_there_only_where_it_belongs(recipe: Recipe) -> None:
    space = parse_space(space_with(parameters=CONDITIONAL, trials=40))
    check_space(recipe, space)
    drawn = draw(space, recipe, 40)
    assert {values["projector.name"] for values in drawn} == {"linear", "mlp"}
    for values in (*drawn, *grid(space)):
        wide = "projector.options.inner_size" in values
        assert wide == (values["projector.name"] == "mlp")
    assert len(grid(space)) == 3 + 2 * 3, "no combination twice"
    assert [round(v["pretrain.options.clip"], 6) for v in grid(space)[:3]] == [2, 10, 50]


def test_a_grid_needs_points_of_a_range(recipe: Recipe) -> None:
    space = parse_space(space_with(search={"name": "grid"}))
    with pytest.raises(ConfigError) as caught:
        check_space(recipe, space)
    assert_one_line(caught.value, ["pretrain.options.clip", "points"])
    with pytest.raises(ConfigError) as caught:
        check_space(recipe, parse_space(space_with(final={"seeds": [recipe.seed]})))
    assert_one_line(caught.value, ["final.seeds", "own seed"])


def test_every_combination_of_a_large_space_keeps_every_value_once(recipe: Recipe) -> None:
    from truelead.sweep.checking import examples

    many = {f"pretrain.options.{name}": {"loguniform": [2, 50]} for name in map(str, range(9))}
    space = parse_space(space_with(parameters={**CONDITIONAL, **many}))
    tried = examples(space)
    for path, found in space.distributions.items():
        for value in found.examples():
            assert any(values.get(path) == value for values in tried), (path, value)


def test_trials_are_scored_at_rungs(recipe: Recipe) -> None:
    assert parse_space(GOOD).rungs(recipe) == (10, 30, 90)
    assert parse_space(space_with(max_steps=91)).rungs(recipe) == (10, 30, 90, 91)
    assert parse_space(space_with(max_steps=5)).rungs(recipe) == (5,)
    for reduction, rungs in (
        (3, (10, 30, 90)),
        (4, (6, 23, 90)),
        (2.5, (15, 36, 90)),
        (20, (1, 20, 90)),
    ):
        ninths = space_with(scheduler={"reduction": reduction})
        assert parse_space(ninths).rungs(recipe) == rungs
    assert parse_space(space_with(max_steps=None)).rungs(recipe)[-1] == recipe.pretrain.steps
    assert parse_space(space_with(scheduler={"name": "none"})).rungs(recipe) == (90,)


def test_a_trial_is_the_recipe_with_its_values(recipe: Recipe) -> None:
    plan = make_plan(recipe, parse_space(GOOD))
    drawn = draw(plan.space, recipe, 5)
    assert len({trial_name(n, values) for n, values in enumerate(drawn)}) == 5
    assert plan.folder == recipe.output / "sweep" / "two"
    for values in drawn:
        found = plan.trial_recipe(values, 30)
        assert found.pretrain.strategy == "ipw"
        assert found.pretrain.steps == 30
        assert found.pretrain.options == {"clip": values["pretrain.options.clip"]}
        assert found.projector.name == values["projector.name"]
        unchanged = {"pretrain", "projector"}
        assert found.model_dump(exclude=unchanged) == recipe.model_dump(exclude=unchanged)
    both = make_plan(recipe, parse_space(space_with(stages=["pretrain", "finetune"])))
    assert both.trial_recipe(drawn[0], 30).finetune.steps == round(recipe.finetune.steps / 3)


def test_values_keep_their_type_through_a_recipe(recipe: Recipe) -> None:
    changed = with_values(recipe, {"pretrain.options.balance_answers": True, "severity": "random"})
    assert changed.pretrain.options == {"balance_answers": True}
    assert changed.severity == "random"
    strata = with_values(recipe, {"severity.strata": 4, "severity": "label-count"})
    assert strata.severity.model_dump() == {"name": "label-count", "strata": 4}  # type: ignore[union-attr]
    drawn = with_values(recipe, {"pretrain.options.draws.clip": 5.0})
    assert drawn.pretrain.options == {"draws.clip": 5.0}
    assert yaml.safe_load(yaml.safe_dump(changed.model_dump(mode="json")))["severity"] == "random"


def assert_one_line(error: BaseException, words: list[str]) -> None:
    message = str(error)
    assert "\n" not in message
    for word in words:
        assert word in message
