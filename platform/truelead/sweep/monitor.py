"""Follows the trials of a sweep: keeps their reports, and says how they do."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback

from truelead.sweep.objective import SweepPlan
from truelead.sweep.results import describe
from truelead.train.progress import say

_KEPT = ("steps", "balanced", "confounded", "train_seconds", "score_seconds")


class TrialMonitor(Callback):
    """Ray Tune's callback in the driver; one line for each score.

    Attributes:
        reports: of each trial, by its number, in their order.
    """

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self.reports: dict[int, list[dict[str, float]]] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say what is tried."""
        number = int(trial.config["trial"])
        say(f"trial {number}: {describe(self._plan.values[number])}")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Keep and say a score."""
        if "steps" not in result:
            return
        number = int(trial.config["trial"])
        report = {name: float(result[name]) for name in _KEPT}
        self.reports.setdefault(number, []).append(report)
        done = sum(other.is_finished() for other in trials)
        say(
            f"trial {number}: {report['steps']:.0f} steps, balanced "
            f"{100 * report['balanced']:.1f} %, confounded {100 * report['confounded']:.1f} %, "
            f"{report['train_seconds'] + report['score_seconds']:.0f} s "
            f"({done}/{len(self._plan.values)} ended)"
        )

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say so where the scheduler has stopped it."""
        number = int(trial.config["trial"])
        last = self._plan.space.rungs(self._plan.recipe)[-1]
        reports = self.reports.get(number, [])
        if reports and reports[-1]["steps"] < last:
            say(f"trial {number}: stopped early, after {reports[-1]['steps']:.0f} steps")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say that it failed; why is in the results."""
        say(f"trial {int(trial.config['trial'])}: failed")
