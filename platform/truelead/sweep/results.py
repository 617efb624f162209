"""What a sweep found: one row a trial, and the files that are left of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from truelead.config import ArmConfig, Recipe
from truelead.data.durable import write_durable_text
from truelead.errors import TrueLeadError
from truelead.sweep.objective import SweepPlan
from truelead.sweep.space import Values, with_values

BEST_ARM = "best"
RESULTS, BEST, TABLE = "sweep.json", "best.yaml", "sweep.md"
_SCHEMA = 1
_NOTICE = "Not for clinical use."

Status = Literal["finished", "stopped early", "failed"]


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        trial: its number.
        values: what was tried.
        status: "stopped early" by the scheduler, before its last rung.
        reports: one for each rung it was scored at: steps, balanced, confounded (shares of right
            answers), train_seconds, score_seconds.
        folder: of its models.
        error: one line, of a failed trial.
    """

    trial: int
    values: Values
    status: Status
    reports: tuple[dict[str, float], ...]
    folder: str
    error: str = ""

    @property
    def steps(self) -> int:
        """Length of its longest scored training."""
        return int(self.reports[-1]["steps"]) if self.reports else 0

    @property
    def steps_trained(self) -> int:
        """Steps of all its trainings together."""
        return sum(int(report["steps"]) for report in self.reports)


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep.

    Attributes:
        trials: by their number.
        best: number of the winner: among the trials trained longest, the best by the metric.
        questions: how many questions each metric is a share of.
        seconds: wall time.
        concurrent: trials at the same time.
    """

    plan: SweepPlan
    trials: tuple[TrialResult, ...]
    best: int
    questions: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    concurrent: int = 1

    @property
    def folder(self) -> Path:
        """Where sweep.json, sweep.md and best.yaml lie."""
        return self.plan.folder

    @property
    def best_recipe(self) -> Path:
        """The winner's recipe, ready to run."""
        return self.folder / BEST

    @property
    def steps_of_all_to_the_end(self) -> int:
        """Steps if every trial had been trained once, for its whole length."""
        return len(self.trials) * self.plan.space.rungs(self.plan.recipe)[-1]


def choose_best(trials: tuple[TrialResult, ...], metric: str) -> int:
    """The winner's number; of equal ones the first.

    Raises:
        TrueLeadError: no trial was scored; the message is the first trial's error.
    """
    scored = [trial for trial in trials if trial.reports]
    if not scored:
        errors = [trial.error for trial in trials if trial.error] or ["no trial was scored"]
        raise TrueLeadError(f"sweep: every trial failed: {errors[0]}")
    return max(scored, key=lambda t: (t.steps, t.reports[-1][metric], -t.trial)).trial


def best_recipe(plan: SweepPlan, trial: int) -> Recipe:
    """The sweep's recipe with a trial's values as its one arm, at the recipe's own length.

    It keeps the run's output folder, so that the stages it shares with the sweep are found there.
    """
    values = {**plan.space.fixed, **plan.values[trial]}
    recipe = with_values(plan.recipe, values, plan.space.name)
    arm = ArmConfig(
        name=BEST_ARM, pretrain=recipe.pretrain.strategy, finetune=recipe.finetune.strategy
    )
    return recipe.model_copy(update={"arms": (arm,)})


def write_results(result: SweepResult) -> None:
    """sweep.json (everything), sweep.md (the table), best.yaml (a recipe ready to run)."""
    plan = result.plan
    tree = {
        "schema": _SCHEMA,
        "notice": _NOTICE,
        "space": plan.space.model_dump(mode="json"),
        "recipe": plan.recipe.model_dump(mode="json"),
        "metric": plan.space.metric,
        "split": "development",
        "questions": result.questions,
        "rungs": plan.space.rungs(plan.recipe),
        "concurrent": result.concurrent,
        "seconds": round(result.seconds, 1),
        "steps_trained": sum(trial.steps_trained for trial in result.trials),
        "steps_of_all_to_the_end": result.steps_of_all_to_the_end,
        "best": result.best,
        "trials": [asdict(trial) for trial in result.trials],
    }
    write_durable_text(result.folder / RESULTS, json.dumps(tree, indent=1) + "\n")
    write_durable_text(result.folder / TABLE, markdown(result))
    recipe = best_recipe(plan, result.best).model_dump(mode="json")
    head = f"# Winner of the sweep {plan.space.name}: {describe(plan.values[result.best])}\n"
    write_durable_text(
        result.folder / BEST, head + f"# {_NOTICE}\n" + yaml.safe_dump(recipe, sort_keys=False)
    )


def describe(values: Values) -> str:
    """A trial's values in one line."""
    return ", ".join(f"{path}={short(value)}" for path, value in values.items())


def short(value: Any) -> str:
    """A value for a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def rows(result: SweepResult) -> list[list[str]]:
    """The table's cells, best trial first."""
    metric = result.plan.space.metric
    order = sorted(
        result.trials,
        key=lambda t: (t.trial != result.best, -t.steps, -t.reports[-1][metric] if t.steps else 0),
    )
    return [
        [
            str(trial.trial),
            *(short(value) for value in trial.values.values()),
            str(trial.steps),
            *(
                f"{100 * trial.reports[-1][name]:.1f}" if trial.reports else "-"
                for name in ("balanced", "confounded")
            ),
            trial.status + (f": {trial.error}" if trial.error else ""),
        ]
        for trial in order
    ]


def columns(result: SweepResult) -> list[str]:
    """The table's head."""
    return [
        "trial",
        *result.plan.space.parameters,
        "steps",
        "balanced do(Q) %",
        "confounded %",
        "status",
    ]


def markdown(result: SweepResult) -> str:
    """The table with what is needed to read it."""
    plan = result.plan
    counts = ", ".join(f"{count} {metric}" for metric, count in result.questions.items())
    trained = sum(trial.steps_trained for trial in result.trials)
    lines = [
        f"# Sweep {plan.space.name}",
        "",
        f"{len(result.trials)} trials, chosen by the {plan.space.metric} questions about the "
        f"development patients ({counts} questions). {trained} steps were trained; all trials to "
        f"their end would have been {result.steps_of_all_to_the_end}. The winner's figure is the "
        f"largest of several and therefore flatters it: judge it on the test. {_NOTICE}",
        "",
        "| " + " | ".join(columns(result)) + " |",
        "|" + " --- |" * len(columns(result)),
        *("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows(result)),
    ]
    return "\n".join(lines) + "\n"
