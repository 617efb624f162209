"""ASHA against a full-budget grid over the same space: steps, and which configuration is better.

The grid trains every combination to its end. ASHA draws the same combinations in another order and
stops most of them early; its full trainings are the grid's own, found by their content, but their
steps count. Both winners are chosen by the development patients, and compared on patients and
wordings that neither training nor choice has seen. ASHA is repeated in several orders; the interval
is over patients and orders.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.reported import row
from bench.sweep_run import SHORT, base_run, copied
from truelead.config import Recipe
from truelead.data.store import open_store
from truelead.debias.setup import build_setup
from truelead.evaluate.asked import at_most
from truelead.evaluate.bootstrap import Clusters, paired_difference
from truelead.evaluate.metrics import correct_rows
from truelead.evaluate.predictions import Trial
from truelead.evaluate.predictor import ModelPredictor
from truelead.sweep.driver import run_sweep
from truelead.sweep.results import SweepResult
from truelead.sweep.space import parse_space

GOAL_PERCENT, ORDERS = 30.0, 3
PARAMETERS: dict[str, Any] = {
    "pretrain.strategy": {"choice": ["none", "ipw", "do-question-balanced"]},
    "pretrain.matrix_learning_rate": {"choice": [2e-4, 2e-3, 2e-2]},
    "pretrain.learning_rate": {"choice": [5e-5, 5e-4, 3e-3]},
}
COUNT = 27


def rows(command: str = SHORT) -> list[dict[str, Any]]:
    """On generated ECGs: one training seed, ASHA in several orders."""
    with tempfile.TemporaryDirectory() as scratch:
        recipe = copied(base_run(), Path(scratch) / "run")
        # These models learn what the questions tell, and hardly an ECG: the balanced questions, of
        # which every trial answers about half, would compare nothing. In fewer steps all answer
        # alike at the first rung, and ASHA stops whatever learns late.
        return compare(recipe, "generated ECGs", steps=768, metric="confounded", command=command)


def compare(
    recipe: Recipe, what: str, *, steps: int, metric: str, command: str
) -> list[dict[str, Any]]:
    """Rows about one run."""
    common = {
        "parameters": PARAMETERS,
        "metric": metric,
        "trials": COUNT,
        "max_steps": steps,
        "cost": "parameters",
    }
    grid = run_sweep(
        recipe,
        parse_space(
            {**common, "name": "grid", "search": {"name": "grid"}, "scheduler": {"name": "none"}}
        ),
    )
    found = [
        run_sweep(
            recipe,
            parse_space(
                {
                    **common,
                    "name": f"asha-{order}",
                    "seed": 100 + order,
                    "deterministic": True,
                    "scheduler": {"name": "asha", "grace_steps": steps // 16, "reduction": 4},
                }
            ),
        )
        for order in range(ORDERS)
    ]
    shares = [100 * one.steps_trained / grid.steps_trained for one in found]
    name = f"ASHA beside a grid of {COUNT}, {what}"
    rows = [
        row(
            f"{name}: training steps",
            float(np.mean(shares)),
            "% of the grid's",
            command,
            goal=GOAL_PERCENT,
            holds=max(shares) <= GOAL_PERCENT,
            peer="full-budget grid",
            interval=[min(shares), max(shares)],
        ),
        row(f"{name}: orders in which the winner is the grid's",
            float(sum(one.winner.values == grid.winner.values for one in found)),
            f"of {ORDERS}", command),
    ]  # fmt: skip
    for test, (estimate, low, high) in _on_the_test(recipe, grid, found).items():
        rows.append(
            row(
                f"{name}: winner on the {test} test",
                100 * estimate,
                "points",
                command,
                goal=0.0,
                holds=estimate >= 0.0,
                peer="winner of the full-budget grid",
                interval=[100 * low, 100 * high],
            )
        )
    return rows


def _on_the_test(
    recipe: Recipe, grid: SweepResult, found: list[SweepResult]
) -> dict[str, tuple[float, float, float]]:
    store = open_store(recipe.output / "shards")
    setup = build_setup(recipe, store.records)
    sets = at_most(setup.test_sets(), recipe.evaluate.maximum_questions, 0)
    differences = {}
    for test in ("balanced", "confounded"):
        trials = tuple(Trial.of(question) for question in sets[f"{test}/test-wordings"])
        known: dict[Path, NDArray[np.float64]] = {}

        def right(result: SweepResult, trials: Any = trials, known: Any = known) -> Any:
            last = result.plan.rungs[-1]
            folder = (result.folder / result.winner.folder / f"steps-{last:06d}").resolve()
            if folder not in known:
                predictor = ModelPredictor(folder, store)
                known[folder] = correct_rows(trials, predictor.predict(trials)).astype(np.float64)
            return known[folder]

        clusters = Clusters.of(
            [
                tuple(setup.records[name].patient_id for name in trial.question.ecg_ids)
                for trial in trials
            ]
        )
        one = paired_difference(
            np.stack([right(result) for result in found]),
            np.stack([right(grid)] * len(found)),
            clusters,
        )
        differences[test] = (one.estimate, one.low, one.high)
    return differences
