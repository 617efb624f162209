"""What a trial is: pre-trainings of rising length on the run's own shards, encoder and features.

A trial is trained anew for every rung of its scheduler, each time with the whole learning-rate
schedule of that length, and scored. So a short training is judged by a model whose rate has come
down, as the long one's will, and a trial that the scheduler stops has no workers left to kill.
With a reduction of 3 the shorter trainings add at most half of the longest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelead.config import ArmConfig, Recipe
from truelead.sweep.space import SearchSpace, Values, with_values


@dataclass(frozen=True)
class SweepPlan:
    """Everything that a trial needs to know, sent to its process.

    Attributes:
        recipe: of the sweep; its paths are absolute, since trials run in folders of their own.
        values: of every trial, by its number.
        folder: of the sweep, below the recipe's output and seen by every node.
    """

    recipe: Recipe
    space: SearchSpace
    values: tuple[Values, ...]
    folder: Path

    def trial_folder(self, trial: int) -> Path:
        """Named by the trial's number and values, so that another space never meets its results."""
        text = json.dumps(self.values[trial], sort_keys=True)
        return self.folder / f"trial-{trial:03d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def model_folder(self, trial: int, steps: int) -> Path:
        """Where the trial's model of this length lies."""
        return self.trial_folder(trial) / _arm_name(steps) / "pretrain"

    def trial_recipe(self, trial: int, steps: int) -> Recipe:
        """The recipe of one rung of a trial; its only arm is the rung.

        Raises:
            ConfigError: a value does not fit the recipe.
        """
        where = f"{self.space.name}: trial {trial}"
        values = {**self.space.fixed, **self.values[trial], "pretrain.steps": steps}
        recipe = with_values(self.recipe, values, where)
        arm = ArmConfig(name=_arm_name(steps), pretrain=recipe.pretrain.strategy)
        return recipe.model_copy(update={"output": self.trial_folder(trial), "arms": (arm,)})


def run_trial(config: dict[str, Any], *, plan: SweepPlan) -> None:
    """Ray Tune's function of one trial: trains and scores every rung, and reports each score.

    Args:
        config: `{"trial": number}`.
        plan: of the sweep.

    Raises:
        TrueLeadError: what the stages raise.
    """
    from ray import tune

    from truelead.sweep.development import DevelopmentQuestions
    from truelead.train import language_stage
    from truelead.train.environment import prepare_worker
    from truelead.train.stage import CHECKPOINTS, link_shared

    trial = int(config["trial"])
    prepare_worker(plan.recipe.train.threads_per_worker)
    questions = DevelopmentQuestions(plan.recipe)
    link_shared(plan.recipe.output, plan.trial_folder(trial))
    for steps in plan.space.rungs(plan.recipe):
        start = time.monotonic()
        recipe = plan.trial_recipe(trial, steps)
        model_folder = language_stage.run(recipe, recipe.arms[0].name, "pretrain")
        # The finished model is kept; what it would resume from is as large again, many times over.
        shutil.rmtree(model_folder / CHECKPOINTS, ignore_errors=True)
        trained = time.monotonic()
        scores = questions.score(model_folder)
        tune.report(
            {
                **scores,
                "steps": steps,
                "train_seconds": trained - start,
                "score_seconds": time.monotonic() - trained,
            }
        )


def _arm_name(steps: int) -> str:
    return f"steps-{steps:06d}"
