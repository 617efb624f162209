"""Questions a second in training beside Hugging Face's Trainer, same model, data, batch, optimizer.

The peer trains with one question a row, as LLaVA is usually trained: the ECG's tokens, the question
and its answer in one padded row, logits at every position, and the frozen encoder run for every
row. A second peer is given the encoder's output, as this package computes it once: what is left is
the shared prefix and the logits alone. CPU time of one process with one thread, round by round in
turn, the first steps left out; loss curves are compared step by step.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import numpy as np

from bench.train_setting import Setting
from bench.train_worker import REPOSITORY

COMMAND = "make bench SECTION=train"
STEPS = 12
WARM_UP = 2
ROUNDS = 3
GOAL = 3.0
TOLERANCE = 1e-4
"""Largest relative difference of the losses; the frozen encoder's output is rounded to float16."""

SETTING = Setting()
FEWER = Setting(ecg_tokens=16, questions=8, ecgs_per_step=16)
PEERS = {
    "trainer": "Trainer, one question a row, encoder run for each row",
    "trainer-features": "Trainer, one question a row, given the encoder's output",
}


def rows() -> list[dict[str, Any]]:
    """Questions a CPU second beside each peer, with the range over rounds; loss differences."""
    return [*_rows(SETTING, ROUNDS), *_rows(FEWER, 1)]


def _rows(setting: Setting, rounds: int) -> list[dict[str, Any]]:
    questions = setting.ecgs_per_step * setting.questions
    rates: dict[str, list[float]] = {name: [] for name in ("truelead", *PEERS)}
    walls: dict[str, list[float]] = {name: [] for name in rates}
    losses: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in rates:
            found = run(name, setting)
            losses[name] = found["losses"]
            rates[name].append(questions / float(np.median(found["cpu"][WARM_UP:])))
            walls[name].append(questions / float(np.median(found["wall"][WARM_UP:])))
    what = f"{setting.questions} questions an ECG of {setting.ecg_tokens} tokens"
    made = []
    for name, told in PEERS.items():
        ratios = np.array(rates["truelead"]) / rates[name]
        wall = float(np.median(np.array(walls["truelead"]) / walls[name]))
        has_goal = setting == SETTING
        difference = float(
            np.max(np.abs(np.array(losses["truelead"]) / np.array(losses[name]) - 1))
        )
        made += [
            {
                "name": f"training, {what}: questions a second "
                f"({np.median(rates['truelead']):.0f}; in wall time {wall:.1f} times)",
                "value": float(np.median(ratios)),
                "unit": "times",
                "goal": GOAL if has_goal else None,
                "holds": bool(np.median(ratios) >= GOAL) if has_goal else None,
                "peer": f"{told}: {np.median(rates[name]):.0f}",
                "interval": [float(ratios.min()), float(ratios.max())],
                "command": COMMAND,
            },
            {
                "name": f"training, {what}: largest relative difference of {STEPS} losses",
                "value": difference,
                "unit": "",
                "goal": f"<= {TOLERANCE:g}",
                "holds": difference <= TOLERANCE,
                "peer": told,
                "command": COMMAND,
            },
        ]
    return made


def run(form: str, setting: Setting) -> dict[str, Any]:
    """One training in a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "bench.train_run",
            form,
            str(STEPS),
            json.dumps(dataclasses.asdict(setting)),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{form}: {done.stderr[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    for one in rows():
        print(one)
