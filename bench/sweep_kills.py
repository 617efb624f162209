"""A sweep whose driver is killed five times and whose trial's process is killed five times.

Beside it the same sweep undisturbed, in deterministic mode: both must end with the same trials, the
same scores and the same winner, every trial accounted for and no training finished twice.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from bench.reported import row
from bench.sweep_run import SHORT, base_run, copied
from truelead.config import Recipe
from truelead.sweep.driver import run_sweep
from truelead.sweep.results import SweepResult
from truelead.sweep.space import parse_space
from truelead.sweep.stages import StagePool

DRIVER_KILLS, WORKER_KILLS, SEED = 5, 5, 5
STEPS = 30
SPACE: dict[str, Any] = {
    "name": "killed",
    "cost": "parameters",
    "parameters": {
        "projector.name": {"choice": ["linear", "mlp"]},
        "pretrain.strategy": {"choice": ["none", "ipw", "do-question-balanced"]},
        "pretrain.learning_rate": {"loguniform": [5e-4, 5e-3]},
    },
    "search": {"name": "optuna", "startup_trials": 3},
    "trials": 5,
    "max_steps": STEPS,
    "deterministic": True,
    "retries": WORKER_KILLS + 1,
    "scheduler": {"name": "asha", "grace_steps": 10, "reduction": 3},
}
_SECONDS = 900.0


def rows() -> list[dict[str, Any]]:
    """Whether kills change anything, and what they cost."""
    with tempfile.TemporaryDirectory() as scratch:
        recipe = copied(base_run(), Path(scratch) / "run")
        space = parse_space(SPACE)
        undisturbed = run_sweep(recipe, space)
        other = copied(recipe, Path(scratch) / "other")
        drivers, workers = _disturb(other, Path(scratch))
        result = run_sweep(other, space)
        tries = StagePool(other).tries()
        plain = StagePool(recipe).tries()
    ends = Counter((one["stage_folder"], one["stage"]) for one in tries if one["event"] == "end")
    begins = sum(one["event"] == "begin" for one in tries)
    ended = sum(trial.status in ("finished", "stopped early") for trial in result.trials)
    twice = sum(count - 1 for count in ends.values())
    same = _outcome(result) == _outcome(undisturbed)
    print(f"killed: {drivers} drivers, {workers} trial processes; {begins} trainings begun, "
          f"{sum(ends.values())} finished; undisturbed {len(plain) // 2}")  # fmt: skip
    enough = drivers >= DRIVER_KILLS and workers >= WORKER_KILLS
    return [
        row("drivers killed", float(drivers), "kills", SHORT, goal=DRIVER_KILLS, holds=enough),
        row("trial processes killed", float(workers), "kills", SHORT, goal=WORKER_KILLS,
            holds=enough),
        row("trials accounted for after the kills", float(ended), f"of {len(undisturbed.trials)}",
            SHORT, goal=float(len(undisturbed.trials)), holds=ended == len(undisturbed.trials)),
        row("trainings finished twice", float(twice), "trainings", SHORT, goal=0.0,
            holds=twice == 0),
        row("trials, scores and winner as undisturbed (1: yes)", float(same), "", SHORT, goal=1.0,
            holds=same),
        row("trainings begun, of as many as undisturbed were", float(begins),
            f"for {len(plain) // 2}", SHORT),
    ]  # fmt: skip


def _outcome(result: SweepResult) -> Any:
    return result.best, [
        (trial.trial, trial.values, trial.status,
         [(r["steps"], r["balanced"], r["confounded"], r["reliance"]) for r in trial.reports])
        for trial in result.trials
    ]  # fmt: skip


def _disturb(recipe: Recipe, scratch: Path) -> tuple[int, int]:
    """Start the sweep and kill it, again and again; returns the kills of drivers and workers."""
    (scratch / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    (scratch / "space.yaml").write_text(yaml.safe_dump(SPACE, sort_keys=False))
    chance, pool = random.Random(SEED), StagePool(recipe)
    drivers = workers = 0
    while drivers < DRIVER_KILLS:
        began = time.time()
        driver = subprocess.Popen(
            [sys.executable, "-m", "truelead.cli", "tune", str(scratch / "space.yaml"),
             "--recipe", str(scratch / "recipe.yaml")],
            env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            if workers < WORKER_KILLS:
                running = _training(pool, driver, began)
                time.sleep(chance.uniform(0.0, 1.0))
                workers += _kill(running)
            _training(pool, driver, began)
            time.sleep(chance.uniform(0.0, 4.0))
            assert driver.poll() is None, "the sweep ended before it was killed"
        finally:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        drivers += 1
    return drivers, workers


def _environment() -> dict[str, str]:
    """Of a driver that joins this process's cluster, which outlives it."""
    import ray

    return {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}


def _training(pool: StagePool, driver: subprocess.Popen[bytes], began: float) -> int:
    """Waits until a training of this driver is under way; its process."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        assert driver.poll() is None, "the sweep ended before it was killed"
        last = {one["stage_folder"]: one for one in pool.tries()}
        for one in last.values():
            own = one["event"] == "begin" and one["time"] > began
            if own and Path(f"/proc/{one['process']}").exists():
                return int(one["process"])
        time.sleep(0.02)
    raise RuntimeError("no training began")


def _kill(process: int) -> int:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    while Path(f"/proc/{process}").exists():
        time.sleep(0.02)
    return 1
