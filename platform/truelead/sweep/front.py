"""Which trial wins, and which stand on the Pareto front, by scores on the development patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from truelead.errors import TrueLeadError
from truelead.study.table import pareto_front
from truelead.sweep.cost import cost_of
from truelead.sweep.development import PROBABILITY
from truelead.sweep.journal import Report
from truelead.sweep.space import SearchSpace, Values

SMALLER_THAN_AN_ANSWER = 1e-6
"""Weight of a tie-break: no set of questions is so large that one answer is worth less."""

Status = Literal["finished", "stopped early", "failed", "running"]


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        trial: its number.
        values: what was tried; with population-based training what it had come to.
        status: "stopped early" by the scheduler, before its last rung; "running" where the sweep
            was ended before it.
        reports: one for each rung it was scored at.
        folder: its name below the sweep's folder, where its models are.
        error: one line, of a failed trial.
        failures: one line for each try that failed.
    """

    trial: int
    values: Values
    status: Status
    reports: tuple[Report, ...]
    folder: str
    error: str = ""
    failures: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Length of its longest scored training."""
        return int(self.reports[-1]["steps"]) if self.reports else 0

    @property
    def steps_trained(self) -> int:
        """Steps of all its trainings together, those shared with other trials among them."""
        return sum(int(report.get("train_steps", report["steps"])) for report in self.reports)


def is_feasible(space: SearchSpace, report: Report) -> bool:
    """Whether a trial keeps every constraint."""
    return shortfall(space, report) == 0


def shortfall(space: SearchSpace, report: Report) -> float:
    """By how much a trial breaks its constraints, all together; a metric not taken counts as 0."""
    return sum(
        max(0.0, floor - report.get(metric, 0.0)) for metric, floor in space.constraints.items()
    )


def aims(space: SearchSpace, report: Report) -> tuple[float, ...]:
    """The objectives, each so that more is better, the metric first."""
    names = (space.metric, *(name for name in space.objectives if name != space.metric))
    return tuple(-cost_of(space, report) if name == "cost" else report[name] for name in names)


def rung_score(space: SearchSpace, report: Report) -> float:
    """By what trials of the same length are compared before their end; more is better.

    Short trainings often give the same answers throughout, or answer by chance: by "answers" the
    share is moved by less than one answer by the mean probability of what is right.
    """
    probability = report[f"{space.metric}{PROBABILITY}"]
    if space.scheduler.by == "probability":
        return probability
    return report[space.metric] + SMALLER_THAN_AN_ANSWER * probability


def choose_best(trials: Sequence[TrialResult], space: SearchSpace) -> int:
    """The winner's number: of those trained longest that keep the constraints, the best by the
    metric; of equal ones the best by the other objectives, then the one that is surer of what is
    right, then the first.

    Where none keeps them, the one that breaks them least; the report says so.

    Raises:
        TrueLeadError: no trial was scored; the message is the first trial's error.
    """
    scored = [trial for trial in trials if trial.reports and trial.status != "failed"]
    if not scored:
        errors = [trial.error for trial in trials if trial.error] or ["no trial was scored"]
        raise TrueLeadError(f"sweep: every trial failed: {errors[0]}")
    return max(
        scored,
        key=lambda t: (
            t.steps,
            -shortfall(space, t.reports[-1]),
            aims(space, t.reports[-1]),
            t.reports[-1].get(f"{space.metric}{PROBABILITY}", 0.0),
            -t.trial,
        ),
    ).trial


def front(trials: Sequence[TrialResult], space: SearchSpace) -> frozenset[int]:
    """Numbers of the trials on the Pareto front: trained longest, within the constraints, and no
    other as good by every objective and better by one."""
    scored = [trial for trial in trials if trial.reports and trial.status != "failed"]
    longest = max((trial.steps for trial in scored), default=0)
    points = {
        str(trial.trial): aims(space, trial.reports[-1])
        for trial in scored
        if trial.steps == longest and is_feasible(space, trial.reports[-1])
    }
    return frozenset(int(name) for name in pareto_front(points))
