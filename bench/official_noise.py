"""ECG-QA's official questions about noise, on patients who were kept out of training.

Trains the arm of jobs/recipes/ecg-qa-noise.yaml on the shards and the encoder of the ptbxl recipe,
and compares it with answering each question by its commonest answer, which is "no".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.real_ecgs import real_recipe
from bench.reported import in_percent, lead_of, row
from truelead import chain
from truelead.evaluate.console import read_report

COMMAND = "make soak SECTION=spine"
RECIPE = Path("jobs/recipes/ecg-qa-noise.yaml")
PEER = "majority-answer"


def rows() -> list[dict[str, Any]]:
    """Accuracy on the official noise questions in both wordings, and its lead over always-no."""
    recipe = real_recipe(RECIPE)
    chain.share_inputs(real_recipe(), recipe.output)
    chain.run(recipe, announce=print)
    examination = read_report(recipe.output / "report")["examination"]
    found = []
    for arm in recipe.arms:
        for result in examination["cells"]:
            if result["arm"] in {arm.name, PEER} and result["cell"].startswith("noise/"):
                value, interval = in_percent(result["micro"])
                name = f"{result['arm']}: {result['cell']}"
                found.append(row(name, value, "% right", COMMAND, interval=interval))
        for result in examination["comparisons"]:
            pair = {result["first"], result["second"]}
            if pair == {arm.name, PEER} and result["cell"].startswith("noise/"):
                value, interval = lead_of(arm.name, result)
                found.append(
                    row(
                        f"{arm.name} minus {PEER}: {result['cell']}",
                        value,
                        "points",
                        COMMAND,
                        goal=0.0,
                        holds=interval[0] > 0,
                        peer=PEER,
                        interval=interval,
                    )
                )
    return found
