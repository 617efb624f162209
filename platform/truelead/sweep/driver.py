"""Runs a sweep on Ray Tune: checks everything first, then trains and scores the trials."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from truelead.config import Recipe
from truelead.errors import ConfigError, TrueLeadError
from truelead.sweep.development import DevelopmentQuestions, development_recipe
from truelead.sweep.objective import SweepPlan, run_trial
from truelead.sweep.resources import DRIVER_CPUS, concurrent_trials
from truelead.sweep.results import (
    Status,
    SweepResult,
    TrialResult,
    choose_best,
    write_results,
)
from truelead.sweep.scheduler import build_scheduler
from truelead.sweep.space import SearchSpace, check_names, check_space
from truelead.train.environment import prepare_driver
from truelead.train.features import ensure_features
from truelead.train.progress import say
from truelead.train.severity_stage import ensure_severity
from truelead.train.stage import DONE

_TUNE = "tune"


def run_sweep(recipe: Recipe, space: SearchSpace) -> SweepResult:
    """Try the space's trials on a run whose shards and encoder are there.

    Run again, it finds the trainings that were finished and only scores them.

    Returns:
        the result; `<recipe.output>/sweep/<space.name>` holds sweep.json, sweep.md, best.yaml and
        the trials' folders.

    Raises:
        ConfigError: the space does not fit the recipe; there are no development ECGs, no shards
            or no encoder. No trial has started then.
        ResourceError: the cluster cannot hold a trial, or `space.concurrent` of them.
        TrueLeadError: every trial failed.
    """
    check_space(recipe, space)
    development_recipe(recipe)
    plan = make_plan(recipe, space)
    _check_run(plan.recipe)
    start_session()
    concurrent = concurrent_trials(plan.recipe.train, len(plan.values), space.concurrent)
    ensure_severity(plan.recipe)
    questions = DevelopmentQuestions(plan.recipe)
    if _uses_features(plan):
        run = plan.recipe.output
        ensure_features(run / "encoder", run / "shards", run / "features", plan.recipe.data)
    start = time.monotonic()
    trials = _tune(plan, concurrent)
    result = SweepResult(
        plan,
        trials,
        choose_best(trials, space.metric),
        {metric: len(asked) for metric, asked in questions.trials.items()},
        time.monotonic() - start,
        concurrent,
    )
    write_results(result)
    return result


def make_plan(recipe: Recipe, space: SearchSpace) -> SweepPlan:
    """Draw the trials' values and try each on the recipe.

    Raises:
        ConfigError: a trial's values do not fit; the space asks for other shared data.
    """
    local = recipe.language_model.path
    if local is not None and Path(local).is_dir():
        local = str(Path(local).resolve())
    ecg_qa = recipe.data.ecg_qa
    absolute = recipe.model_copy(
        update={
            "output": recipe.output.resolve(),
            "data": recipe.data.model_copy(update={"ecg_qa": ecg_qa and ecg_qa.resolve()}),
            "language_model": recipe.language_model.model_copy(update={"path": local}),
        }
    )
    folder = absolute.output / "sweep" / space.name
    plan = SweepPlan(absolute, space, space.draw(recipe), folder)
    for trial in range(len(plan.values)):
        check_names(plan.trial_recipe(trial, 1), f"{space.name}: trial {trial}")
    return plan


def _check_run(recipe: Recipe) -> None:
    for name, marker in (("shards", "manifest.json"), ("encoder", DONE)):
        if not (recipe.output / name / marker).is_file():
            raise ConfigError(
                f"{recipe.output / name}: expected the run's finished {name}, found none: "
                "a sweep starts from a run that is ingested and has its encoder"
            )


def start_session() -> None:
    """Connect to Ray as a sweep wants it; call it before anything else does.

    Sets what Ray Tune reads when it is imported (values the user has set stay). A local cluster
    gets the dashboard, without which Ray Tune does not let go of a stopped trial's resources, and
    one logical CPU more than the machine has, for the trials' drivers, which mostly wait.
    """
    prepare_driver()
    for name, value in {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    }.items():
        os.environ.setdefault(name, value)
    from truelead.data.ray_session import ensure_ray

    ensure_ray(cpus=(os.cpu_count() or 1) + 1, dashboard=True)


def _uses_features(plan: SweepPlan) -> bool:
    recipes = [plan.trial_recipe(trial, 1) for trial in range(len(plan.values))]
    return any(not recipe.trains_encoder("pretrain") for recipe in recipes)


def _tune(plan: SweepPlan, concurrent: int) -> tuple[TrialResult, ...]:
    from ray import tune

    from truelead.sweep.monitor import TrialMonitor

    space = plan.space
    rungs = plan.space.rungs(plan.recipe)
    say(
        f"sweep {space.name}: {len(plan.values)} trials, {concurrent} at a time, "
        f"scored after {', '.join(map(str, rungs))} steps"
    )
    plan.folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(plan.folder / _TUNE, ignore_errors=True)
    # A failed trial is one line of the table; Ray Tune keeps its traceback in tune/*/error.txt.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    monitor = TrialMonitor(plan)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(run_trial, plan=plan), resources={"CPU": DRIVER_CPUS}
        ),
        param_space={"trial": tune.grid_search(list(range(len(plan.values))))},
        tune_config=tune.TuneConfig(
            metric=space.metric,
            mode="max",
            max_concurrent_trials=concurrent,
            scheduler=build_scheduler(space, plan.recipe),
        ),
        run_config=tune.RunConfig(
            name=_TUNE, storage_path=str(plan.folder), verbose=0, callbacks=[monitor]
        ),
    )
    errors = {int(found.config["trial"]): found.error for found in tuner.fit() if found.error}
    return tuple(
        _result(plan, trial, monitor.reports.get(trial, []), errors.get(trial))
        for trial in range(len(plan.values))
    )


def _result(
    plan: SweepPlan, trial: int, reports: list[dict[str, float]], error: BaseException | None
) -> TrialResult:
    whole = bool(reports) and reports[-1]["steps"] >= plan.space.rungs(plan.recipe)[-1]
    status: Status = "failed" if error else "finished" if whole else "stopped early"
    folder = plan.trial_folder(trial).relative_to(plan.folder).as_posix()
    line = "" if error is None else one_line(error)
    return TrialResult(trial, plan.values[trial], status, tuple(reports), folder, line)


def one_line(error: BaseException) -> str:
    """Our own error behind one that crossed processes, or the last line of a foreign one."""
    seen: list[BaseException] = []
    current: Any = error
    while isinstance(current, BaseException) and current not in seen:
        seen.append(current)
        current = getattr(current, "cause", None) or current.__cause__
    for found in reversed(seen):
        if isinstance(found, TrueLeadError) and not hasattr(found, "cause"):
            return str(found)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
