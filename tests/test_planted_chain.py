"""The chain on a very small planted set: from its dials to the error in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from truelead import chain
from truelead.config import Recipe, load_recipe
from truelead.errors import ConfigError

pytestmark = [pytest.mark.ray, pytest.mark.slow]

RECIPE = Path(__file__).resolve().parents[1] / "jobs" / "recipes" / "planted.yaml"
SMALLEST = (
    "planted.ecgs=80",
    "planted.conditions=3",
    "planted.strata=4",
    "encoder.options={width: 16}",
    "encoder_training={epochs: 1, batch_size: 16, objective: labels, minimum_positives: 4}",
    "language_model={hidden_size: 32, layers: 1, heads: 2}",
    "pretrain.steps=4",
    "finetune.steps=0",
    "train={in_process: true, log_every: 1}",
    "evaluate={split: valid, bootstrap_samples: 100}",
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any) -> Recipe:
    """The shipped recipe, made small, and run."""
    output = tmp_path_factory.mktemp("chain") / "run"
    recipe = load_recipe(RECIPE, [*SMALLEST, f"output={output}"])
    chain.run(recipe)
    return recipe


def test_the_report_holds_the_interventional_error_of_every_arm(recipe: Recipe) -> None:
    report = json.loads((recipe.output / "report" / "report.json").read_text(encoding="utf-8"))
    cells = [cell for cell in report["examination"]["cells"] if cell["suite"] == "interventional"]
    assert {"erm", "debiased", "question-only"} <= {cell["arm"] for cell in cells}
    for cell in cells:
        assert cell["questions"] == 8 * 3
        measured = {name: value["estimate"] for name, value in cell["measures"].items()}
        assert 0 < measured["divergence from do(Q)"] < 14
        assert 0 < measured["difference from do(Q)"] < 1
        assert set(measured) >= {"divergence from observed Q", "difference from observed Q"}


def test_other_questions_need_no_other_ecgs_but_other_training(recipe: Recipe) -> None:
    written = {path: path.stat().st_mtime_ns for path in (recipe.output / "records").rglob("*.dat")}
    assert recipe.planted is not None
    mild = recipe.planted.model_copy(update={"confounding": 0.1})
    other = recipe.model_copy(update={"planted": mild})
    chain.generate(other)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    # Finished for its own questions, and for no others.
    chain.pretrain(recipe, "erm")
    with pytest.raises(ConfigError, match="expected the arm's finished pre-training"):
        chain.finetune(other, "erm")
