"""One shard: its records read, brought to the stored rate and length, and written in one step.

A shard carries its own receipt (job digest, content digest, rejected records) in the metadata of
its Parquet file, so that a file is whole, valid and for this job, or is written anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from truelead.config import Frozen
from truelead.data.durable import durable_file, file_sha256
from truelead.data.manifest import RejectedRecord, ShardEntry
from truelead.data.plan import ShardJob
from truelead.data.schema import encode_signal, record_row, shard_schema, stored_signals
from truelead.errors import InvalidEcg, RecordError
from truelead.signal import fit_duration, read_header, read_record, resample
from truelead.types import Record

LOGGER = logging.getLogger(__name__)

ROWS_PER_GROUP = 32
"""Rows of a Parquet row group: what a random access reads (0.8 MB at 100 Hz and 10 s)."""

_RECEIPT_KEY, _RECEIPT_SHA256_KEY = b"truelead.receipt", b"truelead.receipt_sha256"


class _Receipt(Frozen):
    """What the Parquet file says about itself."""

    job: str
    content_sha256: str
    rejected: tuple[RejectedRecord, ...]


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


def write_shard(job: ShardJob, root: Path, folder: Path) -> ShardEntry:
    """Read the job's records below `root` and write them to `folder / job.name`."""
    rows: list[dict[str, Any]] = []
    rejected: list[RejectedRecord] = []
    for position, record in zip(job.positions, job.records, strict=True):
        try:
            rows.append(
                {"position": position, **record_row(record), **_signal_row(job, root, record)}
            )
        except RecordError as error:
            rejected.append(_rejected(position, record, error, root))
    table = pa.Table.from_pylist(rows, schema=shard_schema(job.samples))
    receipt = _Receipt(
        job=job.digest, content_sha256=content_sha256(table), rejected=tuple(rejected)
    )
    path = folder / job.name
    with durable_file(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(_sealed(receipt)),
            temporary,
            row_group_size=ROWS_PER_GROUP,
            compression="lz4",
            use_dictionary=False,
            write_statistics=False,
        )
    return _entry(path, job, table.num_rows, receipt)


def read_entry(path: Path, job: ShardJob) -> ShardEntry | None:
    """The entry of an existing shard, None where it is damaged or not of this job."""
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        receipt = _Receipt.model_validate_json(metadata[_RECEIPT_KEY])
        if metadata[_RECEIPT_SHA256_KEY] != _sealed(receipt)[_RECEIPT_SHA256_KEY]:
            return None
        if receipt.job != job.digest or receipt.content_sha256 != content_sha256(table):
            return None
    except (pa.ArrowException, OSError, KeyError, ValidationError):
        return None
    if table.num_rows + len(receipt.rejected) != len(job.records):
        return None
    return _entry(path, job, table.num_rows, receipt)


def content_sha256(table: pa.Table) -> str:
    """SHA-256 over the rows: their columns as JSON, then the signal's bytes."""
    digest = hashlib.sha256()
    signals = stored_signals(table["signal"])
    labels = table.drop_columns(["signal"]).to_pylist()
    for row, signal_LT in zip(labels, signals, strict=True):
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
        digest.update(b"\n")
        digest.update(signal_LT.tobytes())
    return digest.hexdigest()


def _sealed(receipt: _Receipt) -> dict[bytes, bytes]:
    text = receipt.model_dump_json().encode()
    return {_RECEIPT_KEY: text, _RECEIPT_SHA256_KEY: hashlib.sha256(text).hexdigest().encode()}


def _signal_row(job: ShardJob, root: Path, record: Record) -> dict[str, Any]:
    path = root / record.path
    try:
        ecg = read_record(path)
        source_sha256 = _source_sha256(path)
    except OSError as error:
        raise RecordError(
            path, field="file", expected="a readable file", found=type(error).__name__
        ) from error
    fitted = fit_duration(resample(ecg, job.sampling_rate), job.duration_seconds)
    if fitted.signal_LT.shape[1] != job.samples:
        raise InvalidEcg(
            path,
            field="signal",
            expected=f"{job.samples} samples",
            found=str(fitted.signal_LT.shape[1]),
        )
    return {
        "sampling_rate": job.sampling_rate,
        "source_sampling_rate": ecg.sampling_rate,
        "source_sha256": source_sha256,
        "signal": encode_signal(fitted),
    }


def _source_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for file in _source_files(path):
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _source_files(path: Path, depth: int = 0) -> Iterable[Path]:
    """The header, then its signal files in their order; of a multi-segment record, all of them."""
    header = read_header(path)
    yield path if path.suffix == ".hea" else path.with_name(path.name + ".hea")
    for name in dict.fromkeys(signal.file_name for signal in header.signals):
        if name != "~":
            yield path.with_name(name)
    if depth == 0:
        for segment in dict.fromkeys(part.name for part in header.segments if part.name != "~"):
            yield from _source_files(path.with_name(segment), depth=1)


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


def _entry(path: Path, job: ShardJob, rows: int, receipt: _Receipt) -> ShardEntry:
    return ShardEntry(
        name=job.name,
        split=job.split,
        rows=rows,
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        content_sha256=receipt.content_sha256,
        rejected=receipt.rejected,
    )
