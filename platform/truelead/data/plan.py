"""Which record goes into which shard: decided before any signal is read, and never by timing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from truelead.config import DataConfig, StatedSignalConfig
from truelead.data.manifest import PlanSummary, json_sha256
from truelead.data.schema import SCHEMA_VERSION, drop_later_columns, record_row, row_record
from truelead.errors import DataError
from truelead.types import Record

SPLITS = ("train", "development", "valid", "test")


@dataclass(frozen=True)
class ShardJob:
    """The records of one shard, all of one split, with their places in the listed records."""

    name: str
    split: str
    positions: tuple[int, ...]
    records: tuple[Record, ...]
    sampling_rate: float
    duration_seconds: float
    samples: int
    format: str | None = None
    stated: StatedSignalConfig = field(default_factory=StatedSignalConfig)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything asked for; a shard written for another job is not this one."""
        return self.digest_at(SCHEMA_VERSION)

    def digest_at(self, schema_version: int) -> str:
        """The digest as a program of that schema version computed it."""
        tree = self._tree()
        for row in tree["records"]:
            drop_later_columns(row, schema_version)
        return json_sha256({"schema_version": schema_version, "job": tree})

    def to_json(self) -> str:
        """As text, to travel through Ray Data."""
        return json.dumps(self._tree(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ShardJob:
        """The inverse of `to_json`."""
        tree = json.loads(text)
        tree["positions"] = tuple(tree["positions"])
        tree["records"] = tuple(row_record(row) for row in tree["records"])
        tree["stated"] = StatedSignalConfig(**tree.get("stated", {}))
        return cls(**tree)

    def _tree(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "split": self.split,
            "positions": self.positions,
            "records": [record_row(record) for record in self.records],
            "sampling_rate": self.sampling_rate,
            "duration_seconds": self.duration_seconds,
            "samples": self.samples,
            **self._reading(),
        }

    def _reading(self) -> dict[str, Any]:
        """How the files are read, where anything is said about it: else as jobs always were."""
        stated = self.stated.model_dump(mode="json", exclude_none=True)
        return {
            **({} if self.format is None else {"format": self.format}),
            **({"stated": stated} if stated else {}),
        }


@dataclass(frozen=True)
class Plan:
    """All shards of an ingest."""

    summary: PlanSummary
    jobs: tuple[ShardJob, ...]


def make_plan(
    records: Sequence[Record],
    data: DataConfig,
    *,
    part: int = 0,
    first_position: int = 0,
    schema_version: int = SCHEMA_VERSION,
) -> Plan:
    """Divide the records into shards: split by split, in their order, a shard never of two splits.

    Args:
        records: what the part holds.
        data: rate, duration, shard size, and how files are read.
        part: number of the part in its folder; from 1 on it stands in the names of the shards.
        first_position: place of the first record, behind those of the earlier parts.
        schema_version: at which the summary's `records_sha256` is computed.

    Raises:
        DataError: there are none; an id is doubled; a split is unknown; a path leads out of the
            set's folder; a patient is in two splits.
    """
    _check(records)
    sampling_rate, seconds = float(data.sampling_rate), data.duration_seconds
    samples = round(sampling_rate * seconds)
    if samples < 1:
        raise DataError(
            f"data.duration_seconds: expected at least 1 sample at {data.sampling_rate} Hz, "
            f"found {seconds} s"
        )
    jobs: list[ShardJob] = []
    for split in SPLITS:
        indices = [i for i, record in enumerate(records) if record.split == split]
        for number, start in enumerate(range(0, len(indices), data.records_per_shard)):
            chosen = indices[start : start + data.records_per_shard]
            jobs.append(
                ShardJob(
                    name=shard_name(split, part, number),
                    split=split,
                    positions=tuple(first_position + i for i in chosen),
                    records=tuple(records[i] for i in chosen),
                    sampling_rate=sampling_rate,
                    duration_seconds=seconds,
                    samples=samples,
                    format=data.format,
                    stated=data.stated,
                )
            )
    summary = PlanSummary(
        schema_version=schema_version,
        sampling_rate=sampling_rate,
        duration_seconds=seconds,
        samples=samples,
        records_per_shard=data.records_per_shard,
        listed=len(records),
        records_sha256=json_sha256([job.digest_at(schema_version) for job in jobs]),
    )
    return Plan(summary, tuple(jobs))


def shard_name(split: str, part: int, number: int) -> str:
    """File name of a shard; that of the first part bears no part number."""
    return f"{split}-{f'{part:03d}-' if part else ''}{number:05d}.parquet"


def is_shard(name: str) -> bool:
    """Whether a file has the name of a shard."""
    return name.endswith(".parquet") and name.startswith(tuple(f"{split}-" for split in SPLITS))


def check_patients(members: Iterable[tuple[str, str, str, str]]) -> dict[str, int]:
    """Number of known patients of each split; a patient is a pseudonym inside a source.

    Args:
        members: (source, patient_id, split, record_id) of each record; empty patient_id: unknown.

    Raises:
        DataError: a patient is in more than one split.
    """
    split_of: dict[tuple[str, str], str] = {}
    crossing: dict[tuple[str, str], str] = {}
    for source, patient_id, split, record_id in members:
        if patient_id:
            patient = (source, patient_id)
            if split_of.setdefault(patient, split) != split:
                crossing.setdefault(patient, record_id)
    if crossing:
        example = next(iter(crossing.values()))
        raise DataError(
            "records: split: expected every patient in one split, found "
            f"{len(crossing)} in several (one of them at record {example!r})"
        )
    return dict(Counter(split_of.values()))


def patient_key(record: Record) -> tuple[str, str, str, str]:
    """What `check_patients` wants to know of a record."""
    return record.source, record.patient_id, record.split, record.record_id


def _check(records: Sequence[Record]) -> None:
    if not records:
        raise DataError("records: expected at least 1, found none")
    seen: set[str] = set()
    for record in records:
        where = f"record {record.record_id!r}"
        if record.record_id in seen:
            raise DataError(f"{where}: record_id: expected once, found twice")
        seen.add(record.record_id)
        if record.split not in SPLITS:
            raise DataError(
                f"{where}: split: expected one of {', '.join(SPLITS)}, found {record.split!r}"
            )
        path = PurePosixPath(record.path.replace("\\", "/"))
        if not record.path or path.is_absolute() or ".." in path.parts:
            raise DataError(
                f"{where}: path: expected a path inside the set's folder, found {record.path!r}"
            )
    check_patients(map(patient_key, records))
