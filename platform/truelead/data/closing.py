"""What stands beside the shards, once they are written: rejected records, duplicates, quality.

One pass over the shards' label columns and receipts, a shard at a time, so that memory does not
grow with the set; signals are not read again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from truelead.data.manifest import (
    DUPLICATES_NAME,
    REJECTED_NAME,
    DuplicateCount,
    Manifest,
    Part,
    RejectedRecord,
    ShardEntry,
    SplitCount,
    whole_digest,
)
from truelead.data.parts import read_columns
from truelead.data.plan import SPLITS, check_patients
from truelead.data.quality import QUALITY_NAME, QUALITY_SCHEMA, SUMMARY_NAME, quality_columns
from truelead.data.quality_summary import summary_text
from truelead.data.receipt import receipt_of
from truelead.data.schema import SCHEMA_VERSION
from truelead.data.storage import Folder
from truelead.errors import DataError

LOGGER = logging.getLogger(__name__)

TABLES = (REJECTED_NAME, DUPLICATES_NAME, QUALITY_NAME, SUMMARY_NAME)
"""Files that `write_tables` writes."""

DUPLICATES_SCHEMA = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in ("source_sha256", "record_id", "source", "split", "shard")
    ]
)
"""Columns of `duplicates.parquet`: the stored ECGs whose source files another one shares."""

_LIBRARIES = ("truelead", "numpy", "scipy", "wfdb", "pyarrow", "ray")
_COLUMNS = (
    "record_id",
    "patient_id",
    "source",
    "split",
    "position",
    "source_sampling_rate",
    "source_sha256",
)


@dataclass(frozen=True)
class Survey:
    """What the stored rows say over all parts.

    Attributes:
        patients: split -> number of known patients.
        duplicates: see `DuplicateCount`.
    """

    patients: dict[str, int]
    duplicates: DuplicateCount


def write_tables(folder: Folder, parts: tuple[Part, ...]) -> Survey:
    """Write `rejected.parquet`, `duplicates.parquet`, `quality.parquet` and `quality.md`.

    Raises:
        DataError: a shard is damaged; a patient stands in two splits.
    """
    shards = tuple(shard for part in parts for shard in part.shards)
    _write_rejected(folder, shards)
    digests: list[pa.ChunkedArray] = []

    def members() -> Iterator[tuple[str, str, str, str]]:
        with folder.placed(QUALITY_NAME) as temporary:
            with pq.ParquetWriter(temporary, QUALITY_SCHEMA) as writer:
                for shard in shards:
                    rows = read_columns(folder, shard, _COLUMNS)
                    digests.append(rows["source_sha256"])
                    writer.write_table(_quality_table(folder, shard, rows))
                    yield from _patient_keys(rows)
            folder.place_text(SUMMARY_NAME, summary_text(temporary))

    patients = check_patients(members())
    return Survey(patients, _write_duplicates(folder, shards, _repeated(digests)))


def build_manifest(parts: tuple[Part, ...], survey: Survey) -> Manifest:
    """The manifest of a folder whose shards and tables are written."""
    shards = tuple(shard for part in parts for shard in part.shards)
    rows = Counter[str]()
    for shard in shards:
        rows[shard.split] += shard.rows
    reasons = Counter(record.reason for shard in shards for record in shard.rejected)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        digest=whole_digest(parts),
        parts=parts,
        accepted=sum(part.accepted for part in parts),
        rejected=sum(part.rejected for part in parts),
        rejected_by_reason=dict(sorted(reasons.items())),
        splits={
            split: SplitCount(records=rows[split], patients=survey.patients.get(split, 0))
            for split in SPLITS
            if split in rows
        },
        duplicates=survey.duplicates,
        versions={name: version(name) for name in _LIBRARIES},
    )


def _write_rejected(folder: Folder, shards: tuple[ShardEntry, ...]) -> None:
    fields = {name: pa.string() for name in RejectedRecord.model_fields}
    schema = pa.schema({**fields, "position": pa.int64()})
    rows = [record.model_dump() for shard in shards for record in shard.rejected]
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["position"]), schema=schema)
    with folder.placed(REJECTED_NAME) as temporary:
        pq.write_table(table, temporary)


def _quality_table(folder: Folder, shard: ShardEntry, rows: pa.Table) -> pa.Table:
    """The shard's rows of `quality.parquet`."""
    try:
        measured = quality_columns(receipt_of(rows.schema).quality)
    except (KeyError, ValueError, ValidationError, pa.ArrowException):
        raise DataError(
            f"{folder.named(shard.name)}: expected a receipt with the quality of "
            f"{shard.rows} ECGs, found damage: resume the ingest"
        ) from None
    names = pa.array([shard.name] * shard.rows, pa.string())
    given = {name: rows[name] for name in QUALITY_SCHEMA.names if name in rows.schema.names}
    columns = {**given, **measured, "shard": names}
    return pa.table([columns[name] for name in QUALITY_SCHEMA.names], schema=QUALITY_SCHEMA)


def _patient_keys(rows: pa.Table) -> Iterator[tuple[str, str, str, str]]:
    """See `truelead.data.plan.check_patients`."""
    names = ("source", "patient_id", "split", "record_id")
    yield from zip(*(rows[name].to_pylist() for name in names), strict=True)


def _repeated(digests: list[pa.ChunkedArray]) -> pa.Array:
    """The digests that occur more than once."""
    counts = pc.value_counts(pa.chunked_array([c for d in digests for c in d.chunks], pa.string()))
    return counts.field("values").filter(pc.greater(counts.field("counts"), 1))


def _write_duplicates(
    folder: Folder, shards: tuple[ShardEntry, ...], repeated: pa.Array
) -> DuplicateCount:
    splits: dict[str, set[str]] = {}
    records = 0
    with (
        folder.placed(DUPLICATES_NAME) as temporary,
        pq.ParquetWriter(temporary, DUPLICATES_SCHEMA) as writer,
    ):
        for shard in shards if len(repeated) else ():
            rows = read_columns(folder, shard, DUPLICATES_SCHEMA.names[:-1])
            rows = rows.filter(pc.is_in(rows["source_sha256"], value_set=repeated))
            names = pa.array([shard.name] * rows.num_rows, pa.string())
            columns = [rows[name] for name in DUPLICATES_SCHEMA.names[:-1]]
            writer.write_table(pa.table([*columns, names], schema=DUPLICATES_SCHEMA))
            records += rows.num_rows
            for digest in rows["source_sha256"].to_pylist():
                splits.setdefault(digest, set()).add(shard.split)
    across = sum(len(found) > 1 for found in splits.values())
    if across:
        LOGGER.warning(
            "%s: %d source files stand in more than one split: see %s",
            folder,
            across,
            folder.named(DUPLICATES_NAME),
        )
    return DuplicateCount(sources=len(splits), records=records, across_splits=across)
