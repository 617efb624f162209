"""The long measurements of sweeps: further training seeds, real ECGs, and whether the winner of
`confounder-weighting` beats the default strategy on the held-out test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.sweep_asha import compare
from bench.sweep_run import LONG, prepare, small_recipe
from truelead import chain
from truelead.config import load_recipe
from truelead.sweep.results import SweepResult

SEEDS = (1, 2)
FOLDER = Path("runs/soak-sweep")
SPACE = Path("tune/spaces/confounder-weighting.yaml")


def rows() -> list[dict[str, Any]]:
    """ASHA over seeds, on real ECGs where they are there, and the weighting's winner."""
    found = []
    for seed in SEEDS:
        recipe = prepare(small_recipe(FOLDER / f"generated-{seed}", seed=seed))
        found += compare(
            recipe, f"generated ECGs, seed {seed}", steps=600, metric="balanced", command=LONG
        )
    root = os.environ.get("TRUELEAD_DATA")
    given = [f"data.root={root}/ptbxl", f"data.ecg_qa={root}/ecg-qa/ptbxl"] if root else []
    real = load_recipe(
        "jobs/recipes/ptbxl.yaml",
        [
            *given,
            f"output={FOLDER / 'ptbxl'}",
            "data.development_fraction=0.15",
            "train.in_process=true",
            "train.workers=1",
        ],
    )
    found += compare(prepare(real), "PTB-XL", steps=256, metric="balanced", command=LONG)
    found += weighting(chain.sweep(real, SPACE), "PTB-XL")
    return found


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
