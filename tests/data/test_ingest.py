"""Ingest through Ray Data: nothing lost, nothing twice, the same content whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.data.conftest import HandMadeSet, listed
from truelead.config import DataConfig
from truelead.data.ingest import ingest
from truelead.data.manifest import (
    MANIFEST_NAME,
    REJECTED_NAME,
    Manifest,
    content_digest,
    read_manifest,
)
from truelead.data.plan import make_plan
from truelead.data.shards import ensure_shard
from truelead.errors import DataError
from truelead.types import Record

pytestmark = pytest.mark.ray


def run(made: HandMadeSet, output: Path, **options: Any) -> Manifest:
    return ingest(made.records, made.root, output, made.data, progress=False, **options)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}


@pytest.fixture(scope="module")
def ingested(
    hand_made: HandMadeSet, tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any
) -> tuple[Path, Manifest]:
    """An undisturbed ingest; tests only read it."""
    output = tmp_path_factory.mktemp("ingested") / "shards"
    return output, run(hand_made, output)


def test_counts_add_up(hand_made: HandMadeSet, ingested: tuple[Path, Manifest]) -> None:
    output, manifest = ingested
    assert manifest.accepted == manifest.listed == len(hand_made.records)
    assert manifest.rejected == 0
    assert manifest.rejected_by_reason == {}
    assert pq.read_table(output / REJECTED_NAME).num_rows == 0
    by_split = {name: count.records for name, count in manifest.splits.items()}
    assert by_split == {"train": 21, "development": 6, "valid": 7, "test": 6}
    assert all(count.records == count.patients for count in manifest.splits.values())
    assert read_manifest(output) == manifest
    assert {"truelead", "pyarrow", "ray"} <= set(manifest.versions)


def test_content_does_not_depend_on_who_writes_when(
    hand_made: HandMadeSet, ingested: tuple[Path, Manifest], tmp_path: Path
) -> None:
    """One process, last shard first, gives the files that parallel Ray tasks gave."""
    output, manifest = ingested
    plan = make_plan(hand_made.records, hand_made.data)
    entries = [ensure_shard(job, hand_made.root, tmp_path)[0] for job in reversed(plan.jobs)]
    assert content_digest(plan.summary, tuple(reversed(entries))) == manifest.digest
    for job in plan.jobs:
        assert (tmp_path / job.name).read_bytes() == (output / job.name).read_bytes()


def test_a_finished_ingest_is_left_as_it_is(
    hand_made: HandMadeSet, ingested: tuple[Path, Manifest]
) -> None:
    output, manifest = ingested
    before = snapshot(output)
    assert run(hand_made, output) == manifest
    assert snapshot(output) == before


@pytest.mark.slow
def test_killed_then_resumed_is_the_same_as_undisturbed(
    make_set: Callable[..., HandMadeSet], tmp_path: Path, ray_cluster: Any
) -> None:
    made = make_set(120, records_per_shard=1)
    listing = tmp_path / "listing.json"
    listing.write_text(json.dumps([asdict(record) for record in made.records]))
    killed = tmp_path / "killed"
    script = (
        "import json, sys; from truelead.config import DataConfig;"
        "from truelead.data.ingest import ingest; from truelead.types import Record;"
        "rows = json.load(open(sys.argv[1]));"
        "records = [Record(**r | {'infarction_stadium': tuple(r['infarction_stadium'])})"
        " for r in rows];"
        "data = DataConfig.model_validate_json(sys.argv[4]);"
        "ingest(records, sys.argv[2], sys.argv[3], data)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, listing, made.root, killed, made.data.model_dump_json()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(killed.glob("*-*.parquet")):
            assert process.poll() is None, process.communicate()[0].decode()
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not (killed / MANIFEST_NAME).exists(), "the ingest ended before it was killed"
    with pytest.raises(DataError, match=r"manifest.json: expected this file, found none"):
        read_manifest(killed)
    # Ray ends the tasks of a dead driver a moment later; what they had written counts.
    time.sleep(1.0)
    kept = {file.name: file.stat().st_mtime_ns for file in killed.glob("*-*.parquet")}
    assert 0 < len(kept) < 120

    resumed = run(made, killed)
    undisturbed = run(made, tmp_path / "undisturbed")
    assert resumed == undisturbed
    assert {name: (killed / name).stat().st_mtime_ns for name in kept} == kept
    assert not list(killed.glob(".*"))


def test_a_damaged_shard_is_found_and_redone(
    hand_made: HandMadeSet, ingested: tuple[Path, Manifest], tmp_path: Path
) -> None:
    _, expected = ingested
    output = tmp_path / "shards"
    run(hand_made, output)
    before = snapshot(output)
    victim = output / expected.shards[1].name
    content = bytearray(victim.read_bytes())
    content[len(content) // 3] ^= 0xFF
    victim.write_bytes(content)
    (output / expected.shards[2].name).unlink()
    assert run(hand_made, output) == expected
    after = snapshot(output)
    assert {n: c for n, (_, c) in after.items()} == {n: c for n, (_, c) in before.items()}
    untouched = [entry.name for i, entry in enumerate(expected.shards) if i not in (1, 2)]
    assert all(after[name][0] == before[name][0] for name in untouched)


def test_bad_records_are_listed_with_reasons(
    make_set: Callable[..., HandMadeSet], tmp_path: Path, ray_cluster: Any
) -> None:
    made = make_set(12)
    truncated = made.root / f"{made.records[4].path}.dat"
    truncated.write_bytes(truncated.read_bytes()[:-1])
    huge = made.root / f"{made.records[7].path}.hea"
    huge.write_text(huge.read_text().replace(" 12 100 200", " 12 100 1000000000000", 1))
    assert "1000000000000" in huge.read_text()
    made.records.append(listed("gone", "records/none", "train"))
    manifest = run(made, tmp_path / "shards")
    assert (manifest.accepted, manifest.rejected, manifest.listed) == (10, 3, 13)
    assert manifest.rejected_by_reason == {"missing-file": 1, "too-large": 1, "truncated": 1}
    rows = pq.read_table(tmp_path / "shards" / REJECTED_NAME).to_pylist()
    assert [(row["position"], row["record_id"], row["reason"]) for row in rows] == [
        (4, made.records[4].record_id, "truncated"),
        (7, made.records[7].record_id, "too-large"),
        (12, "gone", "missing-file"),
    ]
    assert all(row["path"] == made.records[row["position"]].path for row in rows)
    assert all(row["message"] for row in rows)


def test_a_folder_of_another_ingest(
    hand_made: HandMadeSet, ingested: tuple[Path, Manifest], tmp_path: Path
) -> None:
    output = tmp_path / "shards"
    first = run(hand_made, output)
    longer = hand_made._replace(data=hand_made.data.model_copy(update={"duration_seconds": 3.0}))
    fewer = hand_made._replace(records=hand_made.records[:-1])
    relabelled: list[Record] = [replace(hand_made.records[0], age=None), *hand_made.records[1:]]
    before = snapshot(output)
    with pytest.raises(
        DataError, match=r"duration_seconds: expected 2\.0 as in the earlier ingest"
    ):
        run(longer, output)
    with pytest.raises(DataError, match="listed: expected 40 as in the earlier ingest, found 39"):
        run(fewer, output)
    with pytest.raises(DataError, match="records_sha256: expected the records of the earlier"):
        run(hand_made._replace(records=relabelled), output)
    with pytest.raises(DataError, match="expected an empty folder, found an earlier ingest"):
        run(hand_made, output, resume=False)
    assert snapshot(output) == before
    (output / "notes.txt").write_text("not of an ingest")
    second = run(longer, output, overwrite=True)
    assert second.samples == 300
    assert second.digest != first.digest
    assert (output / "notes.txt").exists()


def test_a_shard_that_cannot_be_written_is_one_clear_error(
    hand_made: HandMadeSet, tmp_path: Path, ray_cluster: Any
) -> None:
    output = tmp_path / "shards"
    manifest = run(hand_made, output)
    name = manifest.shards[0].name
    (output / name).unlink()
    (output / name / "in the way").mkdir(parents=True)
    with pytest.raises(DataError, match=rf"{name}: expected to write this shard"):
        run(hand_made, output)
    assert not (output / MANIFEST_NAME).exists()


def test_a_missing_root(hand_made: HandMadeSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the set's folder, found none"):
        ingest(hand_made.records, tmp_path / "none", tmp_path / "out", hand_made.data)


@pytest.mark.real_data
def test_real_records(real_data: Path, tmp_path: Path, ray_cluster: Any) -> None:
    """100 PTB-XL records: all accepted, and what is stored is what wfdb reads."""
    import numpy as np
    import wfdb

    from truelead.data.sources.ptbxl import load_records
    from truelead.data.store import ShardStore

    data = DataConfig(root=real_data / "ptbxl", limit=100, records_per_shard=32)
    records = load_records(real_data / "ptbxl", data)
    manifest = ingest(records, real_data / "ptbxl", tmp_path / "shards", data, progress=False)
    assert (manifest.accepted, manifest.rejected) == (100, 0)
    store = ShardStore(tmp_path / "shards")
    assert store.records == records
    for record in records[::20]:
        oracle = wfdb.rdrecord(str(real_data / "ptbxl" / record.path)).p_signal.T
        np.testing.assert_allclose(store.signal(record.record_id).signal_LT, oracle, atol=0.5e-3)
