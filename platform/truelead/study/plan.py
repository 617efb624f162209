"""What a study trains, worked out before anything starts: conditions, runs, and where they lie.

<recipe.output>/                     shards, encoder, features: shared by every run
<recipe.output>/study/<name>/        study.json, study.md, study.yaml
    inputs-<digest>/                 shards, encoder, features of a condition with other ECGs
    <condition>/seed-<n>/<arm>/      pretrain, finetune, run.json
    <condition>/report/              the judge's report
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from truelead.config import Recipe
from truelead.errors import ConfigError
from truelead.study.definition import Study, base_recipe, check_arms, condition_recipe
from truelead.train.stage import DONE, digest_of

_LANGUAGE_PARTS = (
    "name",
    "output",
    "arms",
    "projector",
    "language_model",
    "questions",
    "severity",
    "pretrain",
    "finetune",
)
"""Parts of a recipe that shape neither its ECGs, nor its shards, nor its encoder."""

_ASKING = ("confounding", "positivity")
"""Dials of the planted truth that shape what is asked and not the ECGs."""

_NUMBERS = ("dtype", "gradient_clipping")
"""What of `train` changes a result: the rest says how the work is spread."""

_FOLD, _FOLDS = "questions.wording_fold", "questions.wording_folds"


@dataclass(frozen=True)
class Condition:
    """One setting, resolved.

    Attributes:
        recipe: with the study's arms, baseline first; its output is `folder`.
        inputs: the folder that holds the shards, encoder and features of its runs.
    """

    name: str
    overrides: Mapping[str, Any]
    recipe: Recipe
    inputs: Path

    @property
    def folder(self) -> Path:
        """Where its runs and its report lie."""
        return self.recipe.output

    @property
    def input_recipe(self) -> Recipe:
        """The recipe by which the shared stages are made."""
        return self.recipe.model_copy(update={"output": self.inputs})


@dataclass(frozen=True, eq=False)
class Run:
    """One training of one arm: what a Ray task does.

    Attributes:
        recipe: of this run; its output is the folder of the (condition, seed).
    """

    condition: str
    arm: str
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """For a line to the user."""
        return f"{self.condition}, {self.arm}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Where its stages and run.json lie."""
        return self.recipe.output / self.arm

    @cached_property
    def pretraining(self) -> str:
        """Digest that runs with one and the same pre-training have in common."""
        tree = arm_parts(self.recipe, self.arm)
        del tree["finetune"]
        return digest_of({"output": str(self.recipe.output), **tree})

    def key(self, inputs: Path) -> str:
        """Digest of all that shapes the run's models, the finished inputs included."""
        return digest_of({"run": arm_parts(self.recipe, self.arm), "inputs": inputs_digest(inputs)})


@dataclass(frozen=True)
class StudyPlan:
    """Everything a study will do.

    Attributes:
        runs: in the order in which they are started: seed by seed, so that a study that is cut
            short has whole seeds.
    """

    study: Study
    folder: Path
    conditions: tuple[Condition, ...]
    runs: tuple[Run, ...]

    def condition(self, name: str) -> Condition:
        """The condition of this name."""
        return next(condition for condition in self.conditions if condition.name == name)

    @property
    def inputs(self) -> dict[Path, Recipe]:
        """Folder -> recipe of the shared stages, each once."""
        return {condition.inputs: condition.input_recipe for condition in self.conditions}


def make_plan(study: Study, overrides: Sequence[str] = ()) -> StudyPlan:
    """Resolve and check every condition and arm.

    Args:
        overrides: `a.b=c` of the command line, on top of the recipe file.

    Raises:
        ConfigError: see `condition_recipe` and `check_arms`; two arms are the same training; two
            conditions share a folder.
    """
    base = _absolute(base_recipe(study, overrides))
    folder = base.output / "study" / study.name
    conditions: list[Condition] = []
    for name, values in _settings(study).items():
        where = f"{study.name}: conditions: {name}"
        recipe = _absolute(condition_recipe(study, values, overrides, where))
        check_arms(recipe, where)
        _check_distinct(recipe, where)
        shared = input_parts(recipe)
        inputs = base.output
        if shared != input_parts(base):
            inputs = folder / f"inputs-{digest_of(shared)[:8]}"
        place = folder / re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        if place == folder or place in [known.folder for known in conditions]:
            raise ConfigError(f"{where}: expected a name with letters of its own for its folder")
        recipe = recipe.model_copy(update={"output": place})
        conditions.append(Condition(name, values, recipe, inputs))
    runs = tuple(
        Run(
            condition.name,
            arm.name,
            seed,
            condition.recipe.model_copy(
                update={"seed": seed, "output": condition.folder / f"seed-{seed}"}
            ),
        )
        for seed in study.seeds
        for condition in conditions
        for arm in condition.recipe.arms
    )
    return StudyPlan(study, folder, tuple(conditions), runs)


def arm_parts(recipe: Recipe, arm: str) -> dict[str, Any]:
    """What shapes the models of an arm, beside the shared inputs; its name does not."""
    tree = recipe.arm(arm).model_dump(mode="json")
    for part in ("name", "output", "arms", "evaluate"):
        del tree[part]
    tree["train"] = {name: tree["train"][name] for name in _NUMBERS}
    config = next(known for known in recipe.arms if known.name == arm).model_dump(mode="json")
    # The strategies are in the resolved stages already.
    strategies = ("pretrain", "pretrain_options", "finetune", "finetune_options")
    tree["arm"] = {k: v for k, v in config.items() if k not in ("name", *strategies)}
    return tree


def input_parts(recipe: Recipe) -> dict[str, Any]:
    """What shapes the stages before the language model: the ECGs, the shards, the encoder."""
    tree = recipe.model_dump(mode="json")
    parts = {name: value for name, value in tree.items() if name not in _LANGUAGE_PARTS}
    if parts["planted"] is not None:
        parts["planted"] = {k: v for k, v in parts["planted"].items() if k not in _ASKING}
    parts["train"] = {name: parts["train"][name] for name in _NUMBERS}
    parts["evaluate"] = parts["evaluate"]["split"]
    return parts


def inputs_digest(inputs: Path) -> list[str]:
    """Digests of the finished shards and encoder."""
    manifest = json.loads((inputs / "shards" / "manifest.json").read_text(encoding="utf-8"))
    encoder = json.loads((inputs / "encoder" / DONE).read_text(encoding="utf-8"))
    return [str(manifest["digest"]), str(encoder["key"])]


def _check_distinct(recipe: Recipe, where: str) -> None:
    known: dict[str, str] = {}
    for arm in recipe.arms:
        other = known.setdefault(digest_of(arm_parts(recipe, arm.name)), arm.name)
        if other != arm.name:
            raise ConfigError(f"{where}: arms: {other} and {arm.name} are the same training")


def _settings(study: Study) -> dict[str, dict[str, Any]]:
    """Name -> overrides of every condition; with folds, one for each of them."""
    settings = {condition.name: condition.overrides for condition in study.conditions}
    if study.wording_folds is None:
        return settings
    return {
        f"{name}, wordings {fold + 1} of {study.wording_folds}": {
            **values,
            _FOLD: fold,
            _FOLDS: study.wording_folds,
        }
        for name, values in settings.items()
        for fold in range(study.wording_folds)
    }


def _absolute(recipe: Recipe) -> Recipe:
    """With whole paths, since the runs' processes may have another working directory."""
    local = recipe.language_model.path
    if local is not None and Path(local).is_dir():
        local = str(Path(local).resolve())
    data = {
        name: path.resolve() if isinstance(path, Path) else path
        for name, path in (("root", recipe.data.root), ("ecg_qa", recipe.data.ecg_qa))
    }
    return recipe.model_copy(
        update={
            "output": recipe.output.resolve(),
            "data": recipe.data.model_copy(update=data),
            "language_model": recipe.language_model.model_copy(update={"path": local}),
        }
    )
