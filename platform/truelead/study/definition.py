"""A study file: which strategies are compared, over which seeds, under which conditions.

The file is YAML. All of it is checked, strategy by strategy, before the first training.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from truelead.config import ArmConfig, Frozen, Recipe, load_recipe, read_mapping
from truelead.errors import ConfigError

_STUDY_OWN = ("name", "seed", "output", "arms")
"""Keys of a recipe that the study itself sets."""


class ConditionConfig(Frozen):
    """One setting under which all arms are compared.

    Attributes:
        name: what the table calls it ("strong confounding").
        overrides: config path of the recipe -> value.
    """

    name: str = Field(min_length=1, max_length=60)
    overrides: dict[str, Any] = Field(default_factory=dict)


class Study(Frozen):
    """What a study compares.

    Attributes:
        recipe: path of the recipe that every run is made from, seen from the study file.
        overrides: config path of the recipe -> value, of every run.
        arms: the models, each trained anew for every seed and condition.
        baseline: the arm that the others are compared with, by default the first.
        wording_folds: into how many parts the wordings of a question are split; each condition is
            then run once for each part, which its test holds out.
        parallel: trainings at the same time, by default as many as the cluster holds.
        budget_hours: after so many hours no further training is started; the next start of the
            same study goes on from there.
        margin_points: an arm is called not worse where the interval of its difference excludes
            a loss of more than so many percentage points.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    recipe: Path
    overrides: dict[str, Any] = Field(default_factory=dict)
    arms: tuple[ArmConfig, ...] = Field(min_length=2)
    seeds: tuple[int, ...] = Field(min_length=1)
    baseline: str | None = None
    conditions: tuple[ConditionConfig, ...] = Field(
        (ConditionConfig(name="as the recipe says"),), min_length=1
    )
    wording_folds: int | None = Field(None, ge=2)
    parallel: int | None = Field(None, ge=1)
    budget_hours: float | None = Field(None, gt=0)
    margin_points: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Study:
        for key, values in (
            ("arms", [arm.name for arm in self.arms]),
            ("conditions", [condition.name for condition in self.conditions]),
            ("seeds", [str(seed) for seed in self.seeds]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: expected distinct ones, found {', '.join(values)}")
        if self.baseline is not None and self.baseline not in [arm.name for arm in self.arms]:
            raise ValueError(f"baseline: expected one of the arms, found {self.baseline!r}")
        return self

    @property
    def arms_baseline_first(self) -> tuple[ArmConfig, ...]:
        """The arms in the file's order, but for the baseline."""
        baseline = self.baseline or self.arms[0].name
        return tuple(sorted(self.arms, key=lambda arm: arm.name != baseline))


_PARTS: dict[str, type[BaseModel]] = {"arms": ArmConfig, "conditions": ConditionConfig}


def load_study(path: str | Path) -> Study:
    """Read a study file; its recipe's path is then seen from the working directory.

    Raises:
        ConfigError: the file is missing or no mapping; a key is unknown; a value does not fit.
    """
    tree = read_mapping(path, file="a study", keys="study keys")
    study = parse_study(tree, where=str(path))
    return study.model_copy(update={"recipe": Path(path).parent / study.recipe})


def parse_study(tree: Mapping[str, Any], where: str = "study") -> Study:
    """Check a mapping against `Study`; one line names the first wrong key."""
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: unknown key {key!r}{_hint(first['loc'])}") from None
        if first["type"] == "missing":
            raise ConfigError(f"{where}: {key}: expected this key, found none") from None
        if first["type"] == "value_error":
            message = first["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{where}: {message}") from None
        found = repr(first.get("input"))
        raise ConfigError(f"{where}: {key}: {first['msg']}, found {found[:80]}") from None


def base_recipe(study: Study, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe as its file and the command line's `a.b=c` give it."""
    return load_recipe(study.recipe, overrides)


def condition_recipe(
    study: Study, values: Mapping[str, Any], overrides: Sequence[str], where: str
) -> Recipe:
    """The recipe of one condition, with the study's arms.

    Args:
        values: config path -> value of the condition, on top of the study's own.
        overrides: the command line's `a.b=c`, on top of the file.

    Raises:
        ConfigError: a path is not in the recipe, or is the study's to set; a value does not fit.
    """
    given = {**study.overrides, **values}
    for path in given:
        if path.split(".")[0] in _STUDY_OWN:
            raise ConfigError(f"{where}: {path}: expected a key that the study does not set itself")
    lines = [*overrides, *(f"{path}={_yaml(value)}" for path, value in given.items())]
    try:
        recipe = load_recipe(study.recipe, lines)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return recipe.model_copy(update={"arms": study.arms_baseline_first})


def check_arms(recipe: Recipe, where: str) -> None:
    """Check what the runs look up by name, before anything is trained.

    Raises:
        ConfigError: a strategy, option, set-up or severity does not exist.
    """
    from truelead.debias.adjustment import ADJUSTMENTS
    from truelead.debias.setup import SETUPS
    from truelead.debias.severity import severity_provider
    from truelead.model.projector import PROJECTORS

    for path, name, known in (
        ("questions.setup", recipe.questions.setup, list(SETUPS)),
        ("projector.name", recipe.projector.name, list(PROJECTORS)),
    ):
        if name not in known:
            raise ConfigError(
                f"{where}: {path}: expected one of {', '.join(known)}, found {name!r}"
            )
    try:
        severity_provider(recipe.severity)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    for arm in recipe.arms:
        own = recipe.arm(arm.name)
        for stage, config in (("pretrain", own.pretrain), ("finetune", own.finetune)):
            place = f"{where}: arms: {arm.name}: {stage}"
            if config.strategy not in ADJUSTMENTS:
                raise ConfigError(
                    f"{place}: expected one of {', '.join(ADJUSTMENTS)}, found {config.strategy!r}"
                )
            options = ADJUSTMENTS[config.strategy].OPTIONS
            for name in config.options:
                if name not in options:
                    accepted = ", ".join(options) or "none"
                    raise ConfigError(f"{place}: unknown option {name!r} (expected {accepted})")


def _yaml(value: Any) -> str:
    """A value on one line, as `load_recipe` reads it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("...\n").strip()


def _hint(location: tuple[int | str, ...]) -> str:
    """What the level of an unknown key accepts, nearest name first."""
    model = _PARTS[str(location[0])] if len(location) > 1 else Study
    names = list(model.model_fields)
    near = difflib.get_close_matches(str(location[-1]), names, n=1)
    return (f", did you mean {near[0]!r}?" if near else "") + f" (expected {', '.join(names)})"
