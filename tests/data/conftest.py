"""Hand-made WFDB records for the ingest and store tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from truelead.config import DataConfig
from truelead.signal import write_record
from truelead.types import LEADS, Ecg, Record

RATE, SECONDS = 100, 2.0
SAMPLES = int(RATE * SECONDS)


class HandMadeSet(NamedTuple):
    """A folder of records, what is listed of it, and the voltages that were written."""

    root: Path
    records: list[Record]
    signals: dict[str, np.ndarray]
    data: DataConfig


def voltages(seed: int, samples: int = SAMPLES) -> np.ndarray:
    """(12, samples) mV on the 1 microvolt grid, so that WFDB at gain 1000 holds them exactly."""
    rng = np.random.default_rng(seed)
    microvolts = rng.integers(-3000, 3000, size=(len(LEADS), samples))
    return (microvolts / np.float32(1000)).astype(np.float32)


def listed(record_id: str, path: str, split: str = "train", patient: str = "") -> Record:
    """A record with a label of every kind."""
    return Record(
        record_id=record_id,
        patient_id=patient,
        source="hand-made",
        path=path,
        scp_codes={"NORM": 80.0, "SR": 0.0},
        report='sinus rhythm; "quoted", ümlaut\n',
        age=61.5,
        sex=1,
        heart_axis="LAD",
        infarction_stadium=("Stadium II", ""),
        extra_beats="1ES",
        strat_fold=3,
        split=split,
        recorded_at="1990-01-02T03:04:05",
    )


@pytest.fixture(scope="session")
def make_set(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., HandMadeSet]:
    """Makes a set of n records in four splits, one patient each."""

    def make(count: int = 40, *, records_per_shard: int = 8) -> HandMadeSet:
        root = tmp_path_factory.mktemp("set")
        records, signals = [], {}
        for i in range(count):
            name = f"r{i:04d}"
            signals[name] = voltages(i)
            if i % 7 == 3:
                signals[name][i % 12] = np.nan  # a lead that was not recorded
            write_record(root / "records" / f"{i % 3}", Ecg(signals[name], RATE, record_id=name))
            split = ("train", "train", "train", "valid", "development", "test")[i % 6]
            records.append(listed(name, f"records/{i % 3}/{name}", split, patient=f"p{i}"))
        data = DataConfig(
            sampling_rate=RATE, duration_seconds=SECONDS, records_per_shard=records_per_shard
        )
        return HandMadeSet(root, records, signals, data)

    return make


@pytest.fixture(scope="session")
def hand_made(make_set: Callable[..., HandMadeSet]) -> HandMadeSet:
    """40 good records; tests only read them."""
    return make_set()
