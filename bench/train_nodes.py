"""A training on two Ray nodes with addresses of their own, one of which is cut off in mid-step.

Each node lives in its own network namespace behind a bridge (making them needs root), so that
taking its link down is what a pulled cable is: its processes go on, and nobody hears of them. The
training is elastic: it goes on with the node that is left, and with two again once the link is up
and Ray has been started there anew (a node that the head has given up ends itself). Then the whole
cluster is killed in mid-run, head and all, made again, and the same command given again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.train_network import Cluster, Node, cluster_of, network
from bench.train_small import Run, _Task, build, digest
from truelead.config import TrainConfig

COMMAND = "make soak SECTION=train"
STEPS = 36
CUT_AT, BACK_AFTER = 10, 4
"""Step in which the link goes down; steps made alone before it comes back."""

LARGEST_DIFFERENCE = 1e-5
DEADLINE_SECONDS = 600.0


def rows() -> list[dict[str, Any]]:
    """The disturbed trainings beside the undisturbed one."""
    with tempfile.TemporaryDirectory(prefix="tl_") as scratch, network() as nodes:
        here = Path(scratch)
        with cluster_of(here, nodes) as cluster:
            whole = _train(here / "whole", cluster)
            cut = _train(here / "cut", cluster, cut=nodes[1])
            again = here / "again"
            driver = _drive(again, cluster)
            _wait(driver, again, CUT_AT, time.monotonic() + DEADLINE_SECONDS)
        driver.kill()
        driver.wait()
        before = _steps_begun(again)
        with cluster_of(here, nodes) as cluster:
            resumed = _train(again, cluster)
    workers = [int(n) for n in cut["workers"]]
    return [
        _row(
            f"training on 2 nodes, one cut off in step {CUT_AT}, back after {BACK_AFTER} more "
            f"(workers by step: {_in_runs(workers)}; {cut['seconds_lost']:.0f} s from the cut to "
            "the next step)",
            _difference(cut, whole),
            1 in workers and len(workers) == STEPS,
        ),
        _row(
            f"training whose cluster was killed, head and all, in step {before}, made again, and "
            "the command repeated",
            _difference(resumed, whole),
            CUT_AT <= before < STEPS and _steps_begun(again) < before + STEPS,
        ),
    ]


def _row(name: str, difference: float, happened: bool) -> dict[str, Any]:
    return row(
        f"{name}: largest relative difference of a step's loss from the undisturbed run's",
        difference,
        "of the loss",
        COMMAND,
        goal=LARGEST_DIFFERENCE,
        holds=happened and difference <= LARGEST_DIFFERENCE,
    )


def _difference(found: dict[str, Any], whole: dict[str, Any]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(found["loss"], whole["loss"], strict=True))


def _in_runs(workers: list[int]) -> str:
    runs: list[list[int]] = []
    for count in workers:
        if runs and runs[-1][1] == count:
            runs[-1][0] += 1
        else:
            runs.append([1, count])
    return ", ".join(f"{steps} with {count}" for steps, count in runs)


def _drive(folder: Path, cluster: Cluster) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "bench.train_nodes", str(folder)]
    return subprocess.Popen(command, env=cluster.environment)


def _train(folder: Path, cluster: Cluster, cut: Node | None = None) -> dict[str, Any]:
    driver = _drive(folder, cluster)
    lost = 0.0
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        if cut is not None:
            _wait(driver, folder, CUT_AT, deadline)
            cut.cut()
            begun, before = time.monotonic(), _steps_begun(folder)
            _wait(driver, folder, before + 2, deadline)
            lost = time.monotonic() - begun
            _wait(driver, folder, before + BACK_AFTER, deadline)
            cut.join()
            cluster.start_node(cut)
        if driver.wait(deadline - time.monotonic()):
            raise RuntimeError("the training on two nodes failed")
    finally:
        if driver.poll() is None:
            driver.kill()
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    taken: dict[int, int] = {}
    for line in (folder / "rows-0.jsonl").read_text().splitlines():
        step = json.loads(line)
        taken[step["step"]] = step["workers"]
    return found | {"workers": [taken[step] for step in sorted(taken)], "seconds_lost": lost}


def _steps_begun(folder: Path) -> int:
    path = folder / "rows-0.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def _wait(driver: subprocess.Popen[bytes], folder: Path, steps: int, deadline: float) -> None:
    while _steps_begun(folder) < steps:
        if driver.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the training on two nodes ended, or stood still, too early")
        time.sleep(0.05)


class _SlowTask(_Task):
    """Steps long enough to be cut in two, and for Ray to find a second node in."""

    def loss(self, engine: Any, content: dict[str, Any]) -> Any:
        terms = super().loss(engine, content)
        time.sleep(0.4 if self._workers == 2 else 2.0)
        return terms


def worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """One worker of Ray Train."""
    import ray.train

    from truelead.train.environment import prepare_worker

    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    prepare_worker(1)
    run = Run(Path(arguments["folder"]), STEPS, workers=workers, zero_stage=2)
    trainer = build(run, rank, workers)
    trainer.task = _SlowTask(run, rank, workers)  # type: ignore[assignment]
    trainer.fit()
    state = trainer.engine.full_state()
    return {"digest": digest(state)} if rank == 0 else {}


def drive(folder: Path) -> None:
    """Train on the cluster of `RAY_ADDRESS`, and write what came out."""
    import ray

    from truelead.data.ray_session import ensure_ray
    from truelead.train.launch import launch
    from truelead.train.metrics import read_metrics

    ensure_ray()
    while ray.cluster_resources().get("CPU", 0) < 2:
        time.sleep(0.2)
    train = TrainConfig(
        workers=2,
        min_workers=1,
        resize_seconds=5,
        max_failures=5,
        zero_stage=2,
        step_timeout_seconds=60,
    )
    found = launch(
        worker, {"folder": str(folder)}, train=train, folder=folder, title="nodes", steps=STEPS
    )
    found["loss"] = [one["loss"] for one in read_metrics(folder)]
    (folder / "result.json").write_text(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        drive(Path(sys.argv[1]))
    else:
        for found in rows():
            print(found)
