"""Ray Tune's schedulers, made from a space, and what the sweep's journal remembers of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler

from truelead.config import Recipe
from truelead.sweep.development import METRICS, PROBABILITY
from truelead.sweep.front import rung_score
from truelead.sweep.journal import CONTINUE, STOP, Journal, Report
from truelead.sweep.objective import FAILED, number_of
from truelead.sweep.population import mutations, within
from truelead.sweep.space import SearchSpace


def build_scheduler(space: SearchSpace, recipe: Recipe) -> Any:
    """The scheduler that the space names; it reads the reports' `steps` and metric."""
    return SCHEDULERS[space.scheduler.name](space, recipe)


class JournalledScheduler(TrialScheduler):
    """A scheduler of Ray Tune whose decisions are written down, and stand.

    A score that the journal knows is passed on to the scheduler, which needs it to judge the
    others, but what was decided then is decided now. A trial that is tried again reports its
    earlier scores once more: they count once.

    Args:
        inner: the scheduler, which is told the score of a rung as the metric.
        space: what it was made from.
        last: steps of a whole trial.
        announce: called with a trial's number and its report when it is new.
    """

    def __init__(
        self,
        inner: Any,
        space: SearchSpace,
        journal: Journal,
        last: int,
        announce: Callable[[int, Report], None] = lambda number, report: None,
    ) -> None:
        super().__init__()
        self._inner = inner
        self._space = space
        self._journal = journal
        self._last = last
        self._announce = announce
        self._passed: set[tuple[int, int]] = set()

    @property
    def metric(self) -> Any:
        """Of the inner scheduler."""
        return self._inner.metric

    @property
    def supports_buffered_results(self) -> bool:
        """No: a decision stands before the next result is taken."""
        return False

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """See `TrialScheduler`."""
        found: bool = self._inner.set_search_properties(metric, mode, **spec)
        return found

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """The inner scheduler's decision, or the one that stands in the journal."""
        number, steps = number_of(trial), int(result.get("steps", 0))
        if FAILED in result:
            self._journal.failure(number, str(result[FAILED]))
            self._journal.end(number, "failed", str(result[FAILED]))
            return STOP
        log = self._journal.trials[number]
        if result.get("done"):
            return STOP
        if (number, steps) in self._passed:
            return log.decisions[steps]
        self._passed.add((number, steps))
        decision: str = self._inner.on_trial_result(tune_controller, trial, self._judged(result))
        decision = log.decisions.get(steps, decision)
        if steps >= self._last:
            decision = STOP
        report = report_of(result)
        is_new = steps not in log.reports
        # A trial that pauses for others goes on afterwards.
        self._journal.report(number, report, STOP if decision == STOP else CONTINUE)
        if is_new:
            self._announce(number, report)
        if decision == STOP:
            self._journal.end(number, "finished" if steps >= self._last else "stopped early")
        return decision

    def _judged(self, result: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**result, self.metric: rung_score(self._space, report_of(result))}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """See `TrialScheduler`."""
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """See `TrialScheduler`."""
        self._inner.on_trial_error(tune_controller, trial)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Any) -> None:
        """See `TrialScheduler`; a trial that failed has no score to tell."""
        if self.metric in result:
            self._inner.on_trial_complete(tune_controller, trial, self._judged(result))

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """See `TrialScheduler`."""
        self._inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any, **more: Any) -> Any:
        """See `TrialScheduler`."""
        return self._inner.choose_trial_to_run(tune_controller, **more)

    def debug_string(self) -> str:
        """See `TrialScheduler`."""
        found: str = self._inner.debug_string()
        return found


def report_of(result: Mapping[str, Any]) -> Report:
    """A trial's own numbers among those that Ray Tune adds."""
    return {name: float(result[name]) for name in REPORTED if name in result}


REPORTED = (
    "steps",
    *(f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high", PROBABILITY)),
    "parameters",
    "flops",
    "train_seconds",
    "train_steps",
    "wall_seconds",
    "score_seconds",
)
"""Keys of a report."""


class OneRung(FIFOScheduler):
    """Ends what Ray Tune knows of as a trial at its report: `promotion.py` begins the next."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """See `TrialScheduler`."""
        return STOP


def _asha(space: SearchSpace, recipe: Recipe) -> Any:
    """Asynchronous successive halving (Li et al., MLSys 2020); with promotion, the part of it that
    stops."""
    from ray.tune.schedulers import ASHAScheduler

    if space.promotes:
        return OneRung()
    first, *_, last = space.rungs(recipe)
    return ASHAScheduler(
        time_attr="steps",
        max_t=last,
        grace_period=first,
        reduction_factor=space.scheduler.reduction,
    )


def _median(space: SearchSpace, recipe: Recipe) -> Any:
    """The median stopping rule (Golovin et al., KDD 2017)."""
    from ray.tune.schedulers import MedianStoppingRule

    return MedianStoppingRule(
        time_attr="steps",
        grace_period=space.rungs(recipe)[0],
        min_samples_required=space.scheduler.samples,
    )


class Population(PopulationBasedTraining):
    """Population-based training (Jaderberg et al., 2017), all members in step.

    Ray Tune's own lets the members wait for ever for one that has failed.
    """

    _next_perturbation_sync: float

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """See `TrialScheduler`; the others no longer wait for this one."""
        super().on_trial_error(tune_controller, trial)
        self._let_go(tune_controller, trial)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Any) -> None:
        """See `TrialScheduler`; the others no longer wait for this one."""
        super().on_trial_complete(tune_controller, trial, result)
        self._let_go(tune_controller, trial)

    def _let_go(self, tune_controller: Any, trial: Any) -> None:
        waiting = [t for t in tune_controller.get_live_trials() if t is not trial]
        times = [self._trial_state[t].last_train_time for t in waiting]
        if times and min(times) >= self._next_perturbation_sync:
            self._next_perturbation_sync = max(times) + self._perturbation_interval


def _pbt(space: SearchSpace, recipe: Recipe) -> Any:
    found = space.distributions
    return Population(
        time_attr="steps",
        perturbation_interval=space.scheduler.interval_steps,
        hyperparam_mutations=mutations(
            {
                path: list(found[path].values)
                if found[path].kind == "choice"
                else found[path].domain()
                for path in space.scheduler.mutate
            }
        ),
        quantile_fraction=space.scheduler.quantile,
        resample_probability=space.scheduler.resample,
        custom_explore_fn=within({path: found[path] for path in space.scheduler.mutate}),
        synch=True,
        log_config=False,
        require_attrs=False,
    )


def _none(space: SearchSpace, recipe: Recipe) -> Any:
    return FIFOScheduler()


SCHEDULERS: dict[str, Callable[[SearchSpace, Recipe], Any]] = {
    "asha": _asha,
    "median": _median,
    "pbt": _pbt,
    "none": _none,
}
