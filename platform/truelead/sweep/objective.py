"""What a trial is: trainings of rising length on the run's own shards, encoder and features.

A trial is trained anew for every rung of its scheduler, each time with the whole learning-rate
schedule of that length, and scored. So a short training is judged by a model whose rate has come
down, as the long one's will, and a trial that the scheduler stops has no workers left to kill.
With a reduction of 3 the shorter trainings add at most half of the longest. (Population-based
training goes on from checkpoints instead: `population.py`.)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truelead.config import Recipe, Scalar
from truelead.errors import TrueLeadError
from truelead.sweep.journal import Report
from truelead.sweep.space import SearchSpace, Values, with_values
from truelead.train.stage import digest_of

if TYPE_CHECKING:
    from truelead.sweep.development import DevelopmentQuestions
    from truelead.sweep.stages import TrainedStage

FAILED = "failed"
"""Key of a result that tells an error which a further try would meet again."""

_RUNTIME = ("trials", "concurrent", "retries", "budget_hours", "patience", "storage", "final")
"""Keys of a space that may change between two starts of one sweep."""


@dataclass(frozen=True)
class SweepPlan:
    """Everything that a trial needs to know, sent to its process.

    Attributes:
        recipe: of the sweep; its paths are absolute, since trials run in folders of their own.
        folder: of the sweep, below the recipe's output and seen by every node.
    """

    recipe: Recipe
    space: SearchSpace
    folder: Path

    @property
    def rungs(self) -> tuple[int, ...]:
        """After how many steps a trial is scored."""
        return self.space.rungs(self.recipe)

    def key(self, inputs: str) -> str:
        """Digest of what decides which trial is best.

        Args:
            inputs: digest of the questions by which trials are scored, and of the encoder.
        """
        space = self.space.model_dump(mode="json")
        recipe = self.recipe.model_dump(mode="json")
        for name in ("arms", "output", "evaluate"):
            del recipe[name]
        recipe["train"] = {name: recipe["train"][name] for name in ("dtype", "gradient_clipping")}
        kept = {name: value for name, value in space.items() if name not in _RUNTIME}
        # Values are drawn in the order in which the parameters stand.
        order = list(self.space.parameters)
        return digest_of({"space": kept, "order": order, "recipe": recipe, "inputs": inputs})

    def trial_recipe(self, values: Mapping[str, Scalar], steps: int, where: str = "") -> Recipe:
        """The recipe of one rung of a trial.

        Raises:
            ConfigError: a value does not fit the recipe.
        """
        whole = {**self.space.fixed, **values, "pretrain.steps": steps}
        if "finetune" in self.space.stages:
            share = steps / self.rungs[-1]
            whole["finetune.steps"] = max(1, round(self.recipe.finetune.steps * share))
        return with_values(self.recipe, whole, where or self.space.name)

    def trial_folder(self, name: str) -> Path:
        """Where a trial's models are found by its name."""
        return self.folder / name


def own_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A trial's configuration among what Ray Tune hands on: itself, or one of a list."""
    found: Mapping[str, Any] = config.get("listed") or config.get("member") or config
    return found


def number_of(trial: Any) -> int:
    """The number of a trial of Ray Tune.

    Its name tells: one that has gone on from another's checkpoint has the other's configuration.
    """
    named = number_in(str(trial))
    return int(own_config(trial.config)["trial"]) if named is None else named


def number_in(name: str) -> int | None:
    """The number in a trial's name, None where it is none."""
    found = re.match(r"trial-(\d+)-", name)
    return None if found is None else int(found[1])


def trial_name(number: int, values: Mapping[str, Scalar]) -> str:
    """A trial's name: its number, and a digest of its values so that no other space meets it."""
    text = json.dumps(dict(values), sort_keys=True)
    return f"trial-{number:03d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def run_trial(config: dict[str, Any], *, plan: SweepPlan) -> None:
    """Ray Tune's function of one trial: trains and scores every rung, and reports each score.

    An error of ours would come again, so it is reported rather than raised: Ray Tune tries a trial
    again whose process has died or that has met anything else.

    Args:
        config: `name`, `values`, and perhaps the `seed` of the trainings and their `rungs`.
        plan: of the sweep.
    """
    from ray import tune

    for steps in config.get("rungs", plan.rungs):
        try:
            report = train_and_score(
                plan, config["name"], config["values"], steps, seed=config.get("seed")
            )
        except TrueLeadError as error:
            tune.report({"steps": steps, FAILED: str(error)})
            return
        tune.report(report)


def train_and_score(
    plan: SweepPlan,
    name: str,
    values: Mapping[str, Scalar],
    steps: int,
    *,
    seed: int | None = None,
) -> Report:
    """One rung of a trial, in this process or by Ray Train's workers; what is there is found.

    Raises:
        TrueLeadError: what the stages and the judge raise.
    """
    from truelead.sweep.stages import StagePool
    from truelead.train.environment import prepare_worker

    prepare_worker(plan.recipe.train.threads_per_worker)
    start = time.monotonic()
    recipe = plan.trial_recipe(values, steps, name)
    if seed is not None:
        recipe = recipe.model_copy(update={"seed": seed})
    trained = StagePool(plan.recipe).train(recipe, plan.space.stages)
    link_model(plan.trial_folder(name) / f"steps-{steps:06d}", trained[-1].folder)
    return scored(plan, trained, steps, time.monotonic() - start)


def scored(
    plan: SweepPlan, trained: tuple[TrainedStage, ...], steps: int, wall_seconds: float
) -> Report:
    """The report of a trained rung."""
    from truelead.sweep.development import PROBABILITY

    start = time.monotonic()
    found = questions_of(plan).score(trained[-1].folder)
    report: Report = {"steps": float(steps)}
    for metric, one in found.metrics.items():
        report |= {metric: one.estimate, f"{metric}_low": one.low, f"{metric}_high": one.high}
    report |= {f"{metric}{PROBABILITY}": one for metric, one in found.probabilities.items()}
    return report | {
        "parameters": float(found.parameters),
        "flops": found.flops,
        "train_seconds": sum(stage.seconds for stage in trained),
        "train_steps": float(sum(stage.steps for stage in trained)),
        "wall_seconds": wall_seconds,
        "score_seconds": time.monotonic() - start,
    }


def questions_of(plan: SweepPlan) -> DevelopmentQuestions:
    """The sweep's questions; made once in each process."""
    return _questions(plan.recipe.model_dump_json(), plan.space.cost == "flops")


@lru_cache(maxsize=1)
def _questions(recipe: str, count_flops: bool) -> DevelopmentQuestions:
    from truelead.sweep.development import DevelopmentQuestions

    return DevelopmentQuestions(Recipe.model_validate_json(recipe), count_flops=count_flops)


def link_model(link: Path, folder: Path) -> None:
    """Let a trial's folder show the model that it was trained to."""
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(folder, link.parent)
    if link.is_symlink() and os.readlink(link) == target:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(target, target_is_directory=True)


def fits(values: Values, plan: SweepPlan) -> None:
    """Try a trial's values on the recipe.

    Raises:
        ConfigError: they do not fit.
    """
    from truelead.sweep.checking import check_names

    check_names(plan.trial_recipe(values, 1), plan.space.name)
