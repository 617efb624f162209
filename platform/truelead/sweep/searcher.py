"""Where the values of the next trial come from: drawn, listed, or proposed by Optuna.

A source is a pure function of the space, its seed, and what it was told of earlier trials; asked
again for a trial of the journal, it takes that trial's values as its own proposal. So a sweep that
was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ray.tune.search import Searcher

from truelead.config import Recipe
from truelead.sweep.cost import cost_of
from truelead.sweep.distributions import Distribution
from truelead.sweep.front import rung_score
from truelead.sweep.journal import Journal, Report
from truelead.sweep.objective import trial_name
from truelead.sweep.sampling import draw, grid, ordered
from truelead.sweep.space import SearchSpace, Values


class ValueSource(Protocol):
    """Gives trials their values, in the order of their numbers."""

    def ask(self, number: int) -> Values | None:
        """Values of a new trial; None where there are no further ones."""

    def remember(self, number: int, values: Values) -> None:
        """A trial of the journal has these values, whatever would be proposed now."""

    def tell(self, number: int, report: Report | None, *, whole: bool) -> None:
        """A trial has ended, or has come further than when it was told of last.

        Args:
            report: its last; None where it failed.
            whole: whether it came to its end, and was not stopped early.
        """


class ListedValues:
    """Values that are known from the start: random ones, or a grid."""

    def __init__(self, values: tuple[Values, ...]) -> None:
        self._values = values

    def ask(self, number: int) -> Values | None:
        """See `ValueSource.ask`."""
        return self._values[number] if number < len(self._values) else None

    def remember(self, number: int, values: Values) -> None:
        """See `ValueSource.remember`."""

    def tell(self, number: int, report: Report | None, *, whole: bool) -> None:
        """See `ValueSource.tell`."""


class OptunaValues:
    """Proposals of Optuna's TPE sampler, asked and told through its own interface.

    The study and its sampler are made anew for every trial, from the seed and the trial's number,
    so that a proposal depends on nothing but them and what was told of earlier trials, and a trial
    that has gone on may be told of again. One that was stopped early is told as pruned, with its
    last score; with several objectives none is stopped.
    """

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._space = space
        self._seed = space.seed_of(recipe)
        self._parameters: dict[str, Distribution] = ordered(space)
        self._several = space.search.multi_objective
        self._names = space.objectives if self._several else (space.metric,)
        self._known: dict[int, Values] = {}
        self._told: dict[int, tuple[Report | None, bool]] = {}

    def ask(self, number: int) -> Values | None:
        """See `ValueSource.ask`."""
        study = self._optuna.create_study(
            directions=["minimize" if name == "cost" else "maximize" for name in self._names],
            sampler=self._optuna.samplers.TPESampler(
                n_startup_trials=self._space.search.startup_trials,
                seed=(self._seed * 1_000_003 + number) % 2**32,
            ),
        )
        for earlier, values in sorted(self._known.items()):
            study.enqueue_trial(dict(values))
            trial, again = self._proposal(study)
            assert again == values, "an enqueued trial has its own values"
            if earlier in self._told:
                self._tell(study, trial, *self._told[earlier])
        _, proposed = self._proposal(study)
        self._known[number] = proposed
        return proposed

    def _proposal(self, study: Any) -> tuple[Any, Values]:
        trial = study.ask()
        values: Values = {}
        for path, found in self._parameters.items():
            if found.is_active(values):
                values[path] = found.suggest(path, trial)
        return trial, values

    def remember(self, number: int, values: Values) -> None:
        """See `ValueSource.remember`."""
        self._known[number] = values

    def tell(self, number: int, report: Report | None, *, whole: bool) -> None:
        """See `ValueSource.tell`."""
        self._told[number] = report, whole

    def _tell(self, study: Any, trial: Any, report: Report | None, whole: bool) -> None:
        state = self._optuna.trial.TrialState
        if report is None:
            study.tell(trial, state=state.FAIL)
            return
        trial.set_constraint("floors", max(shortfalls(self._space, report), default=0.0))
        if whole:
            study.tell(trial, self._values(report))
        elif self._several:
            study.tell(trial, state=state.FAIL)
        else:
            trial.report(rung_score(self._space, report), int(report["steps"]))
            study.tell(trial, state=state.PRUNED)

    def _values(self, report: Report) -> list[float]:
        if not self._several:
            return [report[self._space.metric]]
        return [
            cost_of(self._space, report) if name == "cost" else report[name] for name in self._names
        ]


def shortfalls(space: SearchSpace, report: Report) -> list[float]:
    """How far a report falls short of each constraint; above 0 where it breaks it.

    A metric that could not be taken breaks its constraint.
    """
    return [floor - report.get(metric, -1.0) for metric, floor in space.constraints.items()]


SOURCES: dict[str, Callable[[SearchSpace, Recipe], ValueSource]] = {
    "random": lambda space, recipe: ListedValues(draw(space, recipe, space.trials)),
    "grid": lambda space, recipe: ListedValues(grid(space)[: space.trials]),
    "optuna": OptunaValues,
}


class JournalledSearch(Searcher):
    """Ray Tune's searcher: trials of the journal first, as they were, then new ones.

    Attributes:
        numbers: Ray Tune's trial id -> the trial's number.
        stopped: why no further trial is started, empty where there is no reason.
    """

    def __init__(self, space: SearchSpace, recipe: Recipe, journal: Journal) -> None:
        super().__init__(metric=space.metric, mode="max")
        self._space = space
        self._journal = journal
        self._source = SOURCES[space.search.name](space, recipe)
        self._told: set[int] = set()
        self._ended: list[float] = []
        self.numbers: dict[str, int] = {}
        self.stopped = ""
        hours = space.budget_hours
        self._deadline = None if hours is None else time.monotonic() + 3600 * hours

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next trial's configuration, or `Searcher.FINISHED`."""
        number = len(self.numbers)
        if number in self._journal.trials:
            self._source.remember(number, self._journal.trials[number].values)
        elif not self._begin(number):
            finished: dict[str, Any] = Searcher.FINISHED
            return finished
        return self._configuration(trial_id, number)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the source how a trial has ended."""
        number = self.numbers[trial_id]
        if number in self._told:
            return
        self._told.add(number)
        if self._tell(number, failed=error):
            reports = self._journal.trials[number].reports
            self._ended.append(reports[max(reports)][self._space.metric])

    def _configuration(self, trial_id: str, number: int) -> dict[str, Any]:
        """What Ray Tune hands to a trial of this number."""
        self.numbers[trial_id] = number
        values = self._journal.trials[number].values
        return {"trial": number, "name": trial_name(number, values), "values": values}

    def _tell(self, number: int, *, failed: bool) -> bool:
        """Tell the source how a trial stands; whether it has a score."""
        log = self._journal.trials[number]
        if failed or not log.reports or log.status == "failed":
            self._source.tell(number, None, whole=False)
            return False
        report = log.reports[max(log.reports)]
        self._source.tell(number, report, whole=log.status == "finished")
        return True

    def _begin(self, number: int) -> bool:
        """Give a trial that is not in the journal its values; False where none is to begin."""
        if number >= self._space.trials:
            return False
        self.stopped = self._reason_to_stop()
        values = None if self.stopped else self._source.ask(number)
        if values is None:
            return False
        self._journal.begin_trial(number, values)
        return True

    def _scores(self) -> list[float]:
        """Of the trials that have ended, in their order."""
        return self._ended

    def _reason_to_stop(self) -> str:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return f"the budget of {self._space.budget_hours:g} hours was used up"
        patience, scores = self._space.patience, self._scores()
        if patience is not None and len(scores) > patience:
            best = max(scores[:-patience])
            if all(score <= best for score in scores[-patience:]):
                return f"the last {patience} trials were no better than the best before"
        return ""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: what is known stands in the journal."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: what is known stands in the journal."""
