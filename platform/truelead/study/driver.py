"""Runs a study on Ray: shared stages once, then every run as a task; finished ones are found."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from truelead.config import Recipe, TrainConfig
from truelead.data.durable import write_durable_text
from truelead.errors import ConfigError, ResourceError
from truelead.study.judging import judge_condition
from truelead.study.plan import Run, StudyPlan
from truelead.study.progress import StudyProgress
from truelead.study.results import StudyResult, write_results
from truelead.study.schedule import Schedule
from truelead.study.table import condition_table
from truelead.study.training import RunRecord, read_record, record_failure, train
from truelead.train.environment import WORKER_VARIABLES, prepare_driver
from truelead.train.features import ensure_features
from truelead.train.progress import say
from truelead.train.resources import check_cluster
from truelead.train.severity_stage import ensure_severity
from truelead.train.stage import DONE, link_shared

_LOCK, _RESOLVED = "driver.lock", "study.yaml"
_POLL_SECONDS = 1.0

Prepare = Callable[[Recipe], object]
"""Makes the shards and the encoder of a recipe in its output folder, where they are not there."""


def run_study(plan: StudyPlan, prepare: Prepare) -> StudyResult:
    """Train what is not trained yet, judge every condition, and write the table.

    Stopped at any point and started again, it goes on: finished stages are found, a training that
    was under way resumes from its newest checkpoint, answers once given are kept. Failed runs are
    tried again.

    Returns:
        the result; `plan.folder` holds study.json, study.md, study.yaml and the runs.

    Raises:
        ConfigError: another process is at work on this study.
        ResourceError: the cluster cannot hold a run, or `study.parallel` of them.
        TrueLeadError: a shared stage fails; failures of single runs are recorded instead.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    with only_driver(plan.folder, "study"):
        start_session()
        write_durable_text(
            plan.folder / _RESOLVED,
            yaml.safe_dump(plan.study.model_dump(mode="json"), sort_keys=False),
        )
        for inputs, recipe in plan.inputs.items():
            prepare(recipe)
            if not (recipe.trains_encoder("pretrain") and recipe.trains_encoder("finetune")):
                ensure_features(
                    inputs / "encoder", inputs / "shards", inputs / "features", recipe.data
                )
        for condition in plan.conditions:
            ensure_severity(condition.input_recipe)
        train_config = plan.runs[0].recipe.train
        parallel = concurrent_runs(train_config, len(plan.runs), plan.study.parallel)
        start = time.monotonic()
        records = train_all(plan, parallel)
        tables = []
        for condition in plan.conditions:
            judged = judge_condition(plan, condition, records)
            tables.append(condition_table(plan, condition, judged, records))
        result = StudyResult(plan, tuple(tables), records, parallel, time.monotonic() - start)
        write_results(result)
    return result


def start_session() -> None:
    """Connect to Ray as a study wants it; call it before anything else does.

    A local cluster gets one logical CPU more than the machine has, for Ray Data beside the
    workers, and the dashboard, without which Ray does not let go of a killed run's resources.
    """
    prepare_driver()
    from truelead.data.ray_session import ensure_ray

    ensure_ray(cpus=(os.cpu_count() or 1) + 1, dashboard=True)


def concurrent_runs(train_config: TrainConfig, runs: int, wanted: int | None) -> int:
    """Runs at the same time on the connected cluster; too many would wait for each other for ever.

    A run's own task holds no CPU, it waits for its workers. All together need one for Ray Data.

    Raises:
        ResourceError: `wanted` runs, or even one, do not fit.
    """
    fitting = 0
    for count in range(1, min(wanted or runs, runs) + 1):
        together = train_config.model_copy(update={"workers": count * train_config.workers})
        try:
            check_cluster(together)
        except ResourceError as error:
            if fitting == 0 or wanted is not None:
                raise ResourceError(f"study: {count} run(s) at once do not fit: {error}") from None
            break
        fitting = count
    return fitting


def train_all(plan: StudyPlan, parallel: int) -> dict[Run, RunRecord]:
    """Every run's record; runs that the budget leaves out have none."""
    keys = {run: run.key(plan.condition(run.condition).inputs) for run in plan.runs}
    records: dict[Run, RunRecord] = {}
    for run in plan.runs:
        found = read_record(run)
        if found is not None and found.is_finished and found.key == keys[run] and _is_whole(run):
            records[run] = found
    for condition in plan.conditions:
        link_shared(condition.inputs, condition.folder)
    left = [run for run in plan.runs if run not in records]
    for run in left:
        link_shared(plan.condition(run.condition).inputs, run.recipe.output)
    with StudyProgress(plan, found=len(records), parallel=parallel) as progress:
        records.update(_train_left(plan, left, keys, parallel, progress))
    return records


def _train_left(
    plan: StudyPlan,
    left: list[Run],
    keys: dict[Run, str],
    parallel: int,
    progress: StudyProgress,
) -> dict[Run, RunRecord]:
    import ray

    config = plan.runs[0].recipe.train
    # A task that waits for Ray Train's workers holds no CPU: it would be missing there.
    task = ray.remote(
        num_cpus=config.cpus_per_worker if config.in_process else 0,
        max_retries=0,
        runtime_env={"env_vars": WORKER_VARIABLES} if config.in_process else None,
    )(train)
    schedule, records = Schedule(left), {}
    pending: dict[Any, Run] = {}
    budget = plan.study.budget_hours
    deadline = time.monotonic() + 3600 * budget if budget is not None else float("inf")
    while True:
        while len(pending) < parallel and time.monotonic() < deadline:
            run = schedule.take()
            if run is None:
                break
            pending[task.remote(run, keys[run])] = run
        progress.show(schedule.running)
        if not pending:
            break
        ready, _ = ray.wait(list(pending), timeout=_POLL_SECONDS)
        for reference in ready:
            run = pending.pop(reference)
            try:
                records[run] = ray.get(reference)
            except ray.exceptions.RayError as error:  # raised in the task, or its process died
                records[run] = record_failure(run, keys[run], error)
            schedule.ended(run, pretrained=(run.folder / "pretrain" / DONE).is_file())
            progress.ended(run, records[run])
    if schedule.waiting:
        say(f"study: {schedule.waiting} runs left when the budget of {budget:g} hours was used up")
    return records


def _is_whole(run: Run) -> bool:
    return all((run.folder / stage / DONE).is_file() for stage in ("pretrain", "finetune"))


@contextmanager
def only_driver(folder: Path, what: str) -> Iterator[None]:
    """Holds the folder of a study or sweep; the system lets go of it even after a kill.

    Raises:
        ConfigError: another process holds it.
    """
    with (folder / _LOCK).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{folder}: expected no other process at work on this {what}, found one"
            ) from None
        yield
