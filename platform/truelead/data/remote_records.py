"""The files of a record out of a remote set, laid out locally as they lie there.

Which files a record has is read from its header, so that only those are fetched; one that is not
there stays absent, and the reader says so as it would of a local set.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from truelead.data.storage import Folder, Location, open_folder
from truelead.errors import DataError, MissingFile, RecordError, RecordTooLarge
from truelead.signal.formats import wfdb

LARGEST_FILE_BYTES = 2 * 2**30
"""A larger file is not fetched, as it would fill the disk of the task: the record is rejected."""

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".txt", ".xlsx", ".parquet"})
"""Of the files at the top of a set that say what its records are."""


def fetch_record(root: Folder, path: str, target: Path) -> None:
    """Fetch the files of the record at `path` (relative, POSIX) to the same place below `target`.

    Raises:
        RecordTooLarge: a file is beyond `LARGEST_FILE_BYTES`.
        OSError: a file cannot be fetched for another reason than that it is not there.
    """
    tried: set[str] = set()

    def fetch(name: str) -> bool:
        """Whether the file is here now; each is tried once."""
        local = target / name
        if local.is_file():
            return True
        if name in tried:
            return False
        tried.add(name)
        size = root.size(name)
        if size is None:
            return False
        if size > LARGEST_FILE_BYTES:
            raise RecordTooLarge(
                local, field="file", expected=f"at most {LARGEST_FILE_BYTES} bytes", found=f"{size}"
            )
        local.parent.mkdir(parents=True, exist_ok=True)
        root.fetch(name, local)
        return True

    name = PurePosixPath(path.replace("\\", "/")).as_posix()
    if Path(name).suffix != wfdb.SUFFIX and fetch(name):
        return  # a format of one file
    if not fetch(wfdb.header_path(Path(name)).as_posix()):
        return
    missing: str | None = name
    while missing is not None:
        found, missing = _files_named(target / name)
        for file in found:
            fetch(file.relative_to(target).as_posix())
        if missing is not None:
            # The header of a segment: its own files are named only there.
            missing = Path(missing).relative_to(target).as_posix()
            if not fetch(missing):
                return


def _files_named(record: Path) -> tuple[list[Path], str | None]:
    """The files that the headers here name, and a header that is not here yet."""
    found: list[Path] = []
    try:
        for file in wfdb.files(record):
            found.append(file)
    except MissingFile as error:
        return found, error.where
    except RecordError:
        pass  # the reader will say what is wrong
    return found, None


@contextmanager
def listing_folder(root: Location | Folder) -> Iterator[Path]:
    """A local folder for the block, from which the set's source can list the records.

    That is a local set's own folder; of a remote set, a copy of the tables at its top. A source
    that reads the headers below needs a local set.

    Raises:
        DataError: the remote folder is not there, or a table is beyond `LARGEST_FILE_BYTES`.
    """
    place = open_folder(root)
    if place.local is not None:
        yield place.local
        return
    if not place.exists():
        raise DataError(f"{place}: expected the set's folder, found none")
    with tempfile.TemporaryDirectory(prefix="truelead_") as scratch:
        for name in place.names():
            if PurePosixPath(name).suffix.lower() in TABLE_SUFFIXES:
                _fetch_table(place, name, Path(scratch))
        yield Path(scratch)


def _fetch_table(root: Folder, name: str, target: Path) -> None:
    size = root.size(name)
    if size is None:
        return
    if size > LARGEST_FILE_BYTES:
        raise DataError(
            f"{root.named(name)}: expected at most {LARGEST_FILE_BYTES} bytes, found {size}"
        )
    root.fetch(name, target / name)
