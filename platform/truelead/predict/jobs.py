"""The parts of a prediction: a part is a fixed slice of the listed ECGs and one file of the output.

Which ECG goes into which part is decided before any signal is read, and never by timing.
"""

from __future__ import annotations

from truelead.config import Frozen
from truelead.data.manifest import json_sha256


class StoredRows(Frozen):
    """Rows of a shard, one after another.

    Attributes:
        shard: name of the file.
        sha256: of the file, by the manifest of the shards.
        first, count: of the rows.
    """

    shard: str
    sha256: str
    first: int
    count: int


class ListedFile(Frozen):
    """An ECG file as it was listed.

    Attributes:
        record_id: its place below the folder that was named, with "/" between folders.
        path: absolute.
        state: size and time of change of each of its files, in the order in which it names them;
            empty where a file could not be found.
    """

    record_id: str
    path: str
    state: tuple[tuple[int, int], ...]


class PartJob(Frozen):
    """One part: what to read and what to call it.

    Attributes:
        name: of the file to write.
        first, count: the slice of the listed ECGs.
        stored: where they are, in shards; or
        files: in files of their own.
        plan: digest of what all parts share.
    """

    name: str
    first: int
    count: int
    stored: tuple[StoredRows, ...] = ()
    files: tuple[ListedFile, ...] = ()
    plan: str

    @property
    def digest(self) -> str:
        """SHA-256 of what the part is made of; where the ECG files lie is not among it."""
        tree = self.model_dump(mode="json")
        for file in tree["files"]:
            del file["path"]
        return json_sha256(tree)


def part_name(number: int) -> str:
    """File name of a part, counted from 0."""
    return f"predictions-{number:05d}.parquet"


def is_part(name: str) -> bool:
    """Whether a file has the name of a part."""
    return name.startswith("predictions-") and name.endswith(".parquet")
