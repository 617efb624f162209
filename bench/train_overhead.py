"""Step time under Ray Train with DeepSpeed, beside the same loop under plain torch.distributed.

The same loop, task, model and batches: once as workers of Ray Train with DeepSpeed's engine (ZeRO
0), once as plain processes with PyTorch's DistributedDataParallel. Start-up and the first steps are
left out, and there are no checkpoints. Median step of a run; round by round in turn.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.train_setting import Setting
from bench.train_worker import REPOSITORY, spawn, train
from truelead.config import TrainConfig

COMMAND = "make soak SECTION=train"
SETTING = Setting()
STEPS = 40
WARM_UP = 5
ROUNDS = 6
GOAL = 5.0


def rows() -> list[dict[str, Any]]:
    """Overhead in percent of wall and of CPU time, with the range over the rounds."""
    paths = [str(REPOSITORY / "platform"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    from truelead.data.ray_session import ensure_ray

    ensure_ray(cpus=4)
    return [one for workers in (1, 2) for one in _rows(workers)]


def _rows(workers: int) -> list[dict[str, Any]]:
    times: dict[str, list[np.ndarray]] = {"ray": [], "plain": []}
    losses = {}
    for number in range(ROUNDS):
        # Each goes first in every other round, since a machine's pace drifts.
        for name in sorted(times, reverse=number % 2 == 1):
            found = _under_ray(workers) if name == "ray" else _plain(workers)
            losses[name] = found["losses"]
            times[name].append(
                np.array([np.median(found[kind][WARM_UP:]) for kind in ("wall", "cpu")])
            )
    np.testing.assert_allclose(losses["ray"], losses["plain"], rtol=1e-4)
    over = 100 * (np.stack(times["ray"]) / np.stack(times["plain"]) - 1)
    plain_ms = 1000 * np.median(np.stack(times["plain"]), axis=0)
    return [
        {
            "name": f"Ray Train and DeepSpeed, {workers} worker(s): more {kind} time a step",
            "value": float(np.median(over[:, at])),
            "unit": "%",
            "goal": f"<= {GOAL:g}",
            "holds": bool(np.median(over[:, at]) <= GOAL),
            "peer": f"torch.distributed, DistributedDataParallel: {plain_ms[at]:.0f} ms",
            "interval": [float(over[:, at].min()), float(over[:, at].max())],
            "command": COMMAND,
        }
        for at, kind in enumerate(("wall", "CPU"))
    ]


def _arguments(workers: int) -> dict[str, Any]:
    return {
        "setting": dataclasses.asdict(SETTING),
        "steps": STEPS,
        "train": {"workers": workers, "cpus_per_worker": 1.0},
    }


def _plain(workers: int) -> dict[str, Any]:
    found = spawn(workers, {**_arguments(workers), "plain": True})
    if "error" in found:
        raise RuntimeError(found["error"])
    return found


def _under_ray(workers: int) -> dict[str, Any]:
    from truelead.train.launch import launch

    arguments = _arguments(workers)
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as folder:
        return launch(
            train,
            arguments,
            train=TrainConfig(**arguments["train"]),
            folder=Path(folder),
            title="overhead",
            steps=STEPS,
        )


if __name__ == "__main__":
    for one in rows():
        print(one)
