"""Records and shards on a filesystem that fails now and then, in the driver and in the workers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import HandMadeSet
from tests.data.unreliable_filesystem import PROTOCOL, UnreliableFileSystem, calls
from truelead.data.ingest import ingest
from truelead.data.local_copy import local_copy
from truelead.data.manifest import MANIFEST_NAME, Manifest, read_manifest
from truelead.data.migration import migrate
from truelead.data.quality import QUALITY_NAME, SUMMARY_NAME
from truelead.data.storage import Folder, open_folder
from truelead.data.store import ShardStore
from truelead.errors import DataError

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    """In this process alone: the workers get the filesystem with their tasks."""
    fsspec.register_implementation(PROTOCOL, UnreliableFileSystem, clobber=True)


def place(base: Path, name: str) -> Folder:
    return Folder(name, UnreliableFileSystem(str(base)), f"{PROTOCOL}://{name}")


def run(made: HandMadeSet, root: Any, output: Any, **options: Any) -> Manifest:
    return ingest(made.records, root, output, made.data, progress=False, **options)


@pytest.fixture(scope="module")
def both(
    hand_made: HandMadeSet, tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any
) -> tuple[Path, Manifest, Manifest]:
    """The same records ingested remotely (from `set` to `shards`, below the path) and locally."""
    base = tmp_path_factory.mktemp("remote")
    shutil.copytree(hand_made.root, base / "set")
    remote = run(hand_made, place(base, "set"), place(base, "shards"))
    return base, remote, run(hand_made, hand_made.root, base / "local")


def test_what_is_stored_does_not_depend_on_the_place(
    both: tuple[Path, Manifest, Manifest],
) -> None:
    base, remote, local = both
    assert remote == local
    assert {f.name for f in (base / "shards").iterdir()} == {
        f.name for f in (base / "local").iterdir()
    }
    for entry in local.shards:
        assert (base / "shards" / entry.name).read_bytes() == (
            base / "local" / entry.name
        ).read_bytes()
    # 40 records of two files each were fetched, in the workers; a third of the calls failed.
    assert calls(base, "get_file") > 80


def test_a_finished_and_a_damaged_remote_ingest(
    both: tuple[Path, Manifest, Manifest], hand_made: HandMadeSet, tmp_path: Path
) -> None:
    base, remote, _ = both
    shutil.copytree(base / "shards", tmp_path / "shards")
    output, source = place(tmp_path, "shards"), place(base, "set")
    before = calls(base, "get_file")
    assert run(hand_made, source, output) == remote
    assert calls(base, "get_file") == before
    victim = tmp_path / "shards" / remote.shards[2].name
    victim.write_bytes(victim.read_bytes()[:-3])
    assert run(hand_made, source, output) == remote
    assert victim.stat().st_size == remote.shards[2].bytes


def test_remote_append(
    both: tuple[Path, Manifest, Manifest], hand_made: HandMadeSet, tmp_path: Path
) -> None:
    fewer = hand_made._replace(records=hand_made.records[:16])
    output = place(tmp_path, "grown")
    run(fewer, hand_made.root, output)
    manifest = run(hand_made, hand_made.root, output, append=True)
    assert [part.accepted for part in manifest.parts] == [16, 24]
    assert migrate(output) == manifest


def test_the_local_copy_is_what_stages_read(
    both: tuple[Path, Manifest, Manifest], hand_made: HandMadeSet, tmp_path: Path
) -> None:
    base, remote, _ = both
    source, target = place(base, "shards"), tmp_path / "copy"
    assert local_copy(source, target) == target
    store = ShardStore(target)
    assert store.manifest == remote
    ids = store.ids()
    np.testing.assert_array_equal(store.signals(ids), ShardStore(base / "local").signals(ids))
    assert (target / SUMMARY_NAME).read_text() == (base / "local" / SUMMARY_NAME).read_text()
    assert pq.read_table(target / QUALITY_NAME).num_rows == 40
    opens = calls(base, "get_file")
    local_copy(source, target)
    assert calls(base, "get_file") == opens, "a copy that is whole is not fetched again"
    (target / remote.shards[0].name).unlink()
    local_copy(source, target)
    assert ShardStore(target).verify() is None
    assert local_copy(base / "local", tmp_path / "not used") == base / "local"
    with pytest.raises(DataError, match="found an ingest there"):
        local_copy(source, base / "local")


def test_a_damaged_remote_shard_is_not_taken(
    both: tuple[Path, Manifest, Manifest], tmp_path: Path
) -> None:
    base, remote, _ = both
    shutil.copytree(base / "shards", tmp_path / "shards")
    victim = tmp_path / "shards" / remote.shards[1].name
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(DataError, match=f"{victim.name}: expected the manifest's sha256"):
        local_copy(place(tmp_path, "shards"), tmp_path / "copy")
    assert not (tmp_path / "copy" / MANIFEST_NAME).exists()
    assert not (tmp_path / "copy" / victim.name).exists()


def test_a_place_that_never_answers_is_one_clear_error(
    hand_made: HandMadeSet, tmp_path: Path, ray_cluster: Any
) -> None:
    dead = Folder(
        "out", UnreliableFileSystem(str(tmp_path), dead="valid-00000"), f"{PROTOCOL}://out"
    )
    with pytest.raises(
        DataError, match=rf"{PROTOCOL}://out/valid-00000.parquet: expected to write"
    ):
        run(hand_made, hand_made.root, dead)
    with pytest.raises(DataError, match="expected this file, found none"):
        read_manifest(dead)


def test_urls_are_opened(tmp_path: Path, hand_made: HandMadeSet) -> None:
    assert isinstance(open_folder(f"{PROTOCOL}://x").filesystem, UnreliableFileSystem)
    with pytest.raises(DataError, match=r"memory://none: expected the set's folder, found none"):
        run(hand_made, "memory://none", tmp_path / "out")
