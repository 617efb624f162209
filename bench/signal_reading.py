"""How fast WFDB records are read, beside the wfdb package, in one run on one thread.

The records are written here (format 16, checksums, PTB-XL's layout), so that anyone can repeat it;
they lie in the disk cache, so reading is bound by the processor: CPU time is measured, which on an
idle core is wall time and which other work on the machine does not lengthen.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from truelead.signal import read_record, write_record
from truelead.types import LEADS, Ecg

COMMAND = "make bench SECTION=data"
RECORDS = 100
ROUNDS = 9
PEER_RECORDS = 8
# Records per CPU second.
GOALS = {5000: 3000.0, 1000: 4000.0}


def rows() -> list[dict[str, Any]]:
    """One row a record length: records per CPU second, with wfdb's beside it."""
    return [_row(rate, goal) for rate, goal in ((500, GOALS[5000]), (100, GOALS[1000]))]


def _row(rate: int, goal: float) -> dict[str, Any]:
    samples = 10 * rate
    with tempfile.TemporaryDirectory() as folder:
        paths = _write(Path(folder), rate, samples)
        expected = wfdb.rdrecord(paths[0]).p_signal.T.astype(np.float32)
        np.testing.assert_array_equal(read_record(paths[0]).signal_LT, expected)
        ours, peers = [], []
        # Round by round in turn: what else the machine does then slows both alike.
        for _ in range(ROUNDS):
            ours.append(_records_per_cpu_second(read_record, paths))
            peers.append(_records_per_cpu_second(wfdb.rdrecord, paths[:PEER_RECORDS]))
    value = float(np.median(ours))
    return {
        "name": f"read a 12-lead record of {samples} samples, checksums verified",
        "value": round(value),
        "unit": "records per CPU second",
        "goal": f">= {goal:.0f}",
        "holds": value >= goal,
        "peer": f"wfdb {wfdb.__version__}: {np.median(peers):.0f}, "
        f"{np.median(np.divide(ours, peers)):.0f} times slower",
        "interval": [round(bound) for bound in _interval(ours)],
        "command": COMMAND,
    }


def _write(folder: Path, rate: int, samples: int) -> list[str]:
    random = np.random.default_rng(0)
    paths = []
    for index in range(RECORDS):
        signal_LT = random.normal(0, 0.5, size=(len(LEADS), samples)).astype(np.float32)
        ecg = Ecg(signal_LT, float(rate), record_id=f"{index:05d}")
        paths.append(str(write_record(folder, ecg)))
    return paths


def _records_per_cpu_second(read: Callable[[str], object], paths: Sequence[str]) -> float:
    begun = time.thread_time()
    for path in paths:
        read(path)
    return len(paths) / (time.thread_time() - begun)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median over the rounds."""
    random = np.random.default_rng(0)
    draws = random.choice(np.asarray(values), size=(2000, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    for row in rows():
        print(row)
