"""Set-ups: which questions are asked of which ECGs, observed and under do(Q)."""

from __future__ import annotations

from collections.abc import Sequence

from truelead.config import Recipe
from truelead.data.measurements import with_measurements
from truelead.debias.setup.base import Cell, Group, Setup
from truelead.debias.setup.ecg_qa import EcgQaSetup
from truelead.debias.setup.planted import PlantedSetup
from truelead.debias.setup.ptbxl_severity import PtbxlSeveritySetup
from truelead.debias.severity import SeverityProvider, severity_provider
from truelead.debias.severity.planted import PlantedSeverity
from truelead.errors import ConfigError
from truelead.types import Record

__all__ = ["SETUPS", "Cell", "Group", "Setup", "build_setup"]

SETUPS: dict[str, type[Setup]] = {
    "ptbxl-severity": PtbxlSeveritySetup,
    "ecg-qa": EcgQaSetup,
    "planted": PlantedSetup,
}


def build_setup(recipe: Recipe, records: Sequence[Record]) -> Setup:
    """The set-up and severity that a recipe names, tested on the split that it judges by.

    Where the recipe asks about measured intervals, the records get the measurements that lie
    beside the run's shards.

    Raises:
        DataError: the measurements are asked for and are not there.
        ConfigError: no set-up or severity of that name, or a severity that the run has not fitted
            or that puts all train ECGs in one stratum;
            the set-up planted without the dials of a planted set.
        QuestionError: the records leave nothing to ask.
    """
    name = recipe.questions.setup
    if name not in SETUPS:
        raise ConfigError(f"questions.setup: expected one of {', '.join(SETUPS)}, found {name!r}")
    if recipe.questions.templates is not None and name != EcgQaSetup.name:
        raise ConfigError(f"questions.templates: expected questions.setup ecg-qa, found {name}")
    if recipe.questions.held_out_codes and name != PtbxlSeveritySetup.name:
        raise ConfigError(
            f"questions.held_out_codes: expected questions.setup ptbxl-severity, found {name}"
        )
    if recipe.questions.measurements:
        if name != EcgQaSetup.name:
            raise ConfigError(
                f"questions.measurements: expected questions.setup ecg-qa, found {name}"
            )
        records = with_measurements(records, recipe.output / "shards")
    if name == PlantedSetup.name:
        if recipe.planted is None:
            raise ConfigError("planted: expected the dials of the planted set, found none")
        return PlantedSetup.build(
            records,
            recipe.questions,
            _severity(recipe),
            test_split=recipe.evaluate.split,
            questions_per_ecg=recipe.finetune.questions_per_ecg,
            planted=recipe.planted,
        )
    setup = SETUPS[name].build(
        records,
        recipe.questions,
        _severity(recipe),
        ecg_qa=recipe.data.ecg_qa,
        test_split=recipe.evaluate.split,
        questions_per_ecg=recipe.finetune.questions_per_ecg,
    )
    _check_strata(setup)
    return setup


def _check_strata(setup: Setup) -> None:
    """Refuse a severity that tells the train ECGs nothing, such as another set's reports would."""
    groups = setup.groups("train")
    found = {setup.stratum(group) for group in groups}
    if len(groups) > 1 and len(found) == 1:
        only = setup.severity.strata[found.pop()]
        raise ConfigError(
            f"severity: {setup.severity.name}: expected train ECGs in at least 2 strata, found "
            f"all in {only!r}"
        )


def _severity(recipe: Recipe) -> SeverityProvider:
    """The recipe's severity; the planted one has as many strata as were planted."""
    if recipe.planted is not None and recipe.severity == PlantedSeverity.name:
        return PlantedSeverity(recipe.planted.strata)
    return severity_provider(recipe.severity, recipe.output)
