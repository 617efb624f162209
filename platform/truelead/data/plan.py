"""Which record goes into which shard: decided before any signal is read, and never by timing."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from truelead.config import DataConfig
from truelead.data.durable import write_durable_text
from truelead.data.manifest import PlanSummary, first_fault, json_sha256, read_json_object
from truelead.data.schema import SCHEMA_VERSION, record_row, row_record
from truelead.errors import DataError
from truelead.types import Record

PLAN_NAME = "plan.json"
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

    @property
    def digest(self) -> str:
        """SHA-256 of everything asked for; a shard written for another job is not this one."""
        return json_sha256({"schema_version": SCHEMA_VERSION, "job": self._tree()})

    def to_json(self) -> str:
        """As text, to travel through Ray Data."""
        return json.dumps(self._tree(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ShardJob:
        """The inverse of `to_json`."""
        tree = json.loads(text)
        tree["positions"] = tuple(tree["positions"])
        tree["records"] = tuple(row_record(row) for row in tree["records"])
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
        }


@dataclass(frozen=True)
class Plan:
    """All shards of an ingest."""

    summary: PlanSummary
    jobs: tuple[ShardJob, ...]


def make_plan(records: Sequence[Record], data: DataConfig) -> Plan:
    """Divide the records into shards: split by split, in their order, a shard never of two splits.

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
        positions = [i for i, record in enumerate(records) if record.split == split]
        for number, start in enumerate(range(0, len(positions), data.records_per_shard)):
            part = tuple(positions[start : start + data.records_per_shard])
            jobs.append(
                ShardJob(
                    name=f"{split}-{number:05d}.parquet",
                    split=split,
                    positions=part,
                    records=tuple(records[i] for i in part),
                    sampling_rate=sampling_rate,
                    duration_seconds=seconds,
                    samples=samples,
                )
            )
    summary = PlanSummary(
        schema_version=SCHEMA_VERSION,
        sampling_rate=sampling_rate,
        duration_seconds=seconds,
        samples=samples,
        records_per_shard=data.records_per_shard,
        listed=len(records),
        records_sha256=json_sha256([job.digest for job in jobs]),
    )
    return Plan(summary, tuple(jobs))


def patients_by_split(records: Iterable[Record]) -> dict[str, set[str]]:
    """Split -> known patients.

    Raises:
        DataError: a patient is in more than one split.
    """
    splits: dict[str, set[str]] = defaultdict(set)
    first_split: dict[str, str] = {}
    crossing: dict[str, str] = {}
    for record in records:
        if record.patient_id:
            splits[record.split].add(record.patient_id)
            if first_split.setdefault(record.patient_id, record.split) != record.split:
                crossing.setdefault(record.patient_id, record.record_id)
    if crossing:
        example = next(iter(crossing.values()))
        raise DataError(
            "records: split: expected every patient in one split, found "
            f"{len(crossing)} in several (one of them at record {example!r})"
        )
    return dict(splits)


def agree_with_folder(folder: Path, summary: PlanSummary) -> bool:
    """Whether an earlier ingest of this very plan began in the folder; False where none began.

    Raises:
        DataError: the folder holds an ingest of something else, or files of unknown origin.
    """
    path = folder / PLAN_NAME
    hint = "choose another folder, or overwrite it"
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise DataError(
                f"{folder}: expected an empty folder or one of an earlier ingest: {hint}"
            )
        return False
    try:
        earlier = PlanSummary.model_validate(read_json_object(path, hint=hint))
    except ValidationError as error:
        raise DataError(f"{path}: {first_fault(error)}: {hint}") from None
    for name in PlanSummary.model_fields:
        now, before = getattr(summary, name), getattr(earlier, name)
        if now == before:
            continue
        difference = (
            "expected the records of the earlier ingest, found others"
            if name == "records_sha256"
            else f"expected {before} as in the earlier ingest, found {now}"
        )
        raise DataError(f"{folder}: {name}: {difference}: {hint}")
    return True


def write_plan(folder: Path, summary: PlanSummary) -> None:
    """Say in the folder what is going to be written there."""
    write_durable_text(folder / PLAN_NAME, summary.model_dump_json(indent=1) + "\n")


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
    patients_by_split(records)
