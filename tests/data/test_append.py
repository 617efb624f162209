"""A folder that grows: old shards stay as they are, nothing comes in twice, splits stay apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import HandMadeSet, listed
from truelead.data import ingest as ingest_module
from truelead.data.ingest import ingest
from truelead.data.manifest import DUPLICATES_NAME, MANIFEST_NAME, REJECTED_NAME, Manifest
from truelead.data.quality import QUALITY_NAME
from truelead.data.store import ShardStore
from truelead.errors import DataError

pytestmark = pytest.mark.ray

FIRST = 24


def run(made: HandMadeSet, output: Path, **options: Any) -> Manifest:
    return ingest(made.records, made.root, output, made.data, progress=False, **options)


def part_of(made: HandMadeSet, start: int, end: int) -> HandMadeSet:
    return made._replace(records=made.records[start:end])


def shards_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {f.name: (f.stat().st_mtime_ns, f.read_bytes()) for f in folder.glob("*-*.parquet")}


@pytest.fixture(scope="module")
def grown(
    hand_made: HandMadeSet, tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any
) -> tuple[Path, Manifest, dict[str, tuple[int, bytes]]]:
    """24 records, then all 40 appended: folder, manifest, and the shards before the append."""
    output = tmp_path_factory.mktemp("grown") / "shards"
    run(part_of(hand_made, 0, FIRST), output, append=True)
    before = shards_in(output)
    return output, run(hand_made, output, append=True), before


@pytest.fixture
def copied(grown: tuple[Path, Manifest, Any], tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown[0], tmp_path / "shards"))


def test_only_what_is_new_is_added(
    grown: tuple[Path, Manifest, dict[str, tuple[int, bytes]]], hand_made: HandMadeSet
) -> None:
    folder, manifest, before = grown
    after = shards_in(folder)
    assert {name: after[name] for name in before} == before
    assert [part.plan.listed for part in manifest.parts] == [FIRST, 40 - FIRST]
    assert (manifest.listed, manifest.accepted, manifest.rejected) == (40, 40, 0)
    assert len({part.digest for part in manifest.parts} | {manifest.digest}) == 3
    assert manifest.parts[1].sources == ("hand-made",)
    assert {entry.name for entry in manifest.shards} == set(after)
    by_split = {name: count.records for name, count in manifest.splits.items()}
    assert by_split == {"train": 21, "development": 6, "valid": 7, "test": 6}
    store = ShardStore(folder)
    assert store.records == hand_made.records
    for record_id in ("r0003", "r0039"):
        np.testing.assert_allclose(
            store.signal(record_id).signal_LT, hand_made.signals[record_id], atol=0.5e-3
        )
    quality = pq.read_table(folder / QUALITY_NAME).to_pylist()
    assert sorted(row["position"] for row in quality) == list(range(40))


def test_what_is_held_is_found_again(
    grown: tuple[Path, Manifest, Any], copied: Path, hand_made: HandMadeSet
) -> None:
    before = shards_in(copied)
    assert run(hand_made, copied, append=True) == grown[1]
    assert run(hand_made, copied) == grown[1]
    assert run(part_of(hand_made, FIRST, 40), copied) == grown[1]
    assert shards_in(copied) == before
    (copied / QUALITY_NAME).unlink()
    run(hand_made, copied)
    assert (copied / QUALITY_NAME).exists()


def test_without_append_a_longer_listing_is_refused(
    copied: Path, hand_made: HandMadeSet, tmp_path: Path
) -> None:
    more = hand_made._replace(records=[*hand_made.records, listed("new", "records/0/r0000")])
    with pytest.raises(DataError, match="found 1 others: add them with --append"):
        run(more, copied)
    first = tmp_path / "first"
    run(part_of(hand_made, 0, FIRST), first)
    with pytest.raises(DataError, match=r"listed: expected 24 .* or add what is new with --append"):
        run(hand_made, first)


def test_what_may_not_be_appended(copied: Path, hand_made: HandMadeSet) -> None:
    held = hand_made.records[0]

    def append(**changes: object) -> None:
        changed = hand_made._replace(records=[replace(held, **changes)])  # type: ignore[arg-type]
        run(changed, copied, append=True)

    with pytest.raises(DataError, match="expected the labels that are stored, found others in age"):
        append(age=1.0)
    with pytest.raises(DataError, match="found in the sources 'hand-made' and 'other'"):
        append(source="other")
    with pytest.raises(DataError, match="expected every patient in one split"):
        append(record_id="new", split="test")
    longer = hand_made._replace(data=hand_made.data.model_copy(update={"duration_seconds": 3.0}))
    with pytest.raises(DataError, match=r"duration_seconds: expected 2\.0 as in the earlier"):
        run(longer, copied, append=True)


def test_another_source_and_its_duplicates(
    copied: Path, hand_made: HandMadeSet, caplog: pytest.LogCaptureFixture
) -> None:
    """The same pseudonym elsewhere is another patient; the same bytes are the same recording."""
    other = [
        replace(record, record_id=f"x{i}", source="other", split="test", path=record.path)
        for i, record in enumerate(hand_made.records[:2])
    ]
    gone = listed("gone", "records/none", "test")
    more = hand_made._replace(records=[*other, replace(gone, source="other")])
    manifest = run(more, copied, append=True)
    assert manifest.parts[2].sources == ("other",)
    assert (manifest.accepted, manifest.rejected) == (42, 1)
    assert manifest.duplicates.model_dump() == {"sources": 2, "records": 4, "across_splits": 2}
    rows = pq.read_table(copied / DUPLICATES_NAME).to_pylist()
    assert sorted(row["record_id"] for row in rows) == ["r0000", "r0001", "x0", "x1"]
    assert "2 source files stand in more than one split" in caplog.text
    rejected = pq.read_table(copied / REJECTED_NAME).to_pylist()
    assert [(row["record_id"], row["position"]) for row in rejected] == [("gone", 42)]
    assert run(more, copied, append=True) == manifest


def test_an_append_that_was_stopped_goes_on(
    hand_made: HandMadeSet,
    grown: tuple[Path, Manifest, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was whole stays readable, and the end is that of an undisturbed append."""
    folder = tmp_path / "shards"
    first = run(part_of(hand_made, 0, FIRST), folder)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "write_tables", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(hand_made, folder, append=True)
    assert ShardStore(folder).manifest == first
    with pytest.raises(DataError, match="finish the append that was begun"):
        run(part_of(hand_made, 0, 30), folder, append=True)
    kept = shards_in(folder)
    assert run(hand_made, folder, append=True) == grown[1]
    assert shards_in(folder) == kept
    assert len(kept) == len(grown[1].shards)


def test_an_append_can_be_given_up(
    hand_made: HandMadeSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shards"
    run(part_of(hand_made, 0, FIRST), folder)
    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "write_tables", lambda *_: (_ for _ in ()).throw(OSError))
        with pytest.raises(OSError):
            run(hand_made, folder, append=True)
    manifest = run(part_of(hand_made, 0, 30), folder, append=True, overwrite=True)
    assert [part.plan.listed for part in manifest.parts] == [FIRST, 6]
    assert set(shards_in(folder)) == {entry.name for entry in manifest.shards}


@pytest.mark.parametrize("part", [0, 1])
def test_damage_in_one_part_is_mended(
    copied: Path, grown: tuple[Path, Manifest, Any], hand_made: HandMadeSet, part: int
) -> None:
    before = shards_in(copied)
    victim = copied / grown[1].parts[part].shards[0].name
    victim.write_bytes(victim.read_bytes()[:-5])
    assert run(hand_made, copied, append=part == 1) == grown[1]
    after = shards_in(copied)
    assert {n: c for n, (_, c) in after.items()} == {n: c for n, (_, c) in before.items()}
    assert sum(after[name] != before[name] for name in before) == 1


def test_damage_in_two_parts_is_refused(
    copied: Path, grown: tuple[Path, Manifest, Any], hand_made: HandMadeSet
) -> None:
    for part in grown[1].parts:
        (copied / part.shards[0].name).unlink()
    with pytest.raises(DataError, match="expected damage in one part, found it in 2"):
        run(hand_made, copied)
    assert json.loads((copied / MANIFEST_NAME).read_text())["accepted"] == 40


def test_append_begins_a_folder_too(
    make_set: Callable[..., HandMadeSet], tmp_path: Path, ray_cluster: Any
) -> None:
    made = make_set(6)
    assert run(made, tmp_path / "a", append=True) == run(made, tmp_path / "b")
