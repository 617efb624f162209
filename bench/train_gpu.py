"""One GPU: a language model of 1 billion random parameters, beside Hugging Face's Trainer.

bfloat16, DeepSpeed, the steps of `bench/train_peers.py` with more ECGs; both forms of the shared
prefix, and packed sequences with both kinds of attention. The MFU counts, for every form alike, the
FLOPs that the shared form needs (`truelead.train.work`): a peer that reads an ECG again for every
question does more work for the same answers, and is not credited for it. Needs a GPU.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from bench.train_peers import GOAL, PEERS, WARM_UP, run
from bench.train_setting import Setting
from truelead.config import TrainConfig
from truelead.train.device import peak_flops

COMMAND = "make soak SECTION=gpu"
LARGE = Setting(
    hidden_size=2048,
    layers=20,
    heads=16,
    ecgs_per_step=16,
    vocabulary=32000,
    device="cuda",
)
FORMS = {
    "cache": dataclasses.replace(LARGE, packing="cache"),
    "packed, SDPA": dataclasses.replace(LARGE, packing="packed", attention="sdpa"),
    "packed, FlexAttention": dataclasses.replace(
        LARGE, packing="packed", attention="flex_attention"
    ),
}


def rows() -> list[dict[str, Any]]:
    """Questions a second of each form, its MFU and memory, beside the Trainer's.

    Raises:
        RuntimeError: there is no GPU.
    """
    if not torch.cuda.is_available():
        raise RuntimeError("expected a GPU, found none")
    peak = peak_flops(TrainConfig(use_gpu=True, dtype="bfloat16"))
    peers = {name: run(name, LARGE) for name in PEERS}
    made = []
    for form, setting in FORMS.items():
        found = run("truelead", setting)
        for name, told in peers.items():
            ratio = _step_seconds(told) / _step_seconds(found)
            made.append(
                {
                    "name": f"1 B parameters, {form}: questions a second; {_told(found, peak)}",
                    "value": ratio,
                    "unit": "times",
                    "goal": GOAL,
                    "holds": ratio >= GOAL,
                    "peer": f"{PEERS[name]}: {_told(told, peak)}",
                    "command": COMMAND,
                }
            )
    return made


def _step_seconds(found: dict[str, Any]) -> float:
    return float(np.median(found["wall"][WARM_UP:]))


def _told(found: dict[str, Any], peak: float | None) -> str:
    seconds = _step_seconds(found)
    mfu = f", MFU {100 * found['flops'] / seconds / peak:.1f} %" if peak else ""
    losses = f"loss {found['losses'][0]:.3f} to {found['losses'][-1]:.3f}"
    memory = f"{found['memory_bytes'] / 2**30:.1f} GiB"
    return f"{1000 * seconds:.0f} ms a step{mfu}, {memory}, {losses}"


if __name__ == "__main__":
    for one in rows():
        print(one)
