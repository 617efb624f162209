"""What a shard says about itself, in the metadata of its Parquet file.

The receipt names the job that the shard was written for and the content it must hold, so that a
file is whole, valid and for this job, or is written anew.
"""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa

from truelead.config import Frozen
from truelead.data.manifest import RejectedRecord
from truelead.data.schema import stored_signals

_RECEIPT_KEY, _RECEIPT_SHA256_KEY = b"truelead.receipt", b"truelead.receipt_sha256"


class Receipt(Frozen):
    """What the Parquet file says about itself.

    Attributes:
        job: digest of the `ShardJob`; of a migrated shard, what its earlier version said.
        content_sha256: see `content_sha256`.
        rejected: records of the job that could not be stored.
        quality: the measures of `truelead.data.quality`, a JSON object of columns in row order.
    """

    job: str
    content_sha256: str
    rejected: tuple[RejectedRecord, ...]
    quality: str


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


def sealed(receipt: Receipt) -> dict[bytes, bytes]:
    """The receipt as metadata of a Parquet schema, with a digest of its own."""
    text = receipt.model_dump_json().encode()
    return {_RECEIPT_KEY: text, _RECEIPT_SHA256_KEY: hashlib.sha256(text).hexdigest().encode()}


def receipt_of(schema: pa.Schema) -> Receipt:
    """The receipt in a shard's schema.

    Raises:
        KeyError: there is none, or it is damaged.
        ValidationError: of pydantic; it is none of this schema version.
    """
    metadata = schema.metadata or {}
    text = metadata[_RECEIPT_KEY]
    if metadata[_RECEIPT_SHA256_KEY] != hashlib.sha256(text).hexdigest().encode():
        raise KeyError(_RECEIPT_SHA256_KEY)
    return Receipt.model_validate_json(text)
