"""Starts a stage's workers on Ray Train and waits for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from truelead.config import TrainConfig
from truelead.errors import TrueLeadError
from truelead.train.checkpoint import AgreedCheckpointError
from truelead.train.environment import WORKER_VARIABLES, prepare_driver
from truelead.train.in_process import run_in_process
from truelead.train.progress import Progress, say
from truelead.train.resources import check_cluster
from truelead.train.watchdog import forget_stuck, found_stuck

_RAY_FOLDER = "ray_train"


def launch(
    worker: Callable[[dict[str, Any]], dict[str, Any]],
    arguments: dict[str, Any],
    *,
    train: TrainConfig,
    folder: Path,
    title: str,
    steps: int,
) -> dict[str, Any]:
    """Run `worker(arguments)` in every training worker, or in this process (`train.in_process`).

    A worker that dies is replaced, and training goes on from the newest whole checkpoint, at most
    `train.max_failures` times.

    Args:
        worker: a function of the package (Ray's workers import it).
        folder: the stage's folder; checkpoints go into its `checkpoints`.
        title, steps: for the progress line.

    Returns:
        what rank 0's worker returned.

    Raises:
        ResourceError: the workers do not fit the cluster.
        StuckWorkerError: a worker made no step for too long, once more than may be restarted.
        TrueLeadError: a worker raised it.
    """
    prepare_driver()
    from truelead.data.ray_session import ensure_ray

    ensure_ray()
    forget_stuck(folder)
    if train.in_process:
        with Progress(title, folder, steps):
            return _value(run_in_process(worker, arguments, train))
    check_cluster(train)
    import ray.train
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    resources: dict[str, float] = {"CPU": train.cpus_per_worker}
    if train.use_gpu:
        resources["GPU"] = train.gpus_per_worker
    trainer = TorchTrainer(
        worker,
        train_loop_config=arguments,
        torch_config=TorchConfig(backend="nccl" if train.use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=(
                train.workers if train.min_workers is None else (train.min_workers, train.workers)
            ),
            elastic_resize_monitor_interval_s=train.resize_seconds,
            use_gpu=train.use_gpu,
            resources_per_worker=resources,
        ),
        # Ray keeps its own state there; the checkpoints are ours, found by their content.
        run_config=RunConfig(
            name=_RAY_FOLDER,
            storage_path=str(folder.resolve()),
            worker_runtime_env={"env_vars": WORKER_VARIABLES},
            failure_config=FailureConfig(
                max_failures=train.max_failures,
                controller_failure_limit=train.max_controller_failures,
            ),
        ),
    )
    with Progress(title, folder, steps):
        try:
            result = trainer.fit()
        except ray.train.TrainingFailedError as failure:
            raise found_stuck(folder) or _cause(failure) from failure
    if (stuck := found_stuck(folder)) is not None:
        say(f"{title}: went on from a checkpoint after {stuck}")
    return _value(result.return_value)


def _value(found: dict[str, Any]) -> dict[str, Any]:
    """What the worker returned, unless it is an error that all workers met."""
    if "error" in found:
        raise found["error"]
    return found


def reporting_errors(
    body: Callable[[dict[str, Any]], dict[str, Any]], arguments: dict[str, Any]
) -> dict[str, Any]:
    """Run a worker's body; an error that all workers meet alike is returned, not retried."""
    from truelead.train.loop import DivergedError

    try:
        return body(arguments)
    except (DivergedError, AgreedCheckpointError) as error:
        return {"error": error}


def _cause(failure: BaseException) -> BaseException:
    """The first of our own errors behind a failure of Ray Train, else the failure itself."""
    pending: list[BaseException | None] = [failure]
    seen: set[int] = set()
    while pending:
        error = pending.pop(0)
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        if isinstance(error, TrueLeadError):
            return error
        pending += [error.__cause__, error.__context__, getattr(error, "cause", None)]
        pending += list(getattr(error, "worker_failures", {}).values())
    return failure
