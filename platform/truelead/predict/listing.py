"""The ECGs of a prediction in the order in which they are answered: of shards, or of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from truelead.data.manifest import MANIFEST_NAME, json_sha256, read_manifest
from truelead.data.parts import PLAN_NAME
from truelead.data.plan import SPLITS
from truelead.errors import ConfigError, DataError, RecordError
from truelead.predict.jobs import ListedFile, PartJob, StoredRows, part_name
from truelead.signal.conversion import find_sources
from truelead.signal.formats.reading import find_format

MAXIMUM_LIST_BYTES = 2**30


@dataclass(frozen=True)
class StoredListing:
    """ECGs of an ingest, shard by shard and row by row.

    Attributes:
        folder: of the shards, absolute.
        data_digest: of the whole folder, from its manifest.
        rows: what is asked about.
    """

    folder: Path
    data_digest: str
    rows: tuple[StoredRows, ...]

    def __len__(self) -> int:
        return sum(rows.count for rows in self.rows)

    @property
    def sha256(self) -> str:
        """Of what is listed."""
        return json_sha256([rows.model_dump(mode="json") for rows in self.rows])

    def parts(self, size: int, plan: str) -> tuple[PartJob, ...]:
        """Slices of `size` ECGs."""
        jobs: list[PartJob] = []
        pieces: list[StoredRows] = []
        first = held = 0
        for rows in self.rows:
            start = 0
            while start < rows.count:
                taken = min(size - held, rows.count - start)
                place = {"first": rows.first + start, "count": taken}
                pieces.append(rows.model_copy(update=place))
                start, held = start + taken, held + taken
                if held == size:
                    jobs.append(_job(len(jobs), first, held, plan, stored=tuple(pieces)))
                    first, held, pieces = first + held, 0, []
        if held:
            jobs.append(_job(len(jobs), first, held, plan, stored=tuple(pieces)))
        return tuple(jobs)


@dataclass(frozen=True)
class FileListing:
    """ECGs in files of their own.

    Attributes:
        files: in order.
        left_alone: files in the named folders that are of no known format.
    """

    files: tuple[ListedFile, ...]
    left_alone: int = 0

    def __len__(self) -> int:
        return len(self.files)

    @property
    def sha256(self) -> str:
        """Of what is listed; where the files lie is not among it."""
        return json_sha256([[file.record_id, file.state] for file in self.files])

    def parts(self, size: int, plan: str) -> tuple[PartJob, ...]:
        """Slices of `size` ECGs."""
        slices = [self.files[start : start + size] for start in range(0, len(self.files), size)]
        return tuple(
            _job(number, number * size, len(files), plan, files=files)
            for number, files in enumerate(slices)
        )


Listing = StoredListing | FileListing


def is_stored(sources: Sequence[Path]) -> bool:
    """Whether the sources are one folder of shards, finished or not."""
    return len(sources) == 1 and any(
        (sources[0] / name).is_file() for name in (MANIFEST_NAME, PLAN_NAME)
    )


def list_stored(
    folder: Path, *, splits: Sequence[str] = (), limit: int | None = None
) -> StoredListing:
    """The ECGs of a folder of shards.

    Args:
        splits: only those; empty for all.
        limit: the first so many.

    Raises:
        ConfigError: a split is unknown.
        DataError: see `read_manifest`; nothing is left to ask about.
    """
    for split in splits:
        if split not in SPLITS:
            raise ConfigError(f"--split: expected one of {', '.join(SPLITS)}, found {split!r}")
    manifest = read_manifest(folder)
    rows: list[StoredRows] = []
    room = manifest.accepted if limit is None else limit
    for shard in manifest.shards:
        count = min(shard.rows, room)
        if count and (not splits or shard.split in splits):
            rows.append(StoredRows(shard=shard.name, sha256=shard.sha256, first=0, count=count))
            room -= count
    if not rows:
        raise DataError(f"{folder}: expected at least one ECG to ask about, found none")
    return StoredListing(folder.resolve(), manifest.digest, tuple(rows))


def list_files(
    sources: Sequence[Path],
    *,
    format: str | None = None,
    output: Path | None = None,
    limit: int | None = None,
) -> FileListing:
    """The ECG files that paths, quoted patterns and folders stand for.

    Args:
        sources: see `truelead.signal.conversion.find_sources`.
        format: name of the format, None to find it out.
        output: what lies below it does not count.
        limit: the first so many.

    Raises:
        ConfigError: nothing is found; two ECGs would have one record_id.
    """
    found = find_sources(sources, format=format, output=output)
    if not found.files:
        raise ConfigError("ECGs: expected a folder of shards or at least one ECG file, found none")
    taken: dict[str, Path] = {}
    for path, place in found.files[:limit]:
        name = place.as_posix()
        if name in taken:
            raise ConfigError(
                f"{path}: record_id: expected another than that of {taken[name]}: "
                "name a folder above both"
            )
        taken[name] = path
    files = tuple(
        ListedFile(record_id=name, path=str(path.absolute()), state=_state(path, format))
        for name, path in taken.items()
    )
    return FileListing(files, found.left_alone)


def read_list(path: Path) -> tuple[Path, ...]:
    """The paths of a text file, one a line, relative to its folder; empty lines do not count.

    Raises:
        ConfigError: the file is missing, too large, no UTF-8 text, or names nothing.
    """
    if not path.is_file() or path.stat().st_size > MAXIMUM_LIST_BYTES:
        raise ConfigError(f"{path}: expected a text file with one path a line, found none")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected UTF-8 text: {type(error).__name__}") from None
    found = tuple(path.parent / line.strip() for line in lines if line.strip())
    if not found:
        raise ConfigError(f"{path}: expected one path a line, found none")
    return found


def _state(path: Path, format: str | None) -> tuple[tuple[int, int], ...]:
    try:
        source, kind = find_format(path, format=format)
        stats = [file.stat() for file in kind.files(source)]
    except (RecordError, OSError):
        # Whoever reads it says why; a file that appears later is another listing.
        return ()
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)


def _job(
    number: int,
    first: int,
    count: int,
    plan: str,
    stored: tuple[StoredRows, ...] = (),
    files: tuple[ListedFile, ...] = (),
) -> PartJob:
    return PartJob(
        name=part_name(number), first=first, count=count, plan=plan, stored=stored, files=files
    )
