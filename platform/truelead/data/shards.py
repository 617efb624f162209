"""One shard: its records read, brought to the stored rate and length, and written in one step.

A shard carries its own receipt (job digest, content digest, rejected records, quality) in the
metadata of its Parquet file, so that a file is whole, valid and for this job, or is written anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from truelead.data.durable import durable_file, file_sha256
from truelead.data.manifest import RejectedRecord, ShardEntry
from truelead.data.plan import ShardJob
from truelead.data.quality import QualityRow, quality_row, quality_text
from truelead.data.reading import read_listed
from truelead.data.receipt import Receipt, content_sha256, receipt_of, sealed
from truelead.data.schema import encode_signal, record_row, shard_schema
from truelead.errors import InvalidEcg, RecordError
from truelead.signal import fit_duration, resample
from truelead.signal.formats.base import StatedSignal
from truelead.types import Record

LOGGER = logging.getLogger(__name__)

NO_FAULTS: Mapping[str, RecordError] = MappingProxyType({})

ROWS_PER_GROUP = 32
"""Rows of a Parquet row group: what a random access reads (0.8 MB at 100 Hz and 10 s)."""


def ensure_shard(job: ShardJob, root: Path, folder: Path) -> tuple[ShardEntry, bool]:
    """The shard of this job, and whether it had to be written.

    A valid shard of the same job stays as it is; a damaged one is written anew.

    Raises:
        OSError: the shard cannot be written.
    """
    path = folder / job.name
    if path.exists():
        if (entry := read_entry(path, job)) is not None:
            return entry, False
        LOGGER.warning("%s: damaged or of another ingest, written anew", path)
    return write_shard(job, root, folder), True


def write_shard(
    job: ShardJob, root: Path, folder: Path, faults: Mapping[str, RecordError] = NO_FAULTS
) -> ShardEntry:
    """Read the job's records below `root` and write them to `folder / job.name`.

    Args:
        faults: path of a record -> why it is rejected without being read.
    """
    rows: list[dict[str, Any]] = []
    rejected: list[RejectedRecord] = []
    quality: list[QualityRow] = []
    for position, record in zip(job.positions, job.records, strict=True):
        try:
            if record.path in faults:
                raise faults[record.path]
            row, measures = _signal_row(job, root, record)
        except RecordError as error:
            rejected.append(_rejected(position, record, error, root))
            continue
        rows.append({"position": position, **record_row(record), **row})
        quality.append(measures)
    table = pa.Table.from_pylist(rows, schema=shard_schema(job.samples))
    receipt = Receipt(
        job=job.digest,
        content_sha256=content_sha256(table),
        rejected=tuple(rejected),
        quality=quality_text(quality),
    )
    path = folder / job.name
    with durable_file(path) as temporary:
        write_table(table, receipt, temporary)
    return shard_entry(path, job.name, job.split, table.num_rows, receipt)


def write_table(table: pa.Table, receipt: Receipt, path: Path) -> None:
    """Write rows and their receipt as a shard's Parquet file."""
    pq.write_table(
        table.replace_schema_metadata(sealed(receipt)),
        path,
        row_group_size=ROWS_PER_GROUP,
        compression="lz4",
        use_dictionary=False,
        write_statistics=False,
    )


def read_entry(path: Path, job: ShardJob) -> ShardEntry | None:
    """The entry of an existing shard, None where it is damaged or not of this job."""
    try:
        table = pq.read_table(path)
        receipt = receipt_of(table.schema)
        if receipt.job != job.digest or receipt.content_sha256 != content_sha256(table):
            return None
    except (pa.ArrowException, OSError, KeyError, ValidationError):
        return None
    if table.num_rows + len(receipt.rejected) != len(job.records):
        return None
    return shard_entry(path, job.name, job.split, table.num_rows, receipt)


def _signal_row(job: ShardJob, root: Path, record: Record) -> tuple[dict[str, Any], QualityRow]:
    path = root / record.path
    try:
        listed = read_listed(
            root, record, format=job.format, stated=StatedSignal(**job.stated.model_dump())
        )
    except OSError as error:
        raise RecordError(
            path, field="file", expected="a readable file", found=type(error).__name__
        ) from error
    ecg = listed.ecg
    fitted = fit_duration(resample(ecg, job.sampling_rate), job.duration_seconds)
    if fitted.signal_LT.shape[1] != job.samples:
        raise InvalidEcg(
            path,
            field="signal",
            expected=f"{job.samples} samples",
            found=str(fitted.signal_LT.shape[1]),
        )
    row = {
        "sampling_rate": job.sampling_rate,
        "source_sampling_rate": ecg.sampling_rate,
        "source_sha256": listed.source_sha256,
        "format": listed.format,
        "signal": encode_signal(fitted),
    }
    return row, quality_row(ecg, ecg.duration_seconds)


def _rejected(position: int, record: Record, error: RecordError, root: Path) -> RejectedRecord:
    return RejectedRecord(
        position=position,
        record_id=record.record_id,
        path=record.path,
        split=record.split,
        reason=error.reason,
        # Relative to the set's folder: the same wherever the set lies.
        message=str(error).replace(f"{root}/", ""),
    )


def shard_entry(path: Path, name: str, split: str, rows: int, receipt: Receipt) -> ShardEntry:
    """The manifest's entry of the shard that lies at `path`."""
    return ShardEntry(
        name=name,
        split=split,
        rows=rows,
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        content_sha256=receipt.content_sha256,
        rejected=receipt.rejected,
    )
