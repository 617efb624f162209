"""Follows the trials of a sweep: writes down which tries fail, and says how they do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ray.tune import Callback

from truelead.study.training import one_line
from truelead.sweep.journal import CONTINUE, Journal, Report
from truelead.sweep.objective import FAILED, number_of
from truelead.sweep.results import describe
from truelead.sweep.scheduler import report_of
from truelead.train.progress import say

Ended = Callable[[int], None]


class TrialMonitor(Callback):
    """Ray Tune's callback in the driver; one line for each score and each failure.

    Args:
        journal: of the sweep.
        total: trials of the whole sweep.
        ended: called with a trial's number once it has ended well.
        promotes: whether a trial that is stopped may go on later.
    """

    def __init__(
        self,
        journal: Journal,
        total: int,
        ended: Ended = lambda number: None,
        *,
        promotes: bool = False,
    ) -> None:
        self._journal = journal
        self._total = total
        self._promotes = promotes
        self._ended = ended

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say what is tried."""
        number = number_of(trial)
        log = self._journal.trials[number]
        if not log.reports:
            say(f"trial {number}: {describe(log.values)}")
        elif log.promoted_to not in {0, *log.reports}:
            say(f"trial {number}: promoted to {log.promoted_to} steps")

    def announce(self, number: int, report: Report) -> None:
        """Say a new score."""
        done = sum(log.status in ("finished", "stopped early") for log in self._logs())
        reliance = report.get("reliance")
        shown = "" if reliance is None else f", reliance {100 * reliance:.1f} points"
        say(
            f"trial {number}: {report['steps']:.0f} steps, balanced "
            f"{100 * report['balanced']:.1f} %, confounded {100 * report['confounded']:.1f} %"
            f"{shown}, {report['wall_seconds'] + report['score_seconds']:.0f} s "
            f"({done}/{self._total} {'tried' if self._promotes else 'ended'})"
        )

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say so where the scheduler has stopped it."""
        number = number_of(trial)
        log = self._journal.trials[number]
        if log.status == "stopped early" and not self._promotes:
            say(f"trial {number}: stopped early, after {max(log.reports)} steps")
        if log.status in ("finished", "stopped early"):
            self._ended(number)
        if log.status == "failed":
            say(f"trial {number}: failed: {log.error}")

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write down that a try has failed, and say that another follows."""
        number, reason = number_of(trial), _reason(trial)
        self._journal.failure(number, reason)
        say(f"trial {number}: failed, tried again: {reason}")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write down and say that it failed for good."""
        number, reason = number_of(trial), _reason(trial)
        self._journal.failure(number, reason)
        self._journal.end(number, "failed", reason)
        say(f"trial {number}: failed: {reason}")

    def _logs(self) -> list[Any]:
        return list(self._journal.trials.values())


class PopulationMonitor(TrialMonitor):
    """As `TrialMonitor`, for a population: writes every piece down as it is scored.

    Args:
        last: steps of a whole training.
    """

    def __init__(
        self,
        journal: Journal,
        total: int,
        last: int,
        ended: Ended = lambda number: None,
    ) -> None:
        super().__init__(journal, total, ended)
        self._last = last

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,
        result: Mapping[str, Any],
        **info: Any,
    ) -> None:
        """Keep the piece's score, its values, and from whom it went on."""
        number = number_of(trial)
        if FAILED in result:
            self._journal.failure(number, str(result[FAILED]))
            self._journal.end(number, "failed", str(result[FAILED]))
            return
        if "member_values" not in result:
            return
        report, donor = report_of(result), int(result["donor"])
        values = json.loads(result["member_values"])
        if int(report["steps"]) not in self._journal.trials[number].reports:
            self._journal.report(number, report, CONTINUE, values=values, donor=donor)
            self.announce(number, report)
            if donor not in (-1, number):
                say(f"trial {number}: had gone on from trial {donor}: {describe(values)}")
        if report["steps"] >= self._last:
            self._journal.end(number, "finished")


def _reason(trial: Any) -> str:
    """What went wrong in one line, from Ray Tune's own record of the try."""
    error = trial.get_error() if hasattr(trial, "get_error") else None
    if error is None:
        return "its process ended"
    return one_line(error)
