"""Runs trials on Ray Tune, with the space's searcher and scheduler and the sweep's journal."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from truelead.config import TrainConfig
from truelead.sweep.journal import Journal
from truelead.sweep.objective import FAILED, SweepPlan, own_config, run_trial, trial_name
from truelead.sweep.resources import trial_resources
from truelead.train.environment import WORKER_VARIABLES, prepare_driver
from truelead.train.progress import say

LOG = "log.txt"
_TUNE = "tune"


def start_session(train: TrainConfig) -> None:
    """Connect to Ray as a sweep wants it; call it before anything else does.

    Sets what Ray Tune reads when it is imported (values the user has set stay). A local cluster
    gets the dashboard, without which Ray Tune does not let go of a stopped trial's resources, and
    with Ray Train's workers one logical CPU more than the machine has, for the trials' drivers,
    which mostly wait.
    """
    prepare_driver()
    for name, value in {
        **WORKER_VARIABLES,  # a local cluster's processes start with the driver's environment
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that failed reports no metric
        "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # a sweep goes on by its own journal
    }.items():
        os.environ.setdefault(name, value)
    from truelead.data.ray_session import ensure_ray

    ensure_ray(cpus=(os.cpu_count() or 1) + (not train.in_process), dashboard=True)


def run_trials(
    plan: SweepPlan, journal: Journal, concurrent: int, ended: Callable[[int], None]
) -> str:
    """Try the space's trials; those of the journal are taken from there.

    Returns:
        why no further trial was started, empty where all were.
    """
    from ray import tune

    from truelead.sweep.monitor import PopulationMonitor, TrialMonitor
    from truelead.sweep.promotion import PromotionSearch
    from truelead.sweep.scheduler import JournalledScheduler, build_scheduler
    from truelead.sweep.searcher import JournalledSearch

    space, rungs = plan.space, plan.rungs
    say(
        f"sweep {space.name}: at most {space.trials} trials, {concurrent} at a time, scored after "
        f"{', '.join(map(str, rungs))} steps"
    )
    scheduler = build_scheduler(space, plan.recipe)
    if space.scheduler.name == "pbt":
        monitor: TrialMonitor = PopulationMonitor(journal, space.trials, rungs[-1], ended)
        _fit(
            plan,
            f"start-{journal.starts:03d}",
            param_space={"member": tune.grid_search(_members(plan, journal))},
            callbacks=[monitor],
            scheduler=scheduler,
            stop={"steps": rungs[-1]},
        )
        return ""
    monitor = TrialMonitor(journal, space.trials, ended, promotes=space.promotes)
    searcher = PromotionSearch if space.promotes else JournalledSearch
    search = searcher(space, plan.recipe, journal)
    _fit(
        plan,
        f"start-{journal.starts:03d}",
        callbacks=[monitor],
        search_alg=search,
        num_samples=space.trials * (len(rungs) if space.promotes else 1),
        max_concurrent_trials=concurrent,
        scheduler=JournalledScheduler(scheduler, space, journal, rungs[-1], monitor.announce),
    )
    return search.stopped


def run_listed(
    plan: SweepPlan, name: str, configs: Sequence[dict[str, Any]], concurrent: int
) -> dict[str, Any]:
    """Train and score what is listed, without a scheduler.

    Args:
        configs: of `run_trial`, each with a name of its own.

    Returns:
        name -> its last result of Ray Tune.
    """
    from ray import tune

    found = _fit(
        plan,
        name,
        param_space={"listed": tune.grid_search(list(configs))},
        max_concurrent_trials=concurrent,
    )
    return {result.config["listed"]["name"]: result for result in found}


def _fit(
    plan: SweepPlan,
    name: str,
    *,
    callbacks: Sequence[Any] = (),
    stop: dict[str, Any] | None = None,
    param_space: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    from ray import tune

    space = plan.space
    # A failed trial is one line of the table; the trace lies in its log.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(_trainable, plan=plan),
            resources=trial_resources(plan.recipe.train),
        ),
        param_space=param_space,
        tune_config=tune.TuneConfig(
            metric=space.metric,
            mode="max",
            # A process that has imported torch is kept for the next trial.
            reuse_actors=True,
            trial_name_creator=_name_of,
            trial_dirname_creator=_folder_of,
            **options,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=str(plan.folder / _TUNE),
            verbose=0,
            callbacks=list(callbacks),
            stop=stop,
            failure_config=tune.FailureConfig(max_failures=space.retries),
        ),
    )
    return tuner.fit()


def _trainable(config: dict[str, Any], *, plan: SweepPlan) -> None:
    from ray import tune

    from truelead.sweep.population import run_member

    with logged(plan.trial_folder(tune.get_context().get_trial_name())):
        if "listed" in config:
            run_trial(config["listed"], plan=plan)
        elif plan.space.scheduler.name == "pbt":
            run_member(config, plan=plan)
        else:
            run_trial(config, plan=plan)


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Appends what this process says to the trial's own log, with the trace of what it dies of."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / LOG).open("a", buffering=1, encoding="utf-8") as stream,
        redirect_stdout(stream),
        redirect_stderr(stream),
    ):
        print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, process {os.getpid()}")
        try:
            yield
        except Exception:
            traceback.print_exc()
            raise


def _name_of(trial: Any) -> str:
    """The trial's name, for its folder of logs."""
    return str(own_config(trial.config).get("name", trial.trial_id))


def _folder_of(trial: Any) -> str:
    """Of Ray Tune's own files: the rungs of a trial may be trials of their own there."""
    rungs = own_config(trial.config).get("rungs", ())
    return "-".join([_name_of(trial), *(f"{steps:06d}" for steps in rungs)])


def _members(plan: SweepPlan, journal: Journal) -> list[dict[str, Any]]:
    """Every member of the population, where the journal has left it."""
    from truelead.sweep.population import member_config
    from truelead.sweep.sampling import draw

    members = []
    for number, values in enumerate(draw(plan.space, plan.recipe, plan.space.trials)):
        journal.begin_trial(number, values)
        log = journal.trials[number]
        name = trial_name(number, log.values)
        config = member_config(plan, number, name, log.latest_values)
        if log.reports:
            steps = max(log.reports)
            folder = (plan.trial_folder(name) / f"steps-{steps:06d}").resolve()
            config["piece"] = {
                "steps": steps,
                "folder": str(folder),
                "trial": number,
                "report": log.reports[steps],
            }
        members.append(config)
    return members


def trace_of(result: Any) -> str:
    """A listed trial's error in one line, empty where there is none."""
    from truelead.study.training import one_line

    if result.error is not None:
        return one_line(result.error)
    return str((result.metrics or {}).get(FAILED, ""))
