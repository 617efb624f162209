"""One shard, written without Ray: reasons for rejection, damage, source digest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import RATE, SAMPLES, HandMadeSet, listed, voltages
from truelead.data import shards
from truelead.data.plan import ShardJob, make_plan
from truelead.data.schema import decode_signals, stored_signals
from truelead.data.shards import ensure_shard, read_entry, write_shard
from truelead.signal import write_record
from truelead.types import LEADS, Ecg


@pytest.fixture
def job(hand_made: HandMadeSet) -> ShardJob:
    return make_plan(hand_made.records, hand_made.data).jobs[0]


def spoil(root: Path, name: str, kind: str) -> None:
    """Damage the good record `name` in the given way."""
    header, signal = root / f"{name}.hea", root / f"{name}.dat"
    if kind == "truncated":
        signal.write_bytes(signal.read_bytes()[:-100])
    elif kind == "checksum":
        content = bytearray(signal.read_bytes())
        content[300] ^= 1
        signal.write_bytes(content)
    elif kind == "too-large":
        header.write_text(f"{name} 12 100 9000000000000\n" + header.read_text().split("\n", 1)[1])
    elif kind == "missing-file":
        signal.unlink()
    elif kind == "malformed-header":
        header.write_text("\n".join(header.read_text().splitlines()[:-1]))  # 11 of 12 leads
    elif kind == "leads":
        header.write_text(header.read_text().replace(" AVR\n", " AVL\n"))  # one lead twice
    elif kind == "invalid-values":
        loud = Ecg(voltages(1) * 20, RATE, record_id=name)
        write_record(root, loud, adc_gain=100)


REASONS = (
    "truncated",
    "checksum",
    "too-large",
    "missing-file",
    "malformed-header",
    "leads",
    "invalid-values",
)


@pytest.mark.parametrize("kind", REASONS)
def test_a_bad_record_is_set_aside_with_its_reason(
    tmp_path: Path, hand_made: HandMadeSet, kind: str
) -> None:
    for name in ("good", "bad"):
        write_record(tmp_path, Ecg(voltages(1), RATE, record_id=name))
    spoil(tmp_path, "bad", kind)
    records = [listed("1", "good"), listed("2", "bad")]
    job = make_plan(records, hand_made.data).jobs[0]
    out = tmp_path / "out"
    out.mkdir()
    entry = write_shard(job, tmp_path, out)
    assert entry.rows == 1
    assert [(r.record_id, r.position, r.reason) for r in entry.rejected] == [("2", 1, kind)]
    assert "bad" in entry.rejected[0].message
    assert str(tmp_path) not in entry.rejected[0].message
    assert "\n" not in entry.rejected[0].message
    assert read_entry(out / job.name, job) == entry


def test_rows_hold_signal_labels_and_source(
    hand_made: HandMadeSet, job: ShardJob, tmp_path: Path
) -> None:
    entry = write_shard(job, hand_made.root, tmp_path)
    table = pq.read_table(tmp_path / job.name)
    assert entry.rows == table.num_rows == len(job.records)
    signals = decode_signals(stored_signals(table["signal"]))
    for row, signal, record in zip(table.to_pylist(), signals, job.records, strict=True):
        np.testing.assert_allclose(signal, hand_made.signals[record.record_id], atol=0.5e-3)
        base = hand_made.root / record.path
        source = Path(f"{base}.hea").read_bytes() + Path(f"{base}.dat").read_bytes()
        assert row["source_sha256"] == hashlib.sha256(source).hexdigest()
        assert row["record_id"] == record.record_id
        assert row["sampling_rate"] == row["source_sampling_rate"] == RATE


def test_another_rate_and_length_are_brought_to_the_stored_ones(
    tmp_path: Path, hand_made: HandMadeSet
) -> None:
    seconds = np.arange(500 * 3) / 500
    wave_T = np.sin(2 * np.pi * 5 * seconds).astype(np.float32)
    write_record(tmp_path, Ecg(np.tile(wave_T, (12, 1)), 500.0, record_id="fast"))
    write_record(tmp_path, Ecg(voltages(2, samples=50), RATE, record_id="short"))
    records = [listed("1", "fast"), listed("2", "short")]
    job = make_plan(records, hand_made.data).jobs[0]
    write_shard(job, tmp_path, tmp_path)
    table = pq.read_table(tmp_path / job.name)
    fast_LT, short_LT = decode_signals(stored_signals(table["signal"]))
    assert fast_LT.shape == (len(LEADS), SAMPLES)
    expected_T = np.sin(2 * np.pi * 5 * np.arange(SAMPLES) / RATE)
    np.testing.assert_allclose(fast_LT[0, 10:-10], expected_T[10:-10], atol=0.01)
    assert np.isfinite(short_LT[:, :50]).all()
    assert np.isnan(short_LT[:, 50:]).all()
    assert table["source_sampling_rate"].to_pylist() == [500.0, 100.0]


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, 9000),
        lambda path: flip(path, -6),
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_bytes(b""),
    ],
    ids=["signal", "footer", "cut", "empty"],
)
def test_a_damaged_shard_is_found_and_written_anew(
    hand_made: HandMadeSet, job: ShardJob, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    first, written = ensure_shard(job, hand_made.root, tmp_path)
    assert written
    assert ensure_shard(job, hand_made.root, tmp_path) == (first, False)
    damage(tmp_path / job.name)
    assert read_entry(tmp_path / job.name, job) is None
    assert ensure_shard(job, hand_made.root, tmp_path) == (first, True)


def test_a_shard_of_another_job_is_not_taken(
    hand_made: HandMadeSet, job: ShardJob, tmp_path: Path
) -> None:
    write_shard(job, hand_made.root, tmp_path)
    other = make_plan(hand_made.records, hand_made.data).jobs[1]
    shutil.copy(tmp_path / job.name, tmp_path / other.name)
    assert read_entry(tmp_path / other.name, other) is None


def test_a_shard_of_rejected_records_only(hand_made: HandMadeSet, tmp_path: Path) -> None:
    job = make_plan([listed("1", "nothing/here")], hand_made.data).jobs[0]
    entry = write_shard(job, tmp_path, tmp_path)
    assert (entry.rows, len(entry.rejected)) == (0, 1)
    path = tmp_path / job.name
    assert read_entry(path, job) == entry
    table = pq.read_table(path)
    metadata = {
        key: value.replace(b"missing-file", b"missing-fish")
        for key, value in table.schema.metadata.items()
    }
    pq.write_table(table.replace_schema_metadata(metadata), path)
    assert read_entry(path, job) is None


def test_a_fault_of_the_program_is_not_a_rejected_record(
    hand_made: HandMadeSet, job: ShardJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Ecg:
        raise ZeroDivisionError

    monkeypatch.setattr(shards, "read_listed", broken)
    with pytest.raises(ZeroDivisionError):
        write_shard(job, hand_made.root, tmp_path)
    assert not list(tmp_path.glob("*"))
