"""Records of any format reach a shard: as their files say, and by what is stated of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import listed, voltages
from truelead.config import DataConfig, StatedSignalConfig
from truelead.data.plan import ShardJob, make_plan
from truelead.data.reading import read_listed
from truelead.data.schema import decode_signals, stored_signals
from truelead.data.shards import write_shard
from truelead.errors import MissingFile, RecordError
from truelead.signal import write_record
from truelead.signal.formats.base import StatedSignal
from truelead.types import LEADS, Ecg, Record

STATED = StatedSignal(sampling_rate=100.0, units="uV", orientation="leads-by-samples", leads=LEADS)


def job_of(records: list[Record], **data: Any) -> ShardJob:
    (job,) = make_plan(records, DataConfig(duration_seconds=2.0, **data)).jobs
    return job


def test_a_path_that_is_no_file_is_a_wfdb_record(tmp_path: Path) -> None:
    write_record(tmp_path / "a", Ecg(voltages(1), 100.0), name="one")
    found = read_listed(tmp_path, listed("one", "a/one"))
    np.testing.assert_allclose(found.ecg.signal_LT, voltages(1), atol=1e-6)
    assert found.format == "wfdb"
    content = (tmp_path / "a/one.hea").read_bytes() + (tmp_path / "a/one.dat").read_bytes()
    assert found.source_sha256 == hashlib.sha256(content).hexdigest()
    assert read_listed(tmp_path, listed("one", "a/one.hea")).source_sha256 == found.source_sha256
    with pytest.raises(MissingFile, match=r"two\.hea: header"):
        read_listed(tmp_path, listed("two", "a/two"))


def test_a_file_says_what_it_is_and_the_rest_is_stated(tmp_path: Path) -> None:
    path = tmp_path / "one.npy"
    np.save(path, voltages(1) * 1000)
    found = read_listed(tmp_path, listed("one", "one.npy"), stated=STATED)
    np.testing.assert_allclose(found.ecg.signal_LT, voltages(1), atol=1e-6)
    assert found.format == "npy"
    assert found.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(RecordError, match="the file does not say it"):
        read_listed(tmp_path, listed("one", "one.npy"))
    with pytest.raises(MissingFile):
        read_listed(tmp_path, listed("two", "two.npy"))


def test_a_shard_holds_ecgs_of_several_formats(tmp_path: Path) -> None:
    write_record(tmp_path, Ecg(voltages(1), 100.0), name="one")
    lines = [",".join(f"{lead} (mV)" for lead in LEADS)]
    lines += [",".join(f"{value:.3f}" for value in sample) for sample in voltages(2).T]
    (tmp_path / "two.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    records = [listed("one", "one"), listed("two", "two.csv"), listed("three", "three.csv")]
    job = job_of(records, stated=StatedSignalConfig(sampling_rate=100))
    entry = write_shard(job, tmp_path, tmp_path)
    assert [rejected.record_id for rejected in entry.rejected] == ["three"]
    table = pq.read_table(tmp_path / job.name)
    assert table["format"].to_pylist() == ["wfdb", "csv"]
    signals = decode_signals(stored_signals(table["signal"]))
    np.testing.assert_array_equal(signals, np.stack([voltages(1), voltages(2)]))


def test_a_named_format_is_held_to(tmp_path: Path) -> None:
    write_record(tmp_path, Ecg(voltages(1), 100.0), name="one")
    entry = write_shard(job_of([listed("one", "one.hea")], format="npy"), tmp_path, tmp_path)
    assert [rejected.record_id for rejected in entry.rejected] == ["one"]


def test_a_job_survives_the_trip_and_its_digest_knows_how_files_are_read() -> None:
    records = [listed("one", "one.npy")]
    stated = StatedSignalConfig(sampling_rate=100, units="adc", gain=200, leads=LEADS)
    plain, told = job_of(records), job_of(records, format="npy", stated=stated)
    assert ShardJob.from_json(told.to_json()) == told
    assert ShardJob.from_json(plain.to_json()) == plain
    assert len({plain.digest, told.digest, job_of(records, format="npy").digest}) == 3
    # What says nothing about its files has the digest that jobs had before they could.
    assert not {"format", "stated"} & plain._tree().keys()
