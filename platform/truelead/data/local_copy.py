"""A local copy of shards that lie elsewhere, fetched once and compared with the manifest's digests.

Whatever reads shards reads a local folder: random access over a network would wait at every ECG.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from truelead.data.closing import TABLES
from truelead.data.durable import durable_file, file_sha256
from truelead.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    ShardEntry,
    read_manifest,
    write_manifest,
)
from truelead.data.parts import PLAN_NAME
from truelead.data.plan import is_shard
from truelead.data.storage import Folder, Location, open_folder
from truelead.errors import DataError

FETCHES_AT_ONCE = 4


def local_copy(shards: Location | Folder, folder: str | Path) -> Path:
    """A local folder with the shards; what is there already and whole is kept.

    Args:
        shards: written by `truelead.data.ingest.ingest`, a path or a URL.
        folder: where the copy of remote shards lies or goes; not used for local ones.

    Returns:
        the shards' own folder where it is local, else `folder`, whose manifest is written last.

    Raises:
        DataError: see `read_manifest`; `folder` holds something else; a shard that was fetched
            has not the manifest's SHA-256.
    """
    source, target = open_folder(shards), Path(folder).absolute()
    if source.local is not None:
        return source.local
    manifest, here = read_manifest(source), open_folder(target)
    if PLAN_NAME in here.names():
        raise DataError(f"{target}: expected a place for a copy of {source}, found an ingest there")
    if _is_copy(here, manifest):
        return target
    here.make()
    here.remove(MANIFEST_NAME)
    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        fetches = [pool.submit(_fetch_shard, source, target, entry) for entry in manifest.shards]
        for fetch in fetches:
            fetch.result()
    for name in TABLES:
        if source.size(name) is not None:
            with durable_file(target / name) as temporary:
                source.fetch(name, temporary)
    kept = {entry.name for entry in manifest.shards}
    for name in here.names():
        if is_shard(name) and name not in kept:
            here.remove(name)
    write_manifest(here, manifest)
    return target


def _is_copy(here: Folder, manifest: Manifest) -> bool:
    """Whether the folder holds this very set; its shards were compared when they were fetched."""
    if here.size(MANIFEST_NAME) is None or read_manifest(here) != manifest:
        return False
    return all(here.size(entry.name) == entry.bytes for entry in manifest.shards)


def _fetch_shard(source: Folder, target: Path, entry: ShardEntry) -> None:
    path = target / entry.name
    if path.is_file() and file_sha256(path) == entry.sha256:
        return
    try:
        with durable_file(path) as temporary:
            source.fetch(entry.name, temporary)
            if file_sha256(temporary) != entry.sha256:
                raise DataError(
                    f"{source.named(entry.name)}: expected the manifest's sha256, found another: "
                    "resume the ingest"
                )
    except OSError as error:
        raise DataError(
            f"{source.named(entry.name)}: expected this shard, could not fetch it "
            f"({type(error).__name__})"
        ) from error
