"""The long measurements of sweeps: ASHA beside the grid on real ECGs, and whether the winner of
`confounder-weighting` beats the default strategy there on the held-out test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.sweep_asha import compare
from bench.sweep_run import LONG, prepare
from truelead.config import Recipe, load_recipe
from truelead.sweep.driver import run_sweep
from truelead.sweep.results import SweepResult
from truelead.sweep.space import load_space

FOLDER = Path("runs/soak-sweep")
SPACE = Path("tune/spaces/confounder-weighting.yaml")


def real_recipe() -> Recipe:
    """PTB-XL and ECG-QA as `TRUELEAD_DATA` has them, one trial a core."""
    root = os.environ.get("TRUELEAD_DATA")
    given = [f"data.root={root}/ptbxl", f"data.ecg_qa={root}/ecg-qa/ptbxl"] if root else []
    return load_recipe(
        "jobs/recipes/ptbxl.yaml",
        [
            *given,
            f"output={FOLDER / 'ptbxl'}",
            "data.development_fraction=0.15",
            "train.in_process=true",
            "train.workers=1",
            "train.threads_per_worker=1",
            "evaluate.maximum_questions=1000",
        ],
    )


def rows() -> list[dict[str, Any]]:
    """ASHA and the grid over seeds, and the weighting's winner."""
    recipe = prepare(real_recipe())
    return asha(recipe) + confounder_weighting(recipe)


def asha(recipe: Recipe, seeds: Sequence[int] = (0, 1)) -> list[dict[str, Any]]:
    """ASHA beside the grid. In fewer steps than an eighth of these no trial reads an ECG yet, and
    all answer the balanced questions by chance."""
    return compare(recipe, "PTB-XL", steps=512, metric="balanced", command=LONG, seeds=seeds)


def confounder_weighting(recipe: Recipe) -> list[dict[str, Any]]:
    """The ready space, its trials three quarters as long as the recipe's training."""
    space = load_space(SPACE).model_copy(update={"max_steps": 600, "concurrent": os.cpu_count()})
    return weighting(run_sweep(recipe, space), "PTB-XL")


def weighting(result: SweepResult, what: str, command: str = LONG) -> list[dict[str, Any]]:
    """Rows about the winner of a sweep against its baselines on the test set."""
    final = result.final
    assert final is not None, "the space asks for seeds"
    rows = []
    for baseline, values in final.differences.items():
        for title in ("balanced", "confounded"):
            if title not in values:
                continue
            value = values[title]
            bounds = [100 * end for end in (value.low, value.high) if end is not None]
            rows.append(
                row(
                    f"confounder-weighting, {what}, {len(final.seeds)} seeds: winner on the "
                    f"{title} test",
                    100 * value.estimate,
                    "points",
                    command,
                    goal=0.0,
                    holds=len(bounds) == 2 and bounds[0] > 0,
                    peer=baseline,
                    interval=bounds or None,
                )
            )
    for metric, curse in final.curses.items():
        rows.append(
            row(
                f"confounder-weighting, {what}: {metric} of the winner, as found minus again",
                100 * (curse.found - curse.again.estimate),
                "points",
                command,
            )
        )
    return rows
