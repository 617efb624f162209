"""ZeRO 0 to 3: the same loss curve, and a model under a memory cap that ZeRO 0 does not fit.

Two workers on this machine over gloo, without Ray. The cap is RLIMIT_DATA, which Linux enforces on
each process: private writable memory that the training may add to what the imports took. A worker
that wants more dies of it. ZeRO 3 shards parameters, gradients and optimizer state; its buckets are
cut to the model's size by `train.deepspeed`, since DeepSpeed's own are made for billions of
parameters. Both runs have the same allocator settings, which give freed memory back.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from bench.train_setting import Setting
from bench.train_worker import spawn

COMMAND = "make soak SECTION=train"
WORKERS = 2
STEPS = 12
TOLERANCE = 1e-4
SMALL = Setting(layers=2, questions=4, ecg_tokens=16)
LARGE = Setting(
    hidden_size=768, layers=8, heads=8, ecgs_per_step=2, questions=2, ecg_tokens=5, ecgs=4
)
CAP_BYTES = 1_050_000_000
LARGE_STEPS = 2
SMALL_BUCKETS = {
    "stage": 3,
    "reduce_bucket_size": 2_000_000,
    "stage3_prefetch_bucket_size": 1_000_000,
    "stage3_max_live_parameters": 8_000_000,
    "stage3_max_reuse_distance": 1_000_000,
    "stage3_param_persistence_threshold": 10_000,
    "sub_group_size": 8_000_000,
}
_ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}


def rows() -> list[dict[str, Any]]:
    """Loss differences to ZeRO 0, and the two runs under the cap."""
    return [*_curves(), *_capped()]


def _curves() -> list[dict[str, Any]]:
    losses = []
    for stage in range(4):
        found = spawn(WORKERS, _arguments(SMALL, STEPS, stage))
        if "error" in found:
            raise RuntimeError(f"ZeRO {stage}: {found['error']}")
        losses.append(np.array(found["losses"]))
    made = []
    for stage in (1, 2, 3):
        difference = float(np.max(np.abs(losses[stage] / losses[0] - 1)))
        made.append(
            {
                "name": f"ZeRO {stage}, 2 workers: largest relative difference of {STEPS} losses",
                "value": difference,
                "unit": "",
                "goal": f"<= {TOLERANCE:g}",
                "holds": difference <= TOLERANCE,
                "peer": f"ZeRO 0: {losses[0][0]:.4f} to {losses[0][-1]:.4f}",
                "command": COMMAND,
            }
        )
    return made


def _capped() -> list[dict[str, Any]]:
    kept = {name: os.environ.get(name) for name in _ALLOCATOR}
    os.environ.update(_ALLOCATOR)
    try:
        whole = spawn(WORKERS, {**_arguments(LARGE, LARGE_STEPS, 0), "cap_bytes": CAP_BYTES})
        sharded = _arguments(LARGE, LARGE_STEPS, 3, SMALL_BUCKETS)
        fitted = spawn(WORKERS, {**sharded, "cap_bytes": CAP_BYTES})
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
    fits = "error" not in fitted and "error" in whole
    size = f"{fitted['parameters'] / 1e6:.0f} million parameters" if "error" not in fitted else ""
    peak = "" if "error" in fitted else f", {fitted['memory_peak'] / 1e6:.0f} MB resident in all"
    return [
        {
            "name": f"ZeRO 3, 2 workers: {size} trained within {CAP_BYTES / 1e6:.0f} MB a process"
            f"{peak}",
            "value": float("error" not in fitted),
            "unit": "1: fits",
            "goal": "fits, and ZeRO 0 does not",
            "holds": fits,
            "peer": "ZeRO 0: " + whole.get("error", "fits too")[:120],
            "command": COMMAND,
        }
    ]


def _arguments(
    setting: Setting, steps: int, stage: int, zero: dict[str, Any] | None = None
) -> dict[str, Any]:
    train: dict[str, Any] = {"workers": WORKERS, "zero_stage": stage}
    if zero is not None:
        train["deepspeed"] = {"zero_optimization": zero}
    return {"setting": dataclasses.asdict(setting), "steps": steps, "train": train}


if __name__ == "__main__":
    for one in rows():
        print(one)
