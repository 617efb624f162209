"""Proposals repeat: a sweep that was interrupted anywhere proposes what it would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from truelead.config import Recipe, parse_recipe
from truelead.sweep.journal import CONTINUE, STOP, Journal
from truelead.sweep.searcher import JournalledSearch
from truelead.sweep.space import SearchSpace, parse_space

SPACE: dict[str, Any] = {
    "name": "proposed",
    "parameters": {
        "pretrain.strategy": {"choice": ["none", "ipw"]},
        "pretrain.options.clip": {"loguniform": [1.5, 50], "when": {"pretrain.strategy": "ipw"}},
        "pretrain.learning_rate": {"loguniform": [1e-4, 1e-2]},
    },
    "search": {"name": "optuna", "startup_trials": 4},
    "trials": 14,
    "max_steps": 10,
}


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe({"name": "swept"})


def score(values: dict[str, Any]) -> float:
    return (
        0.5 + 0.3 * (values["pretrain.strategy"] == "ipw") - 20 * values["pretrain.learning_rate"]
    )


def run(space: SearchSpace, recipe: Recipe, folder: Path, interrupt: int | None = None) -> Journal:
    """One trial after the other, until the sweep is over or its driver is killed."""
    journal = Journal(folder, "key")
    search = JournalledSearch(space, recipe, journal)
    for count in range(space.trials):
        found = search.suggest(f"id{count}")
        if found == Searcher.FINISHED:
            break
        assert found is not None
        number = found["trial"]
        if number == interrupt:  # killed after the trial has got its values
            return journal
        value = score(found["values"])
        report = {"steps": 10.0, "balanced": value, "confounded": 1 - value, "train_seconds": 1.0}
        report["balanced_probability"] = value
        decision = STOP if number % 3 == 2 else CONTINUE
        journal.report(number, report, decision)
        journal.end(number, "stopped early" if decision == STOP else "finished")
        search.on_trial_complete(f"id{count}", report)
    return journal


def values(journal: Journal) -> list[dict[str, Any]]:
    return [journal.trials[number].values for number in sorted(journal.trials)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"search": {"name": "random"}},
        {
            "search": {"name": "optuna", "startup_trials": 4, "multi_objective": True},
            "scheduler": {"name": "none"},
            "constraints": {"balanced": 0.6},
        },
    ],
    ids=["tpe", "random", "multi-objective"],
)
def test_an_interrupted_search_proposes_what_an_undisturbed_one_does(
    recipe: Recipe, tmp_path: Path, changes: dict[str, Any]
) -> None:
    space = parse_space({**SPACE, **changes})
    undisturbed = values(run(space, recipe, tmp_path / "whole"))
    assert len(undisturbed) == 14
    for interrupt in (0, 5, 9):
        run(space, recipe, tmp_path / "killed", interrupt)
    assert values(run(space, recipe, tmp_path / "killed")) == undisturbed
    other = parse_space({**SPACE, **changes, "seed": 1})
    assert values(run(other, recipe, tmp_path / "other")) != undisturbed


def test_tpe_moves_to_what_scores(recipe: Recipe, tmp_path: Path) -> None:
    found = values(run(parse_space({**SPACE, "trials": 40}), recipe, tmp_path))
    late = [one["pretrain.strategy"] for one in found[20:]]
    assert late.count("ipw") > len(late) / 2
    assert all(
        ("pretrain.options.clip" in one) == (one["pretrain.strategy"] == "ipw") for one in found
    )


def test_a_grid_ends_by_itself_and_patience_ends_a_search(recipe: Recipe, tmp_path: Path) -> None:
    parameters = {
        "pretrain.strategy": {"choice": ["ipw", "none"]},
        "pretrain.learning_rate": {"loguniform": [1e-4, 1e-2], "points": 3},
    }
    grid = parse_space({**SPACE, "parameters": parameters, "search": {"name": "grid"}})
    found = values(run(grid, recipe, tmp_path / "grid"))
    assert [round(one["pretrain.learning_rate"], 6) for one in found] == 2 * [1e-4, 1e-3, 1e-2]
    # The first is the best there is: three more show it.
    patient = grid.model_copy(update={"patience": 3})
    assert len(values(run(patient, recipe, tmp_path / "patient"))) == 4
    hurried = grid.model_copy(update={"budget_hours": 1e-15})
    assert not values(run(hurried, recipe, tmp_path / "hurried"))
