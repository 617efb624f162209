"""The report says what was found, in drawings, words and JSON, and nothing that was not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tests.sweep.conftest import small_recipe
from truelead.evaluate.bootstrap import Interval
from truelead.study.table import Value
from truelead.sweep.console import print_result
from truelead.sweep.driver import make_plan
from truelead.sweep.final import Curse, Final, beats, mean_over_seeds, turned
from truelead.sweep.front import TrialResult, choose_best
from truelead.sweep.importance import importances
from truelead.sweep.report import write_results
from truelead.sweep.results import SweepResult
from truelead.sweep.sampling import draw
from truelead.sweep.space import parse_space

SPACE: dict[str, Any] = {
    "name": "told",
    "parameters": {
        "projector.name": {"choice": ["linear", "mlp"]},
        "projector.options.inner_size": {"choice": [64, 128], "when": {"projector.name": "mlp"}},
        "pretrain.learning_rate": {"loguniform": [1e-4, 1e-2]},
        "pretrain.options.clip": {"uniform": [2, 9]},
    },
    "fixed": {"pretrain.strategy": "ipw"},
    "constraints": {"reliance": 0.02},
    "trials": 12,
    "max_steps": 40,
    "scheduler": {"name": "asha", "grace_steps": 10, "reduction": 4},
}


def told(folder: Path, *, final: Final | None = None, **changes: Any) -> SweepResult:
    """A sweep whose scores rise with the learning rate; a trial failed, some were stopped."""
    space = parse_space({**SPACE, **changes})
    plan = make_plan(small_recipe(folder), space)
    random = np.random.default_rng(0)
    trials = []
    for number, values in enumerate(draw(space, plan.recipe, 12)):
        if number == 5:
            failed = ("its process ended",)
            trials.append(TrialResult(5, values, "failed", (), "trial-005-x", "went off", failed))
            continue
        score = 0.6 + 0.1 * (math.log10(float(str(values["pretrain.learning_rate"]))) + 3)
        whole = number % 2 == 0
        reports = tuple(
            {
                "steps": steps,
                **_metric("balanced", score + steps / 1000),
                **_metric("confounded", 0.9 - score / 3 + 0.02 * random.standard_normal()),
                **_metric("reliance", 0.1),
                "train_seconds": 2 * steps + number,
                "train_steps": steps,
                "parameters": 5000.0,
                "flops": 0.0,
            }
            for steps in ((10.0, 40.0) if whole else (10.0,))
        )
        status = "finished" if whole else "stopped early"
        trials.append(TrialResult(number, values, status, reports, f"trial-{number:03d}-x"))  # type: ignore[arg-type]
    found = tuple(trials)
    return SweepResult(
        plan,
        found,
        choose_best(found, space),
        {"balanced": 300, "confounded": 280},
        importances=importances(found, space),
        final=final,
        stopped="the budget of 1 hours was used up",
    )


def _metric(name: str, value: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - 0.03, f"{name}_high": value + 0.03}


def final_of(low: float) -> Final:
    difference = Value(low + 0.02, low, low + 0.04)
    numbers = {"confounded": Value(0.8, 0.78, 0.82), "balanced": Value(0.7, 0.68, 0.72)}
    return Final(
        (1, 2),
        {"balanced": Curse(0.75, mean_over_seeds([0.70, 0.72]), {1: 0.70, 2: 0.72})},
        "final/report",
        {"winner": numbers, "plain": numbers},
        {"plain": {"balanced": difference, "confounded": difference}},
        {"plain": "better on balanced"},
    )


def texts(result: SweepResult) -> tuple[str, str, Any]:
    result.folder.mkdir(parents=True, exist_ok=True)
    write_results(result)
    page = (result.folder / "sweep.html").read_text()
    text = (result.folder / "sweep.md").read_text()
    return page, text, json.loads((result.folder / "sweep.json").read_text())


def test_page_text_and_json_tell_the_same(tmp_path: Path) -> None:
    result = told(tmp_path, final=final_of(0.01))
    page, text, tree = texts(result)
    assert tree["best"] == result.best
    assert sorted(result.front) == tree["front"]
    for words in (
        "The winner beats plain on the balanced test (+3.0 points, +1.0 to +5.0)",
        "trial 5: its process ended",
        "the budget of 1 hours was used up",
        "Not for clinical use.",
        "truelead pretrain --recipe best.yaml",
    ):
        assert words in page, words
        assert words in text, words
    assert page.count("<svg") >= 2 + len(result.importances.values)
    assert page.count("<polyline") >= sum(bool(trial.reports) for trial in result.trials)
    # The lost points of the winner's curse.
    assert "| balanced do(Q) | 75.0 | 71.0 (58.3 to 83.7) | 4.0 | 1: 70.0, 2: 72.0 |" in text
    rows = [line for line in text.splitlines() if line.startswith(f"| {result.best} ")]
    assert rows
    assert rows[0].endswith("| finished |")
    print_result(result)


def test_a_winner_that_does_not_beat_the_default_is_called_so(tmp_path: Path) -> None:
    page, _, _ = texts(told(tmp_path, final=final_of(-0.03)))
    assert "does not beat plain on the balanced test (-1.0 points, -3.0 to +1.0)" in page
    assert "is worse than plain" in beats(final_of(-0.09), "plain")
    assert "Not compared" in beats(final_of(0.0), "another")
    assert turned(Value(0.1, 0.05, None)) == Value(-0.1, None, -0.05)


def test_what_was_not_done_is_said(tmp_path: Path) -> None:
    page, text, tree = texts(
        told(
            tmp_path,
            final=Final((1, 2), reason="opened for trial 3"),
            constraints={"reliance": 0.5},
        )
    )
    assert "Not judged: opened for trial 3." in text
    assert "No trial keeps the constraints (reliance at least 0.5)" in page
    assert (tree["within_constraints"], tree["front"]) == (False, [])
    page, text, tree = texts(told(tmp_path, trials=3))
    assert "it was not judged on the test set" in page
    assert tree["final"] is None


def test_the_interval_over_seeds_is_students() -> None:
    found = mean_over_seeds([0.70, 0.72])
    assert found.estimate == 0.71
    assert round(found.high - 0.71, 4) == round(12.7062 * 0.0141421 / 2**0.5, 4)
    alone = mean_over_seeds([0.7])
    assert alone.estimate == 0.7
    assert math.isnan(alone.low)
    assert isinstance(alone, Interval)
