"""Runs a sweep: checks everything first, then tries, judges, and writes what was found.

<output>/sweep/stages/<digest>/      trained stages by their content, shared by all sweeps of a run
<output>/sweep/<name>/
    journal.jsonl                    every trial, score and decision
    trial-<n>-<digest>/              log.txt and links to the models of a trial, steps-<n>
    tune/<start>/                    Ray Tune's own files of one start of the sweep
    final/report/                    the judge's report on the test set
    sweep.html, sweep.md, sweep.json, best.yaml
"""

from __future__ import annotations

import time
from pathlib import Path

from truelead.config import Recipe
from truelead.errors import ConfigError
from truelead.study.driver import only_driver
from truelead.sweep.checking import check_names, check_space, check_strategies
from truelead.sweep.development import DevelopmentQuestions, development_recipe
from truelead.sweep.final import judge_winner
from truelead.sweep.front import TrialResult, choose_best
from truelead.sweep.importance import importances
from truelead.sweep.journal import Journal
from truelead.sweep.mirror import Mirror
from truelead.sweep.objective import SweepPlan, trial_name
from truelead.sweep.report import write_results
from truelead.sweep.resources import concurrent_trials
from truelead.sweep.results import SweepResult
from truelead.sweep.sampling import draw, grid
from truelead.sweep.space import SearchSpace
from truelead.sweep.tuning import run_trials, start_session
from truelead.train.features import cache_digest, ensure_features
from truelead.train.severity_stage import ensure_severity
from truelead.train.stage import DONE

__all__ = ["make_plan", "run_sweep", "start_session"]

_LOCK = "driver.lock"


def run_sweep(recipe: Recipe, space: SearchSpace) -> SweepResult:
    """Try the space's trials on a run whose shards and encoder are there.

    Started again after any end, it goes on by its journal: finished trials are not run again,
    stopped ones stay stopped, one that was under way resumes from its newest checkpoint, failed
    ones are tried again.

    Returns:
        the result; `<recipe.output>/sweep/<space.name>` holds sweep.html, sweep.json, sweep.md,
        best.yaml, the journal and the trials' folders.

    Raises:
        ConfigError: the space does not fit the recipe; there are no development ECGs, no shards
            or no encoder; another process is at work on this sweep, or its folder holds another
            sweep. No trial has started then.
        ResourceError: the cluster cannot hold a trial, or `space.concurrent` of them.
        TrueLeadError: every trial failed.
    """
    check_space(recipe, space)
    development_recipe(recipe)
    plan = make_plan(recipe, space)
    _check_run(plan.recipe)
    plan.folder.mkdir(parents=True, exist_ok=True)
    with only_driver(plan.folder, "sweep"):
        start_session(recipe.train)
        wanted = 1 if space.deterministic else space.concurrent
        count = _count(plan)
        concurrent = concurrent_trials(
            plan.recipe.train, count, wanted, together=space.scheduler.name == "pbt"
        )
        ensure_severity(plan.recipe)
        questions = DevelopmentQuestions(plan.recipe, count_flops=space.cost == "flops")
        check_strategies(plan.recipe, space, questions.setup)
        run = plan.recipe.output
        if not plan.recipe.trains_encoder("pretrain"):
            ensure_features(run / "encoder", run / "shards", run / "features", plan.recipe.data)
        encoder = cache_digest(run / "encoder", questions.store.digest)
        journal = Journal(plan.folder, plan.key(f"{questions.digest} {encoder}"))
        mirror = Mirror(space.storage, run) if space.storage else None
        start = time.monotonic()

        def copy(number: int) -> None:
            if mirror is not None:
                mirror.push(plan.folder)

        stopped = run_trials(plan, journal, concurrent, copy)
        trials = trial_results(journal)
        best = choose_best(trials, space)
        tuned = time.monotonic() - start
        final = judge_winner(plan, trials[best], journal, concurrent)
        result = SweepResult(
            plan,
            trials,
            best,
            {metric: len(asked) for metric, asked in questions.trials.items()},
            tuned,
            concurrent,
            stopped=stopped,
            starts=journal.starts,
            importances=importances(trials, space),
            final=final,
        )
        write_results(result)
        copy(best)
    return result


def make_plan(recipe: Recipe, space: SearchSpace) -> SweepPlan:
    """The sweep with whole paths; the first trials' values are tried on the recipe.

    Raises:
        ConfigError: a trial's values do not fit.
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
    plan = SweepPlan(absolute, space, absolute.output / "sweep" / space.name)
    listed = grid(space) if space.search.name == "grid" else draw(space, absolute, space.trials)
    for number, values in enumerate(listed[: space.trials]):
        where = f"{space.name}: trial {number}"
        check_names(plan.trial_recipe(values, 1, where), where)
    return plan


def trial_results(journal: Journal) -> tuple[TrialResult, ...]:
    """Every trial of the journal, by its number."""
    return tuple(
        TrialResult(
            number,
            log.latest_values,
            log.status,  # type: ignore[arg-type]
            tuple(log.reports[steps] for steps in sorted(log.reports)),
            trial_name(number, log.values),
            log.error,
            tuple(log.failures),
        )
        for number, log in sorted(journal.trials.items())
    )


def _count(plan: SweepPlan) -> int:
    """How many trials there can be."""
    space = plan.space
    if space.search.name == "grid":
        return min(space.trials, len(grid(space)))
    if space.search.name == "random":
        return len(draw(space, plan.recipe, space.trials))
    return space.trials


def _check_run(recipe: Recipe) -> None:
    for name, marker in (("shards", "manifest.json"), ("encoder", DONE)):
        if not (recipe.output / name / marker).is_file():
            raise ConfigError(
                f"{recipe.output / name}: expected the run's finished {name}, found none: "
                "a sweep starts from a run that is ingested and has its encoder"
            )
