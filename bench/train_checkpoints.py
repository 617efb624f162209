"""Checkpoints in short: some kills, some damage, and how long training waits for a save."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.reported import row
from bench.train_damage import SHORT_TRIALS, damage_row
from bench.train_faults import kill_row
from bench.train_small import KEY, Run, enter, in_a_process
from truelead.train.checkpoint import Checkpoints
from truelead.train.checkpoint_store import CheckpointStore
from truelead.train.engine import Engine
from truelead.train.optimizer import Optimization

COMMAND = "make bench SECTION=train"
KILLS = 5
WIDTH, LAYERS = 1024, 16
SAVES = 5


def rows() -> list[dict[str, Any]]:
    """Each in processes of its own."""
    return [kill_row(KILLS, COMMAND), damage_row(SHORT_TRIALS, COMMAND), wait_row()]


def wait_row() -> dict[str, Any]:
    """What a save costs training: the copy into host memory, beside the whole way to the marker."""
    waited, whole = in_a_process(_times)
    shares = np.divide(waited, whole)
    megabytes = 3 * 4 * WIDTH * WIDTH * LAYERS / 1e6
    return row(
        f"wait of the training for a save of {megabytes:.0f} MB: {np.median(waited):.2f} s",
        float(np.median(shares)),
        "of the time until it is whole on disk",
        COMMAND,
        peer=f"a save that is waited for: {np.median(whole):.2f} s",
        interval=[float(shares.min()), float(shares.max())],
    )


def _times() -> tuple[list[float], list[float]]:
    waited: list[float] = []
    whole: list[float] = []
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        run = Run(Path(scratch), 1)
        enter(run)
        torch.manual_seed(0)
        model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS)))
        optimization = Optimization(learning_rate=1e-3, weight_decay=0, warmup_steps=1, steps=9)
        engine = Engine(model, run.train, optimization)
        engine.backward(engine(torch.randn(2, WIDTH)).square().mean())
        engine.update(0)
        checkpoints = Checkpoints(CheckpointStore(scratch), KEY, keep=1)
        for step in range(SAVES):
            begun = time.perf_counter()
            checkpoints.save(engine, {"step": step})
            waited.append(time.perf_counter() - begun)
            checkpoints.settle()
            whole.append(time.perf_counter() - begun)
        checkpoints.close()
    return waited, whole


if __name__ == "__main__":
    for found in rows():
        print(found)
