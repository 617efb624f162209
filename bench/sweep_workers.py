"""Trials whose trainings are jobs of Ray Train, two workers each, on a machine that holds two.

What does not fit would wait for ever: that this ends at all is the result.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.sweep_run import SHORT, base_run, copied
from truelead.config import TrainConfig
from truelead.sweep.driver import run_sweep
from truelead.sweep.space import parse_space

TRIALS = 3
SPACE = {
    "name": "workers",
    "parameters": {
        "projector.name": {"choice": ["linear", "mlp"]},
        "pretrain.learning_rate": {"loguniform": [5e-4, 5e-3]},
    },
    "trials": TRIALS,
    "max_steps": 16,
    "scheduler": {"name": "asha", "grace_steps": 8, "reduction": 2},
}


def rows() -> list[dict[str, Any]]:
    """How many of the trials end, and how long they take."""
    with tempfile.TemporaryDirectory() as scratch:
        recipe = copied(base_run(), Path(scratch) / "run")
        train = TrainConfig(workers=2, cpus_per_worker=0.5, checkpoint_every=20)
        start = time.monotonic()
        result = run_sweep(recipe.model_copy(update={"train": train}), parse_space(SPACE))
        seconds = time.monotonic() - start
    ended = sum(trial.status in ("finished", "stopped early") for trial in result.trials)
    name = f"{TRIALS} trials of two Ray Train workers each, {result.concurrent} at once"
    return [
        row(f"{name}: ended", float(ended), f"of {TRIALS}", SHORT, goal=float(TRIALS),
            holds=ended == TRIALS),
        row(f"{name}: wall time", seconds, "s", SHORT),
    ]  # fmt: skip
