"""One part of the output: a Parquet file that carries its own receipt.

The receipt (what the part was made of, the digest of its rows, the ECGs set aside) stands in the
file's metadata with a digest of its own, so that a part is whole and of this prediction, or is
written anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from truelead.config import Frozen
from truelead.data.durable import durable_file, file_sha256
from truelead.predict.jobs import PartJob

SCHEMA_VERSION = 1
"""Raised with every change of the columns or of their meaning."""

NOTICE = "not for clinical use"

SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("question_name", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("options", pa.list_(pa.string()), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("option_probabilities", pa.map_(pa.string(), pa.float32()), nullable=False),
        pa.field("reliance", pa.float32()),
        pa.field("reliance_threshold", pa.float32()),
        pa.field("rests_on_ecg", pa.bool_()),
        pa.field("reliance_verdict", pa.string(), nullable=False),
        pa.field("notes", pa.string(), nullable=False),
        pa.field("ecg_sha256", pa.string(), nullable=False),
        pa.field("model_digest", pa.string(), nullable=False),
        pa.field("data_digest", pa.string(), nullable=False),
        pa.field("truelead_version", pa.string(), nullable=False),
        pa.field("notice", pa.string(), nullable=False),
    ]
)
"""One row an ECG and question, ECG by ECG in the listed order, its questions in theirs.

`position`: place of the ECG in the listing, from 0. `option_probabilities` is empty for a free
answer. `reliance` and its threshold are in nats, null where not measured. `notes`: what the model
could not see of the ECG. `ecg_sha256`: of the float32 millivolts as they were read. `data_digest`:
of the shards; for ECG files, which have none, empty.
"""

_RECEIPT_KEY = b"truelead.predictions"
_RECEIPT_SHA256_KEY = b"truelead.predictions_sha256"


class RejectedEcg(Frozen):
    """A listed ECG that could not be asked about, and why."""

    position: int
    record_id: str
    reason: str
    message: str


class Receipt(Frozen):
    """What a part says about itself.

    Attributes:
        job: digest of the `PartJob`.
        content_sha256: see `content_sha256`.
        rejected: ECGs of the part without answers.
    """

    job: str
    content_sha256: str
    rejected: tuple[RejectedEcg, ...]


class PartEntry(Frozen):
    """One part in the manifest.

    Attributes:
        name: of the file.
        first, listed: the slice of the listed ECGs; `rejected` of them have no answers.
        rows: answers.
        bytes, sha256: of the file.
        content_sha256: of the rows and the rejected ECGs, whatever wrote the file.
    """

    name: str
    first: int
    listed: int
    rejected: int
    rows: int
    bytes: int
    sha256: str
    content_sha256: str


def write_part(
    job: PartJob, rows: Sequence[dict[str, Any]], rejected: Sequence[RejectedEcg], folder: Path
) -> PartEntry:
    """Write a part in one step.

    Raises:
        OSError: the disk refuses.
    """
    table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    receipt = Receipt(
        job=job.digest,
        content_sha256=content_sha256(table, rejected),
        rejected=tuple(rejected),
    )
    text = receipt.model_dump_json().encode()
    metadata = {
        _RECEIPT_KEY: text,
        _RECEIPT_SHA256_KEY: hashlib.sha256(text).hexdigest().encode(),
    }
    path = folder / job.name
    with durable_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")
    return _entry(path, job, table.num_rows, receipt)


def read_part(
    folder: Path, job: PartJob, questions: int
) -> tuple[PartEntry, tuple[RejectedEcg, ...]] | None:
    """The entry of a finished part and its rejected ECGs; None where it is missing or damaged.

    Args:
        questions: that each ECG is asked.
    """
    path = folder / job.name
    try:
        table = pq.read_table(path)
        receipt = _receipt_of(table.schema)
        whole = (
            receipt.job == job.digest
            and table.schema.remove_metadata().equals(SCHEMA)
            and receipt.content_sha256 == content_sha256(table, receipt.rejected)
        )
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    if not whole or table.num_rows != questions * (job.count - len(receipt.rejected)):
        return None
    return _entry(path, job, table.num_rows, receipt), receipt.rejected


def content_sha256(table: pa.Table, rejected: Sequence[RejectedEcg]) -> str:
    """SHA-256 over the rows and the rejected ECGs, each as a line of JSON."""
    digest = hashlib.sha256()
    for row in (*table.to_pylist(), *(one.model_dump() for one in rejected)):
        text = json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False)
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


def _receipt_of(schema: pa.Schema) -> Receipt:
    metadata = schema.metadata or {}
    text = metadata[_RECEIPT_KEY]
    if metadata[_RECEIPT_SHA256_KEY] != hashlib.sha256(text).hexdigest().encode():
        raise KeyError(_RECEIPT_SHA256_KEY)
    try:
        return Receipt.model_validate_json(text)
    except ValidationError:
        raise KeyError(_RECEIPT_KEY) from None


def _entry(path: Path, job: PartJob, rows: int, receipt: Receipt) -> PartEntry:
    return PartEntry(
        name=job.name,
        first=job.first,
        listed=job.count,
        rejected=len(receipt.rejected),
        rows=rows,
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        content_sha256=receipt.content_sha256,
    )
