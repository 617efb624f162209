"""Version 1 becomes version 2: the content of a fresh ingest, whole at every moment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import RATE, SAMPLES, HandMadeSet, listed
from tests.data.version_1 import write_version_1
from truelead.data import migration
from truelead.data.ingest import ingest
from truelead.data.manifest import MANIFEST_NAME, read_manifest
from truelead.data.migration import STEPS, migrate, migrate_row, migrated_name
from truelead.data.parts import PLAN_NAME
from truelead.data.quality import QUALITY_NAME
from truelead.data.schema import SCHEMA_VERSION, shard_schema
from truelead.data.store import ShardStore
from truelead.errors import DataError

OLD = ("train-00000.parquet", "train-00001.parquet", "test-00000.parquet")


@pytest.fixture(scope="module")
def made(hand_made: HandMadeSet) -> HandMadeSet:
    """12 records and one that could not be read."""
    return hand_made._replace(
        records=[*hand_made.records[:12], listed("gone", "records/none", "test", patient="p99")]
    )


@pytest.fixture
def old(made: HandMadeSet, tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    write_version_1(folder, made.root, made.records, made.signals, RATE, 4)
    return folder


@pytest.fixture
def data(made: HandMadeSet) -> Any:
    return made.data.model_copy(update={"records_per_shard": 4})


@pytest.mark.ray
def test_a_migrated_folder_is_that_of_a_fresh_ingest(
    old: Path, made: HandMadeSet, data: Any, tmp_path: Path, ray_cluster: Any
) -> None:
    with pytest.raises(DataError, match=f"expected 2, found 1: truelead migrate {old}"):
        ShardStore(old)
    with pytest.raises(DataError, match="truelead migrate"):
        ingest(made.records, made.root, old, data, progress=False)
    migrated = migrate(old)
    fresh = ingest(made.records, made.root, tmp_path / "fresh", data, progress=False)
    assert migrated.digest == fresh.digest
    assert (migrated.schema_version, migrated.parts[0].plan.schema_version) == (2, 1)
    assert (migrated.accepted, migrated.rejected) == (12, 1)
    assert migrated.splits == fresh.splits
    assert migrated.rejected_by_reason == fresh.rejected_by_reason
    assert read_manifest(old) == migrated
    stores = ShardStore(old), ShardStore(tmp_path / "fresh")
    assert stores[0].records == stores[1].records == made.records[:12]
    ids = stores[0].ids()
    np.testing.assert_array_equal(*(store.signals(ids) for store in stores))
    entry = migrated.shards[0]
    assert pq.read_schema(old / entry.name).remove_metadata() == shard_schema(SAMPLES)
    # Without the records, the length of their recordings is not known any more.
    quality = pq.read_table(old / QUALITY_NAME)
    assert quality["source_seconds"].null_count == quality.num_rows == 12
    measured = [pq.read_table(f / QUALITY_NAME).to_pandas() for f in (old, tmp_path / "fresh")]
    same = ["record_id", "missing_leads", "flat_leads", "missing_share"]
    assert measured[0][same].equals(measured[1][same])

    # The same ingest again finds it whole; another one does not; what is new can be added.
    assert ingest(made.records, made.root, old, data, progress=False) == migrated
    coded = [replace(made.records[0], other_codes={"1": "x"}), *made.records[1:]]
    with pytest.raises(DataError, match="records_sha256: expected the records of the earlier"):
        ingest(coded, made.root, old, data, progress=False)
    more = [*made.records, replace(made.records[0], record_id="new", patient_id="p77")]
    grown = ingest(more, made.root, old, data, append=True, progress=False)
    assert [part.plan.schema_version for part in grown.parts] == [1, 2]
    assert grown.parts[0] == migrated.parts[0]

    # A damaged one is written anew out of the records.
    (old / entry.name).unlink()
    mended = ingest(more, made.root, old, data, progress=False)
    assert mended.parts[0].digest == fresh.digest
    assert mended.digest == grown.digest


def test_migrating_twice_changes_nothing(old: Path) -> None:
    first = migrate(old)
    before = {file.name: file.read_bytes() for file in old.iterdir()}
    assert migrate(old) == first
    assert {file.name: file.read_bytes() for file in old.iterdir()} == before
    assert not set(OLD) & set(before)
    assert {migrated_name(name) for name in OLD} < set(before)


@pytest.mark.parametrize(
    "step", ["shard_entry", "write_tables", "write_plans", "write_manifest", "_remove_left_over"]
)
def test_stopped_anywhere_it_is_whole_and_ends_the_same(
    old: Path, tmp_path: Path, made: HandMadeSet, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    undisturbed = tmp_path / "undisturbed"
    write_version_1(undisturbed, made.root, made.records, made.signals, RATE, 4)
    expected = migrate(undisturbed)
    calls = []

    def stopped(*_: object, **__: object) -> None:
        calls.append(step)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(migration, step, stopped)
        with pytest.raises(KeyboardInterrupt):
            migrate(old)
    assert calls
    if step == "_remove_left_over":
        assert read_manifest(old) == expected
    else:
        tree = json.loads((old / MANIFEST_NAME).read_text())
        assert tree["schema_version"] == 1
        assert all(
            (old / entry["name"]).stat().st_size == entry["bytes"] for entry in tree["shards"]
        )
    assert migrate(old) == expected
    names = {file.name for file in old.iterdir()}
    assert names == {file.name for file in undisturbed.iterdir()}


def test_what_cannot_be_migrated(old: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only a finished ingest can be migrated"):
        migrate(tmp_path / "nothing")
    path = old / MANIFEST_NAME
    tree = json.loads(path.read_text())
    for version, hint in ((SCHEMA_VERSION + 1, "a newer TrueLead wrote it"), (0, "ingest anew")):
        path.write_text(json.dumps(tree | {"schema_version": version}))
        with pytest.raises(DataError, match=f"found {version}: {hint}"):
            migrate(old)
    path.write_text(json.dumps(tree | {"plan": {}}))
    with pytest.raises(DataError, match="Field required: ingest anew"):
        migrate(old)
    path.write_text(json.dumps(tree))
    victim = old / OLD[1]
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{OLD[1]}: expected the manifest's sha256"):
        migrate(old)
    assert (old / OLD[0]).exists()
    assert (old / PLAN_NAME).exists()


def test_every_version_has_its_step() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA_VERSION))
    row = {"record_id": "a", "age": None}
    assert migrate_row(row, 1) == row | {"other_codes": "{}", "format": "wfdb"}
    assert migrate_row(row, SCHEMA_VERSION) == row
    assert row == {"record_id": "a", "age": None}, "a step changes no row in place"
    assert migrated_name("a-00001.v2.parquet", 3) == "a-00001.v3.parquet"
