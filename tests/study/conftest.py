"""A small study over a small recipe, both as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from truelead.study.plan import StudyPlan

RECIPE: dict[str, Any] = {
    "name": "small",
    "output": "run",
    "pretrain": {"steps": 6},
    "finetune": {"steps": 4},
}
STUDY: dict[str, Any] = {
    "name": "compared",
    "recipe": "recipe.yaml",
    "seeds": [0, 1],
    "conditions": [
        {"name": "Strong confounding"},
        {"name": "Random strata", "overrides": {"severity": "random"}},
    ],
    "arms": [
        {"name": "erm"},
        {"name": "tuned", "finetune": "inverse-bias"},
        {"name": "balanced", "pretrain": "do-question-balanced"},
    ],
}

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes the study, changed by keywords, beside its recipe; gives the study file."""

    def write(**changes: Any) -> Path:
        recipe = {**RECIPE, "output": str(tmp_path / "run")}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        study = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(study), encoding="utf-8")
        return path

    return write


@pytest.fixture
def plan(written: Written) -> StudyPlan:
    """The plan of the study as it stands above."""
    from truelead.study.definition import load_study
    from truelead.study.plan import make_plan

    return make_plan(load_study(written()))
