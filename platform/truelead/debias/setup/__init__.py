"""Set-ups: which questions are asked of which ECGs, observed and under do(Q)."""

from __future__ import annotations

from collections.abc import Sequence

from truelead.config import Recipe
from truelead.debias.setup.base import Cell, Group, Setup
from truelead.debias.setup.ecg_qa import EcgQaSetup
from truelead.debias.setup.ptbxl_severity import PtbxlSeveritySetup
from truelead.debias.severity import severity_provider
from truelead.errors import ConfigError
from truelead.types import Record

__all__ = ["SETUPS", "Cell", "Group", "Setup", "build_setup"]

SETUPS: dict[str, type[Setup]] = {
    "ptbxl-severity": PtbxlSeveritySetup,
    "ecg-qa": EcgQaSetup,
}


def build_setup(recipe: Recipe, records: Sequence[Record]) -> Setup:
    """The set-up and severity that a recipe names, tested on the split that it judges by.

    Raises:
        ConfigError: no set-up or severity of that name.
        QuestionError: the records leave nothing to ask.
    """
    name = recipe.questions.setup
    if name not in SETUPS:
        raise ConfigError(f"questions.setup: expected one of {', '.join(SETUPS)}, found {name!r}")
    if recipe.questions.templates is not None and name != EcgQaSetup.name:
        raise ConfigError(f"questions.templates: expected questions.setup ecg-qa, found {name}")
    return SETUPS[name].build(
        records,
        recipe.questions,
        severity_provider(recipe.severity),
        ecg_qa=recipe.data.ecg_qa,
        test_split=recipe.evaluate.split,
        questions_per_ecg=recipe.finetune.questions_per_ecg,
    )
