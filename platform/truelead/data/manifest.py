"""What a folder of shards holds: written last, so that its presence means the set is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from truelead.config import Frozen
from truelead.data.durable import write_durable_text
from truelead.data.schema import SCHEMA_VERSION
from truelead.errors import DataError

MANIFEST_NAME = "manifest.json"
REJECTED_NAME = "rejected.parquet"


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
    """What decides the content of the shards; two ingests may share a folder only if it agrees."""

    schema_version: int
    sampling_rate: float
    duration_seconds: float
    samples: int
    records_per_shard: int
    listed: int
    records_sha256: str


class Manifest(Frozen):
    """The table of contents of a folder of shards.

    Attributes:
        digest: SHA-256 over rate, samples, the rows in order, and the rejected records; equal
            for equal content, whatever the timing, the parallelism or the library versions.
        plan: what was asked for.
        accepted, rejected: counts; together they are `plan.listed`.
        rejected_by_reason: reason -> count.
        splits: split -> counts.
        versions: of the libraries that wrote the shards.
    """

    schema_version: int
    digest: str
    plan: PlanSummary
    accepted: int
    rejected: int
    rejected_by_reason: dict[str, int]
    splits: dict[str, SplitCount]
    shards: tuple[ShardEntry, ...]
    versions: dict[str, str]

    @property
    def sampling_rate(self) -> float:
        """Samples a second of every stored signal."""
        return self.plan.sampling_rate

    @property
    def samples(self) -> int:
        """Samples a lead of every stored signal."""
        return self.plan.samples


def content_digest(plan: PlanSummary, shards: tuple[ShardEntry, ...]) -> str:
    """The manifest's `digest`."""
    return json_sha256(
        {
            "schema_version": plan.schema_version,
            "sampling_rate": plan.sampling_rate,
            "samples": plan.samples,
            "shards": [[shard.name, shard.rows, shard.content_sha256] for shard in shards],
            "rejected": [
                [record.position, record.record_id, record.reason]
                for shard in shards
                for record in shard.rejected
            ],
        }
    )


def json_sha256(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, hexadecimal."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` in one step."""
    write_durable_text(folder / MANIFEST_NAME, manifest.model_dump_json(indent=1) + "\n")


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a folder of shards.

    Raises:
        DataError: there is none (no ingest, or one that did not end), it is damaged, or its
            schema version is not this program's.
    """
    path = Path(folder) / MANIFEST_NAME
    tree = read_json_object(path, hint="run or resume the ingest")
    found = tree.get("schema_version")
    if found != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema_version: expected {SCHEMA_VERSION}, found {found!r}: ingest anew"
        )
    try:
        return Manifest.model_validate(tree)
    except ValidationError as error:
        raise DataError(f"{path}: {first_fault(error)}") from None


def read_json_object(path: Path, hint: str) -> Mapping[str, Any]:
    """A JSON object from a file.

    Raises:
        DataError: the file is missing or holds something else.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
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
