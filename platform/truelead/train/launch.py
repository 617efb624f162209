"""Starts a stage's workers on Ray Train and waits for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from truelead.config import TrainConfig
from truelead.errors import TrueLeadError
from truelead.train.checkpoint import prune_checkpoints
from truelead.train.environment import WORKER_VARIABLES, prepare_driver
from truelead.train.in_process import run_in_process
from truelead.train.progress import Progress
from truelead.train.resources import check_cluster
from truelead.train.stage import CHECKPOINTS


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
        TrueLeadError: a worker raised it.
    """
    prepare_driver()
    from truelead.data.ray_session import ensure_ray

    ensure_ray()
    if train.in_process:
        with Progress(title, folder, steps):
            return _value(run_in_process(worker, arguments, train))
    check_cluster(train)
    import ray.train
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    resources: dict[str, float] = {"CPU": train.cpus_per_worker}
    if train.use_gpu:
        resources["GPU"] = train.gpus_per_worker
    trainer = TorchTrainer(
        worker,
        train_loop_config=arguments,
        torch_config=TorchConfig(backend="nccl" if train.use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=train.workers, use_gpu=train.use_gpu, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=CHECKPOINTS,
            storage_path=str(folder.resolve()),
            worker_runtime_env={"env_vars": WORKER_VARIABLES},
            failure_config=FailureConfig(max_failures=train.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=train.keep_checkpoints),
        ),
    )
    with Progress(title, folder, steps):
        try:
            result = trainer.fit()
        except ray.train.TrainingFailedError as failure:
            raise _cause(failure) from failure
    # Ray keeps the one it resumed from beside those it counts.
    prune_checkpoints(folder / CHECKPOINTS, train.keep_checkpoints)
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
    except DivergedError as error:
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
