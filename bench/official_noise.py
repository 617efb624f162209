"""ECG-QA's official questions about noise, on patients who were kept out of training.

Trains the arm of jobs/recipes/ecg-qa-noise.yaml on the shards and the encoder of the ptbxl recipe,
and compares it with answering each question by its commonest answer, which is "no".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.real_ecgs import real_recipe
from truelead import chain

COMMAND = "make soak SECTION=spine"
RECIPE = Path("jobs/recipes/ecg-qa-noise.yaml")
PEER = "majority-answer"


def rows() -> list[dict[str, Any]]:
    """Accuracy on the official noise questions in both wordings, and its lead over always-no."""
    recipe = real_recipe(RECIPE)
    chain.share_inputs(real_recipe(), recipe.output)
    chain.run(recipe, announce=print)
    report = json.loads((recipe.output / "report" / "report.json").read_text(encoding="utf-8"))
    examination = report["examination"]
    found = []
    for arm in recipe.arms:
        for result in examination["cells"]:
            if result["arm"] in {arm.name, PEER} and result["cell"].startswith("noise/"):
                found.append(_row(f"{result['arm']}: {result['cell']}", result["micro"], "% right"))
        for result in examination["comparisons"]:
            pair = (result["first"], result["second"])
            if set(pair) == {arm.name, PEER} and result["cell"].startswith("noise/"):
                sign = 1 if pair[0] == arm.name else -1
                value = {
                    key: sign * result["difference"][key] for key in ("estimate", "low", "high")
                }
                row = _row(f"{arm.name} minus {PEER}: {result['cell']}", value, "points")
                found.append(row | {"goal": 0.0, "holds": row["interval"][0] > 0, "peer": PEER})
    return found


def _row(name: str, value: dict[str, float], unit: str) -> dict[str, Any]:
    ends = sorted(100 * value[key] for key in ("low", "high"))
    return {
        "name": name,
        "value": 100 * value["estimate"],
        "unit": unit,
        "goal": None,
        "holds": None,
        "peer": None,
        "interval": ends,
        "command": COMMAND,
    }
