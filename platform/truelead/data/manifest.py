"""What a folder of shards holds: written last, so that its presence means the set is whole.

A folder is filled in one or more parts: the first ingest, and one for each later append.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from truelead.config import Frozen
from truelead.data.schema import SCHEMA_VERSION
from truelead.data.storage import Folder, Location, open_folder
from truelead.errors import DataError

MANIFEST_NAME = "manifest.json"
REJECTED_NAME = "rejected.parquet"
DUPLICATES_NAME = "duplicates.parquet"


class RejectedRecord(Frozen):
    """A listed record that could not be stored, and why."""

    position: int
    record_id: str
    path: str
    split: str
    reason: str
    message: str


class ShardEntry(Frozen):
    """One shard: what was stored in it and what was set aside while writing it.

    `sha256` is over the file's bytes, `content_sha256` over the rows (the same whatever wrote
    the Parquet file).
    """

    name: str
    split: str
    rows: int
    bytes: int
    sha256: str
    content_sha256: str
    rejected: tuple[RejectedRecord, ...] = ()


class SplitCount(Frozen):
    """Stored records and distinct known patients of a split."""

    records: int
    patients: int


class PlanSummary(Frozen):
    """What decides the content of a part's shards.

    `schema_version` is the one at which the part was planned: `records_sha256` is over the columns
    of that version, whatever version its shards have been migrated to since.
    """

    schema_version: int
    sampling_rate: float
    duration_seconds: float
    samples: int
    records_per_shard: int
    listed: int
    records_sha256: str


class Part(Frozen):
    """What one ingest or append put into the folder.

    Attributes:
        plan: what was asked for.
        digest: see `content_digest`.
        accepted, rejected: counts; together they are `plan.listed`.
        sources: names of the sets that its records come from.
        shards: the part's shards, in order.
    """

    plan: PlanSummary
    digest: str
    accepted: int
    rejected: int
    sources: tuple[str, ...]
    shards: tuple[ShardEntry, ...]


class DuplicateCount(Frozen):
    """Stored ECGs whose source files are byte for byte those of another stored ECG.

    Attributes:
        sources: distinct source files that stand for more than one ECG.
        records: ECGs that they stand for.
        across_splits: of `sources`, those whose ECGs stand in more than one split.
    """

    sources: int = 0
    records: int = 0
    across_splits: int = 0


class Manifest(Frozen):
    """The table of contents of a folder of shards.

    Attributes:
        schema_version: of every stored shard.
        digest: SHA-256 over rate, samples, the rows in order, and the rejected records; equal
            for equal content, whatever the timing, the parallelism or the library versions. Of a
            folder of several parts, it is over the digests of the parts.
        parts: the first ingest and the appends, in order.
        accepted, rejected: counts; together they are `listed`.
        rejected_by_reason: reason -> count.
        splits: split -> counts.
        duplicates: counts; the ECGs themselves are named in `duplicates.parquet`.
        versions: of the libraries that wrote the newest part.
    """

    schema_version: int
    digest: str
    parts: tuple[Part, ...]
    accepted: int
    rejected: int
    rejected_by_reason: dict[str, int]
    splits: dict[str, SplitCount]
    duplicates: DuplicateCount = DuplicateCount()
    versions: dict[str, str]

    @property
    def shards(self) -> tuple[ShardEntry, ...]:
        """The shards of all parts, in order."""
        return tuple(shard for part in self.parts for shard in part.shards)

    @property
    def listed(self) -> int:
        """Records that were asked for, over all parts."""
        return sum(part.plan.listed for part in self.parts)

    @property
    def sampling_rate(self) -> float:
        """Samples a second of every stored signal."""
        return self.parts[0].plan.sampling_rate

    @property
    def samples(self) -> int:
        """Samples a lead of every stored signal."""
        return self.parts[0].plan.samples


def content_digest(plan: PlanSummary, shards: tuple[ShardEntry, ...]) -> str:
    """The digest of a part. The names of the files are no content."""
    return json_sha256(
        {
            "schema_version": SCHEMA_VERSION,
            "sampling_rate": plan.sampling_rate,
            "samples": plan.samples,
            "shards": [[shard.split, shard.rows, shard.content_sha256] for shard in shards],
            "rejected": [
                [record.position, record.record_id, record.reason]
                for shard in shards
                for record in shard.rejected
            ],
        }
    )


def whole_digest(parts: tuple[Part, ...]) -> str:
    """The manifest's `digest`."""
    return parts[0].digest if len(parts) == 1 else json_sha256([part.digest for part in parts])


def json_sha256(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, hexadecimal."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(folder: Location | Folder, manifest: Manifest) -> None:
    """Write `manifest.json` in one step."""
    text = manifest.model_dump_json(indent=1) + "\n"
    open_folder(folder).place_text(MANIFEST_NAME, text)


def read_manifest(folder: Location | Folder) -> Manifest:
    """The manifest of a folder of shards.

    Raises:
        DataError: there is none (no ingest, or one that did not end), it is damaged, or its
            schema version is not this program's.
    """
    place = open_folder(folder)
    tree = read_json_object(place, MANIFEST_NAME, hint="run or resume the ingest")
    where = place.named(MANIFEST_NAME)
    check_schema_version(tree.get("schema_version"), where, place)
    try:
        return Manifest.model_validate(tree)
    except ValidationError as error:
        raise DataError(f"{where}: {first_fault(error)}") from None


def check_schema_version(found: Any, where: str, folder: Folder) -> None:
    """Refuse what another version of the program wrote, and say what helps.

    Raises:
        DataError: the version is not this program's.
    """
    if found == SCHEMA_VERSION:
        return
    hint = "ingest anew"
    if isinstance(found, int) and 0 < found < SCHEMA_VERSION:
        hint = f"truelead migrate {folder}"
    elif isinstance(found, int) and found > SCHEMA_VERSION:
        hint = "a newer TrueLead wrote it: update this one"
    raise DataError(f"{where}: schema_version: expected {SCHEMA_VERSION}, found {found!r}: {hint}")


def read_json_object(folder: Folder, name: str, hint: str) -> Mapping[str, Any]:
    """A JSON object from a file of a folder.

    Raises:
        DataError: the file is missing or holds something else.
    """
    path = folder.named(name)
    try:
        tree = json.loads(folder.read(name))
    except FileNotFoundError:
        raise DataError(f"{path}: expected this file, found none: {hint}") from None
    except ValueError:
        raise DataError(f"{path}: expected JSON, found a damaged file: {hint}") from None
    if not isinstance(tree, dict):
        raise DataError(f"{path}: expected a JSON object: {hint}")
    return tree


def first_fault(error: ValidationError) -> str:
    """One line about the first key that does not fit."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
