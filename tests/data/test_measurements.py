"""The table of measured intervals: whole, resumed, bound to its shards, read into records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from truelead.config import DataConfig
from truelead.data import measurements
from truelead.data.ingest import ingest
from truelead.data.measurements import (
    PARTS_FOLDER,
    TABLE_NAME,
    TABLE_SCHEMA,
    measure,
    measure_shard_row,
    measurement_digest,
    read_measurements,
    with_measurements,
)
from truelead.data.store import ShardStore
from truelead.errors import DataError
from truelead.signal import write_record
from truelead.signal.delineation import FEATURES, delineate
from truelead.signal.generator import generate_ecg
from truelead.types import Ecg, Record

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any) -> Path:
    """Six generated ECGs and a flat one in three shards, measured."""
    root = tmp_path_factory.mktemp("set")
    records = []
    for seed in range(7):
        made = generate_ecg(seed, {})
        signal_LT = made.ecg.signal_LT * (seed != 6)
        name = f"r{seed}"
        write_record(root, Ecg(signal_LT, 100.0, record_id=name))
        split = "train" if seed < 5 else "valid"
        records.append(Record(name, f"p{seed}", "made", name, split=split))
    folder = root / "shards"
    ingest(records, root, folder, DataConfig(records_per_shard=3), progress=False)
    found = measure(folder, progress=False)
    assert (found.records, found.shards_measured) == (7, 3)
    assert found.flags["no-leads"] == 1
    assert found.measured["rr interval"] == 6
    return folder


def test_one_row_an_ecg_with_what_its_signal_gives(shards: Path) -> None:
    store = ShardStore(shards)
    table = pq.read_table(shards / TABLE_NAME)
    assert table.schema.remove_metadata() == TABLE_SCHEMA
    assert table["record_id"].to_pylist() == [record.record_id for record in store.records]
    found = read_measurements(shards)
    for name in ("r0", "r5"):
        assert dict(found[name]) == dict(delineate(store.signal(name)).values)
        assert set(found[name]) == set(FEATURES)
    assert dict(found["r6"]) == {}


def test_records_get_their_measurements(shards: Path) -> None:
    store = ShardStore(shards)
    records = with_measurements(store.records, shards)
    assert [record.record_id for record in records] == [r.record_id for r in store.records]
    assert records[0].measurements["rr interval"] > 0
    assert not store.records[0].measurements
    stranger = Record("other", "p", "made", "other")
    with pytest.raises(DataError, match="expected all stored records, found no 'other'"):
        with_measurements([stranger], shards)


def test_a_finished_table_is_left_alone(shards: Path) -> None:
    before = (shards / TABLE_NAME).stat().st_mtime_ns
    assert measure(shards, progress=False).shards_measured == 0
    assert (shards / TABLE_NAME).stat().st_mtime_ns == before


def test_a_killed_job_measures_only_what_is_left(shards: Path) -> None:
    before = pq.read_table(shards / TABLE_NAME)
    (shards / TABLE_NAME).unlink()
    victim = sorted((shards / PARTS_FOLDER).iterdir())[1]
    victim.write_bytes(victim.read_bytes()[:-20])  # damaged, as no rename of ours leaves a file
    assert measure(shards, progress=False).shards_measured == 1
    assert pq.read_table(shards / TABLE_NAME).equals(before)


def test_another_method_or_other_shards_are_measured_anew(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = measurement_digest(shards)
    monkeypatch.setattr(measurements, "METHOD_VERSION", 99)
    assert measurement_digest(shards) != digest
    with pytest.raises(DataError, match="expected measurements of these shards by method 99"):
        read_measurements(shards)


def test_no_table_and_a_damaged_one(shards: Path, tmp_path: Path) -> None:
    other = tmp_path / "shards"
    other.mkdir()
    for file in shards.iterdir():
        if file.is_file() and file.name != TABLE_NAME:
            (other / file.name).symlink_to(file)
    with pytest.raises(DataError, match="run the stage measure"):
        read_measurements(other)
    (other / TABLE_NAME).write_bytes(b"PAR1")
    with pytest.raises(DataError, match=TABLE_NAME):
        read_measurements(other)


def test_a_damaged_shard_is_a_fault_that_names_it(shards: Path, tmp_path: Path) -> None:
    (tmp_path / PARTS_FOLDER).mkdir()
    (tmp_path / "train-00000.parquet").write_bytes(b"no shard")
    row = {"name": "train-00000.parquet", "rows": 3, "rate": 100.0, "key": "k"}
    found = measure_shard_row({**row, "folder": str(tmp_path)})
    assert "train-00000.parquet" in found["fault"]
    assert not found["written"]
    assert not list((tmp_path / PARTS_FOLDER).iterdir())
