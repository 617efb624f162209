"""Who is trained on and who is tested: by patient, and by a hash where a set says nothing.

A hash of the patient's pseudonym decides, so that adding or leaving out records moves no one else
and no file of splits needs to be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from truelead.config import DataConfig, SplitBy
from truelead.errors import DataError
from truelead.types import Record


def check_split_by(data: DataConfig, source: str, accepted: Sequence[SplitBy]) -> None:
    """Refuse a way to split that the set does not offer; none is chosen in its place.

    Raises:
        DataError: `data.split_by` is not among `accepted`.
    """
    if data.split_by not in accepted:
        raise DataError(
            f"data.split_by: expected {' or '.join(accepted)} for data.source {source}, "
            f"found {data.split_by}"
        )


def share_of(purpose: str, patient_id: str) -> float:
    """A number in [0, 1) that depends on the purpose and the patient alone."""
    digest = hashlib.sha256(f"{purpose}:{patient_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_by_hash(patient_id: str, data: DataConfig) -> str:
    """test, valid or train: the first two have `test_fraction` and `valid_fraction` of patients."""
    share = share_of("split", patient_id)
    if share < data.test_fraction:
        return "test"
    return "valid" if share < data.test_fraction + data.valid_fraction else "train"


def hashed(records: Iterable[Record], data: DataConfig) -> list[Record]:
    """The records under the split of their patient's hash, cut to `data.limit`, in their order."""
    split = [replace(record, split=split_by_hash(record.patient_id, data)) for record in records]
    return [with_development(record, data.development_fraction) for record in split[: data.limit]]


def with_split(
    records: Iterable[Record], split_of: Mapping[str, str], data: DataConfig
) -> list[Record]:
    """The records whose id has a split, under it, cut to `data.limit`; the others are left out."""
    split = [
        replace(record, split=split_of[record.record_id])
        for record in records
        if record.record_id in split_of
    ]
    return [with_development(record, data.development_fraction) for record in split[: data.limit]]


def with_development(record: Record, fraction: float) -> Record:
    """The record, moved from train to development if its patient is among that share of them."""
    if record.split != "train":
        return record
    chosen = share_of("development", record.patient_id) < fraction
    return replace(record, split="development") if chosen else record


def refuse_crossing_patients(path: Path, records: Iterable[Record], id_column: str) -> None:
    """Stop where the ECGs of one patient stand in two splits.

    Raises:
        DataError: naming the table, the ECG and the two splits.
    """
    split_of: dict[str, str] = {}
    for record in records:
        if split_of.setdefault(record.patient_id, record.split) != record.split:
            raise DataError(
                f"{path}: {id_column} {record.record_id}: split: expected every ECG of a patient "
                f"in one split, found {split_of[record.patient_id]} and {record.split}"
            )
