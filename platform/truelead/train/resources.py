"""Checks, before anything starts, that the cluster can hold a training job.

Ray Train that reserves every CPU leaves Ray Data none, and the job then waits for ever without a
message; so the sum is done here and said in one line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from truelead.config import TrainConfig
from truelead.errors import ResourceError

DATA_CPUS = 1.0
"""CPUs that Ray Data needs beside the workers to stream at all."""

_AUTOSCALER_FILE = Path("~/ray_bootstrap_config.yaml")


def check_resources(
    train: TrainConfig,
    nodes: Sequence[Mapping[str, float]],
    *,
    autoscaled: bool = False,
    data_cpus: float = DATA_CPUS,
) -> None:
    """Check that the workers fit the nodes and leave Ray Data a CPU.

    Args:
        nodes: total resources of each living node, as `ray.nodes()` counts them.
        autoscaled: the cluster adds nodes when asked, so what it has now is no limit.
        data_cpus: what Ray Data needs beside the workers; 0 where nothing is streamed.

    Raises:
        ResourceError: the job would wait for ever; the message says what to change.
    """
    if autoscaled:
        return
    workers = train.min_workers or train.workers
    total = sum(node.get("CPU", 0.0) for node in nodes)
    wanted = workers * train.cpus_per_worker
    asked = f"{workers} worker(s) x {train.cpus_per_worker:g} CPU"
    if data_cpus and wanted + data_cpus > total:
        share = max(0.0, (total - data_cpus) / workers)
        remedy = (
            f"set train.cpus_per_worker to at most {share:g}"
            if share >= 0.1
            else "set fewer train.workers"
        )
        raise ResourceError(
            f"train: {asked} leave {max(0.0, total - wanted):g} of {total:g} CPUs for Ray Data, "
            f"expected at least {data_cpus:g}: {remedy}, or start Ray with more CPUs"
        )
    free = [node.get("CPU", 0.0) for node in nodes]
    places = sum(int((cpus + 1e-9) // train.cpus_per_worker) for cpus in free)
    if places < workers:
        raise ResourceError(
            f"train: {asked} do not fit {len(free)} node(s) of at most {max(free):g} CPUs: "
            "lower train.cpus_per_worker or train.workers"
        )
    if train.use_gpu:
        share = train.gpus_per_worker
        places = sum(int((node.get("GPU", 0.0) + 1e-9) // share) for node in nodes)
        if places < workers:
            gpus = sum(node.get("GPU", 0.0) for node in nodes)
            each = "a GPU each" if share == 1 else f"{share:g} of a GPU each"
            raise ResourceError(
                f"train: {workers} worker(s) want {each}, expected at least "
                f"{share * workers:g} GPUs, found {gpus:g}: lower train.workers or set "
                "train.use_gpu=false"
            )


def check_cluster(train: TrainConfig, *, data_cpus: float = DATA_CPUS) -> None:
    """`check_resources` on the Ray cluster this process is connected to."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    check_resources(train, nodes, autoscaled=_is_autoscaled(), data_cpus=data_cpus)


def _is_autoscaled() -> bool:
    # `ray up` puts this file on the head node; KubeRay and others say so by the variable.
    return os.environ.get("TRUELEAD_AUTOSCALED") == "1" or _AUTOSCALER_FILE.expanduser().is_file()
