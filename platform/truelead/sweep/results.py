"""What a sweep found: its trials, its winner, and the numbers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from truelead.config import ArmConfig, Recipe
from truelead.sweep.cost import COST_UNITS, cost_of
from truelead.sweep.final import Final, as_tree
from truelead.sweep.front import TrialResult, front, is_feasible
from truelead.sweep.importance import Importances
from truelead.sweep.objective import SweepPlan
from truelead.sweep.space import Values, with_values

BEST_ARM = "best"
RESULTS, BEST, TABLE, PAGE = "sweep.json", "best.yaml", "sweep.md", "sweep.html"
SCHEMA = 2
NOTICE = "Not for clinical use."


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep.

    Attributes:
        trials: by their number.
        best: number of the winner (`front.choose_best`).
        questions: how many questions each metric is a share of.
        seconds: wall time of the trials in this start of the sweep.
        concurrent: trials at the same time.
        stopped: why no further trial was started, empty where all were.
        starts: how often the sweep was started, this time among them, from 0.
        final: the winner trained again and judged on the test set; None where none was asked for.
    """

    plan: SweepPlan
    trials: tuple[TrialResult, ...]
    best: int
    questions: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    concurrent: int = 1
    stopped: str = ""
    starts: int = 1
    importances: Importances = field(default_factory=lambda: Importances({}, 0, 0))
    final: Final | None = None

    @property
    def folder(self) -> Path:
        """Where the report, sweep.json and best.yaml lie."""
        return self.plan.folder

    @property
    def best_recipe(self) -> Path:
        """The winner's recipe, ready to run."""
        return self.folder / BEST

    @property
    def winner(self) -> TrialResult:
        """The best trial."""
        return next(trial for trial in self.trials if trial.trial == self.best)

    @property
    def front(self) -> frozenset[int]:
        """Numbers of the trials on the Pareto front."""
        return front(self.trials, self.plan.space)

    @property
    def is_within_constraints(self) -> bool:
        """Whether the winner keeps the space's constraints."""
        return is_feasible(self.plan.space, self.winner.reports[-1])

    @property
    def steps_trained(self) -> int:
        """Steps of all trials together, those shared by two counted for both."""
        return sum(trial.steps_trained for trial in self.trials)

    @property
    def steps_of_all_to_the_end(self) -> int:
        """Steps if every trial had been trained once, for its whole length."""
        last = self.plan.rungs[-1]
        if "finetune" in self.plan.space.stages:
            last += self.plan.recipe.finetune.steps
        return len(self.trials) * last


def best_recipe(plan: SweepPlan, values: Mapping[str, Any]) -> Recipe:
    """The sweep's recipe with a trial's values as its one arm, at the recipe's own length.

    It keeps the run's output folder, so that the stages it shares with the sweep are found there.
    """
    recipe = with_values(plan.recipe, {**plan.space.fixed, **values}, plan.space.name)
    arm = ArmConfig(
        name=BEST_ARM, pretrain=recipe.pretrain.strategy, finetune=recipe.finetune.strategy
    )
    return recipe.model_copy(update={"arms": (arm,)})


def as_json(result: SweepResult) -> dict[str, Any]:
    """Everything that was found."""
    plan = result.plan
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "space": plan.space.model_dump(mode="json"),
        "recipe": plan.recipe.model_dump(mode="json"),
        "metric": plan.space.metric,
        "objectives": list(plan.space.objectives),
        "split": "development",
        "questions": result.questions,
        "rungs": plan.rungs,
        "concurrent": result.concurrent,
        "starts": result.starts,
        "stopped": result.stopped,
        "seconds": round(result.seconds, 1),
        "steps_trained": result.steps_trained,
        "steps_of_all_to_the_end": result.steps_of_all_to_the_end,
        "best": result.best,
        "within_constraints": result.is_within_constraints,
        "front": sorted(result.front),
        "importances": asdict(result.importances),
        "final": None if result.final is None else as_tree(result.final),
        "trials": [asdict(trial) for trial in result.trials],
    }


def describe(values: Mapping[str, Any]) -> str:
    """A trial's values in one line."""
    return ", ".join(f"{path}={short(value)}" for path, value in values.items())


def short(value: Any) -> str:
    """A value for a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def ranked(result: SweepResult) -> list[TrialResult]:
    """The trials, best first."""
    metric = result.plan.space.metric
    return sorted(
        result.trials,
        key=lambda t: (t.trial != result.best, -t.steps, -t.reports[-1][metric] if t.steps else 0),
    )


def columns(result: SweepResult) -> list[str]:
    """The table's head."""
    space = result.plan.space
    return [
        "trial",
        *space.parameters,
        "steps",
        "balanced do(Q) %",
        "confounded %",
        "reliance, points",
        COST_UNITS[space.cost],
        "status",
    ]


def rows(result: SweepResult) -> list[list[str]]:
    """The table's cells, best trial first."""
    on_front = result.front
    return [
        [
            f"{trial.trial}{' ◆' if trial.trial in on_front else ''}",
            *(_value(trial.values, path) for path in result.plan.space.parameters),
            str(trial.steps),
            *(_share(trial, name) for name in ("balanced", "confounded", "reliance")),
            _cost(result, trial),
            _status(trial),
        ]
        for trial in ranked(result)
    ]


def _value(values: Values, path: str) -> str:
    return short(values[path]) if path in values else "-"


def _share(trial: TrialResult, name: str) -> str:
    found = trial.reports[-1].get(name) if trial.reports else None
    return "-" if found is None else f"{100 * found:.1f}"


def _cost(result: SweepResult, trial: TrialResult) -> str:
    if not trial.reports:
        return "-"
    return f"{cost_of(result.plan.space, trial.reports[-1]):,.0f}"


def _status(trial: TrialResult) -> str:
    tries = f" ({len(trial.failures)} failed tries)" if trial.failures else ""
    return trial.status + (f": {trial.error}" if trial.error else tries)
