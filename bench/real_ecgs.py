"""The main job on real ECGs: the encoder's AUROC, and whether de-biasing beats its baseline.

Trains every arm of jobs/recipes/ptbxl.yaml with three seeds (finished stages are found again), and
reads the figures from the report that the judge writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truelead import chain
from truelead.config import Recipe, load_recipe
from truelead.evaluate.console import print_report, read_report

COMMAND = "make soak SECTION=spine"
SEEDS = 3
RECIPE = Path("jobs/recipes/ptbxl.yaml")
BASELINE, DEBIASED = "erm", "debiased"
CONFOUNDED, BALANCED = "confounded/test-wordings", "balanced/test-wordings"


def rows() -> list[dict[str, Any]]:
    """Encoder, each arm on both tests, and the paired differences."""
    recipe = real_recipe()
    chain.run(recipe, seeds=range(recipe.seed, recipe.seed + SEEDS), announce=print)
    print_report(recipe.output / "report")
    report = read_report(recipe.output / "report")
    return [_encoder(recipe), *_arms(report), *_differences(report)]


def real_recipe(path: Path = RECIPE) -> Recipe:
    """A shipped recipe, on the records of TRUELEAD_DATA where it is set."""
    root = os.environ.get("TRUELEAD_DATA")
    overrides = []
    if root:
        overrides = [f"data.root={root}/ptbxl", f"data.ecg_qa={root}/ecg-qa/ptbxl"]
    return load_recipe(path, overrides)


def _encoder(recipe: Recipe) -> dict[str, Any]:
    metrics = json.loads((recipe.output / "encoder" / "metrics.json").read_text(encoding="utf-8"))
    value = metrics["macro_auroc"]
    return _row("encoder macro AUROC, valid ECGs", value, "AUROC", goal=0.84, holds=value >= 0.84)


def _arms(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        _row(
            f"{result['arm']}: {result['cell']}",
            100 * result["micro"]["estimate"],
            "% right",
            interval=[100 * result["micro"]["low"], 100 * result["micro"]["high"]],
        )
        for result in report["examination"]["cells"]
        if result["suite"] in {"observed", "balanced-do-question", "random-ecg"}
    ]


def _differences(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for result in report["examination"]["comparisons"]:
        if {result["first"], result["second"]} != {BASELINE, DEBIASED}:
            continue
        sign = 1 if result["first"] == DEBIASED else -1
        estimate, low, high = (
            100 * sign * result["difference"][key] for key in ("estimate", "low", "high")
        )
        low, high = min(low, high), max(low, high)
        goal, holds = None, None
        if result["cell"] == CONFOUNDED:
            goal, holds = 0.0, estimate >= 0
        elif result["cell"] == BALANCED:
            goal, holds = 2.0, estimate >= 2 and low > 0
        # A cell that two suites share is compared once.
        found[result["cell"]] = _row(
            f"{DEBIASED} minus {BASELINE}: {result['cell']}",
            estimate,
            "points",
            goal=goal,
            holds=holds,
            interval=[low, high],
            peer=BASELINE,
        )
    return list(found.values())


def _row(name: str, value: float, unit: str, **more: Any) -> dict[str, Any]:
    empty = {"goal": None, "holds": None, "peer": None, "interval": None}
    return {"name": name, "value": value, "unit": unit, **empty, **more, "command": COMMAND}
