"""Asynchronous successive halving by promotion: who trains next, told from the journal.

A trial is trained to its first rung and left there. Whenever there is room, the best of a rung's
upper 1 / reduction that has not gone further is promoted to the next rung; where there is none, a
new trial begins (Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020,
algorithm 2). Ray Tune's ASHA decides the moment a trial reports, so that whoever comes first passes
every rung. Since each rung is a training from the start, leaving and promoting a trial costs
nothing.

Values that are known from the start do not depend on what longer trainings show: there all trials
begin before any is promoted, lower rungs are filled before higher ones, and a trial goes on once it
would whatever those that train now come to. So as many are promoted as by successive halving with
all rungs complete, at any number of trials at a time, and hardly anybody waits.

Every rung of a trial is a trial of Ray Tune of its own: it needs no process in between, and Ray
Tune's limit on trials at a time counts those that train.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.search import Searcher

from truelead.config import Recipe
from truelead.sweep.front import rung_score
from truelead.sweep.journal import Journal, Report, TrialLog
from truelead.sweep.searcher import JournalledSearch
from truelead.sweep.space import SearchSpace

Score = Callable[[Report], float]


@dataclass(frozen=True)
class Job:
    """One rung of a trial."""

    number: int
    steps: int


class PromotionSearch(JournalledSearch):
    """Ray Tune's searcher that gives each rung of each trial its turn.

    What the journal says was begun and not scored comes first. A budget or patience that is used up
    keeps new trials from beginning; those that have earned it are still promoted, and where none
    has come to the last rung the best goes on until one has.
    """

    def __init__(self, space: SearchSpace, recipe: Recipe, journal: Journal) -> None:
        super().__init__(space, recipe, journal)
        self._rungs = space.rungs(recipe)
        self._learns = space.search.name == "optuna"
        self._running: dict[str, Job] = {}
        self._owed: list[Job] = []
        for number, log in sorted(journal.trials.items()):
            owed = Job(number, log.promoted_to or self._rungs[0])
            if owed.steps not in log.reports:
                self._owed.append(owed)
            self._source.remember(number, log.values)
            if log.reports or log.status == "failed":
                self._tell(number, failed=log.status == "failed")

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Configuration of the next rung of a trial; None where it depends on those that train."""
        job = self._next()
        if job is None:
            finished: dict[str, Any] = Searcher.FINISHED
            return None if self._running else finished
        self._running[trial_id] = job
        return {**self._configuration(trial_id, job.number), "rungs": [job.steps]}

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """A rung has ended; tell the source how the trial stands."""
        self._tell(self._running.pop(trial_id).number, failed=error)

    def _next(self) -> Job | None:
        if self._owed:
            return self._owed.pop(0)
        job = (self._learns and self._due()) or self._begun() or self._due()
        if job is None and not self._running:
            job = furthest(self._journal.trials, self._rungs, self._score)
        if job is not None and job.steps > self._rungs[0]:
            self._journal.promote(job.number, job.steps)
        return job

    def _begun(self) -> Job | None:
        number = len(self._journal.trials)
        return Job(number, self._rungs[0]) if self._begin(number) else None

    def _due(self) -> Job | None:
        training = None if self._learns else [job.steps for job in self._running.values()]
        reduction = self._space.scheduler.reduction
        return promotable(
            self._journal.trials, self._rungs, self._score, reduction, training=training
        )

    def _scores(self) -> list[float]:
        """The first rung's, by which trials of any length can be compared."""
        first = self._rungs[0]
        logs = self._journal.trials.values()
        return [self._score(log.reports[first]) for log in logs if first in log.reports]

    def _score(self, report: Report) -> float:
        return rung_score(self._space, report)


def promotable(
    logs: Mapping[int, TrialLog],
    rungs: tuple[int, ...],
    score: Score,
    reduction: float,
    *,
    training: Sequence[int] | None = None,
) -> Job | None:
    """The promotion that is due; None where none is.

    Args:
        logs: of all trials, by number; those that failed have no place in a rung.
        score: of a report, more is better; of equal ones the trial that began first is better.
        training: None to look from the highest rung down, and take who is in a rung's upper part
            now. Otherwise the rungs of those that train: look from the lowest up, and take who will
            be in the upper part even if all of them come there and are better.
    """
    pairs = tuple(itertools.pairwise(rungs))
    for below, above in pairs if training is not None else reversed(pairs):
        ranked = _ranked(logs, below, score)
        ahead = sum(steps <= below for steps in training or ())
        upper = math.floor((len(ranked) + ahead) / reduction) - ahead
        for number in ranked[: max(0, upper)]:
            if logs[number].promoted_to < above:
                return Job(number, above)
    return None


def furthest(logs: Mapping[int, TrialLog], rungs: tuple[int, ...], score: Score) -> Job | None:
    """The best trial of the highest rung that was reached, to the next; None at the last rung.

    So that a rung with fewer trials than the reduction does not leave a sweep without any model
    that was trained to the end.
    """
    for place in range(len(rungs) - 1, -1, -1):
        ranked = _ranked(logs, rungs[place], score)
        if ranked:
            return None if place == len(rungs) - 1 else Job(ranked[0], rungs[place + 1])
    return None


def _ranked(logs: Mapping[int, TrialLog], steps: int, score: Score) -> list[int]:
    """Numbers of the trials scored at a rung, the best first."""
    scored = {
        number: score(log.reports[steps])
        for number, log in logs.items()
        if steps in log.reports and log.status != "failed"
    }
    return sorted(scored, key=lambda number: (-scored[number], number))
