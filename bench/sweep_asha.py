"""ASHA against a full-budget grid over the same space: steps, and which configuration is better.

The grid trains every combination to its end. ASHA tries the same combinations and trains most of
them shortly; its full trainings are the grid's own, found by their content, but their steps count.
Both winners are chosen by the development patients, and compared on patients that neither training
nor choice has seen, in the wordings of the training and in others. Everything is repeated with
several training seeds; the interval is over patients and seeds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from itertools import product
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

GOAL_PERCENT, SEEDS = 30.0, (0, 1, 2)
PARAMETERS: dict[str, Any] = {
    "pretrain.strategy": {"choice": ["none", "ipw", "do-question-balanced"]},
    "pretrain.matrix_learning_rate": {"choice": [2e-4, 2e-3, 2e-2]},
    "pretrain.learning_rate": {"choice": [5e-5, 5e-4, 3e-3]},
}
COUNT = 27
WORDINGS = {"known": "train-wordings", "new": "test-wordings"}


def rows(command: str = SHORT) -> list[dict[str, Any]]:
    """On generated ECGs."""
    with tempfile.TemporaryDirectory() as scratch:
        recipe = copied(base_run(), Path(scratch) / "run")
        # These models learn what the questions tell, and hardly an ECG: the balanced questions, of
        # which every trial answers about half, would compare nothing. In fewer steps all answer
        # alike at the first rung, and ASHA leaves whatever learns late.
        return compare(recipe, "generated ECGs", steps=768, metric="confounded", command=command)


def compare(
    recipe: Recipe,
    what: str,
    *,
    steps: int,
    metric: str,
    command: str,
    seeds: Sequence[int] = SEEDS,
) -> list[dict[str, Any]]:
    """Rows about one run."""
    common = {
        "parameters": PARAMETERS,
        "metric": metric,
        "trials": COUNT,
        "max_steps": steps,
        "cost": "parameters",
        "concurrent": os.cpu_count(),
    }
    kinds: dict[str, dict[str, Any]] = {
        "grid": {"search": {"name": "grid"}, "scheduler": {"name": "none"}},
        "asha": {"scheduler": {"name": "asha", "grace_steps": steps // 8, "reduction": 4}},
    }
    pairs = [
        [
            run_sweep(
                recipe.model_copy(update={"seed": seed}),
                parse_space({**common, "name": f"{kind}-{seed}", **own}),
            )
            for kind, own in kinds.items()
        ]
        for seed in seeds
    ]
    shares = [100 * asha.steps_trained / grid.steps_trained for grid, asha in pairs]
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
        row(f"{name}: seeds at which the winner is the grid's",
            float(sum(asha.winner.values == grid.winner.values for grid, asha in pairs)),
            f"of {len(pairs)}", command),
    ]  # fmt: skip
    for (test, wordings), (estimate, low, high) in _on_the_test(recipe, pairs).items():
        aimed = test == metric
        rows.append(
            row(
                f"{name}: winner on the {test} test, {wordings} wordings",
                100 * estimate,
                "points",
                command,
                goal=0.0 if aimed else None,
                holds=estimate >= 0.0 if aimed else None,
                peer="winner of the full-budget grid",
                interval=[100 * low, 100 * high],
            )
        )
    return rows


def _on_the_test(
    recipe: Recipe, pairs: list[list[SweepResult]]
) -> dict[tuple[str, str], tuple[float, float, float]]:
    store = open_store(recipe.output / "shards")
    setup = build_setup(recipe, store.records)
    sets = at_most(setup.test_sets(), recipe.evaluate.maximum_questions, 0)
    differences = {}
    for test, wordings in product(("balanced", "confounded"), WORDINGS):
        trials = tuple(Trial.of(question) for question in sets[f"{test}/{WORDINGS[wordings]}"])
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
            np.stack([right(asha) for _, asha in pairs]),
            np.stack([right(grid) for grid, _ in pairs]),
            clusters,
        )
        differences[test, wordings] = (one.estimate, one.low, one.high)
    return differences
