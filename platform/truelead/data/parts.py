"""What a folder of shards already holds, and what of a listing would be new in it.

`plan.json` claims the folder before the first shard is written: it holds the plan of every part,
the one under way included. The manifest names the parts that are whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from truelead.data.manifest import (
    MANIFEST_NAME,
    REJECTED_NAME,
    Manifest,
    PlanSummary,
    ShardEntry,
    check_schema_version,
    first_fault,
    read_json_object,
    read_manifest,
)
from truelead.data.quality import QUALITY_NAME
from truelead.data.schema import LABEL_FIELDS, SCHEMA_VERSION, record_row
from truelead.data.storage import Folder
from truelead.errors import DataError
from truelead.types import Record

PLAN_NAME = "plan.json"
OTHER_FOLDER = "choose another folder, or overwrite it"


def read_plans(folder: Folder) -> tuple[PlanSummary, ...]:
    """The plans that claim a folder, none where no ingest began.

    Raises:
        DataError: the folder holds files of unknown origin, or shards of another schema version.
    """
    names = folder.names()
    if PLAN_NAME not in names:
        if names:
            raise DataError(
                f"{folder}: expected an empty folder or one of an earlier ingest: {OTHER_FOLDER}"
            )
        return ()
    tree = read_json_object(folder, PLAN_NAME, hint=OTHER_FOLDER)
    where = folder.named(PLAN_NAME)
    if tree.get("schema_version") != SCHEMA_VERSION and MANIFEST_NAME not in names:
        raise DataError(
            f"{where}: schema_version: expected {SCHEMA_VERSION}, "
            f"found {tree.get('schema_version')!r} and no manifest: {OTHER_FOLDER}"
        )
    check_schema_version(tree.get("schema_version"), where, folder)
    try:
        return tuple(PlanSummary.model_validate(plan) for plan in tree.get("parts", ()))
    except (ValidationError, TypeError) as error:
        fault = (
            first_fault(error) if isinstance(error, ValidationError) else "parts: expected a list"
        )
        raise DataError(f"{where}: {fault}: {OTHER_FOLDER}") from None


def write_plans(folder: Folder, plans: Sequence[PlanSummary]) -> None:
    """Say in the folder what it holds and what is going to be written there."""
    tree = {
        "schema_version": SCHEMA_VERSION,
        "parts": [plan.model_dump(mode="json") for plan in plans],
    }
    folder.place_text(PLAN_NAME, json.dumps(tree, indent=1) + "\n")


def check_agreement(
    folder: Folder, now: PlanSummary, before: PlanSummary, *, names: Iterable[str], hint: str
) -> None:
    """Refuse a plan that differs from an earlier one in one of the named fields.

    Raises:
        DataError: names the field that differs.
    """
    for name in names:
        found, expected = getattr(now, name), getattr(before, name)
        if found == expected:
            continue
        difference = (
            "expected the records of the earlier ingest, found others"
            if name == "records_sha256"
            else f"expected {expected} as in the earlier ingest, found {found}"
        )
        raise DataError(f"{folder}: {name}: {difference}: {hint}")


def finished_parts(folder: Folder) -> Manifest | None:
    """The manifest, None where no part is whole yet."""
    return read_manifest(folder) if folder.size(MANIFEST_NAME) is not None else None


def damaged_parts(folder: Folder, manifest: Manifest) -> list[int]:
    """Numbers of the parts of which a shard is missing or not the manifest's.

    A local shard is compared by its SHA-256, a remote one by its size: its digest would have it
    travel here (see `truelead.data.local_copy`, which compares what it fetches).
    """
    return [
        number
        for number, part in enumerate(manifest.parts)
        if not all(_intact(folder, entry) for entry in part.shards)
    ]


def complete(folder: Folder) -> bool:
    """Whether the tables beside the shards are there."""
    return all(folder.size(name) is not None for name in (REJECTED_NAME, QUALITY_NAME))


def _intact(folder: Folder, entry: ShardEntry) -> bool:
    if folder.size(entry.name) != entry.bytes:
        return False
    return folder.local is None or folder.sha256(entry.name) == entry.sha256


@dataclass(frozen=True)
class HeldRecords:
    """The records that stand in the whole parts of a folder, stored or rejected.

    Attributes:
        stored: record_id -> its label columns.
        rejected: record_id -> path and split; no other label of a rejected record is kept.
    """

    folder: Folder
    stored: Mapping[str, Mapping[str, Any]]
    rejected: Mapping[str, tuple[str, str]]

    def without(self, records: Sequence[Record]) -> list[Record]:
        """Those of the records that do not stand in the folder yet, in their order.

        Raises:
            DataError: one stands there with other labels, or its id is that of another source.
        """
        return [record for record in records if not self._holds(record)]

    def patient_keys(self) -> Iterator[tuple[str, str, str, str]]:
        """See `truelead.data.plan.check_patients`; rejected records are in no split."""
        for record_id, row in self.stored.items():
            yield row["source"], row["patient_id"], row["split"], record_id

    def _holds(self, record: Record) -> bool:
        where = f"{self.folder}: record {record.record_id!r}"
        if (row := self.stored.get(record.record_id)) is not None:
            if row["source"] != record.source:
                raise DataError(
                    f"{where}: record_id: expected once in the folder, found in the sources "
                    f"{row['source']!r} and {record.source!r}"
                )
            given = record_row(record)
            changed = [name for name in given if given[name] != row[name]]
            if changed:
                raise DataError(
                    f"{where}: expected the labels that are stored, found others in "
                    f"{', '.join(changed)}: overwrite the folder"
                )
            return True
        if (kept := self.rejected.get(record.record_id)) is not None:
            if kept != (record.path, record.split):
                raise DataError(
                    f"{where}: expected the path and split under which it was rejected, "
                    "found others: overwrite the folder"
                )
            return True
        return False


def read_held(folder: Folder, manifest: Manifest, *, leave_out: int | None = None) -> HeldRecords:
    """The records of every part, or of every part but one."""
    stored: dict[str, Mapping[str, Any]] = {}
    rejected: dict[str, tuple[str, str]] = {}
    columns = [field.name for field in LABEL_FIELDS]
    for number, part in enumerate(manifest.parts):
        if number == leave_out:
            continue
        for entry in part.shards:
            table = read_columns(folder, entry, columns)
            stored.update((row["record_id"], row) for row in table.to_pylist())
            rejected.update((r.record_id, (r.path, r.split)) for r in entry.rejected)
    return HeldRecords(folder, stored, rejected)


def read_columns(folder: Folder, entry: ShardEntry, columns: Sequence[str]) -> pa.Table:
    """Columns of a shard, without its signals.

    Raises:
        DataError: the shard is damaged.
    """
    try:
        table = folder.opened(
            entry.name, lambda stream: pq.read_table(stream, columns=list(columns))
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{folder.named(entry.name)}: expected a whole shard, found damage "
            f"({type(error).__name__}): resume the ingest"
        ) from error
    if table.num_rows != entry.rows:
        raise DataError(
            f"{folder.named(entry.name)}: expected {entry.rows} rows, found {table.num_rows}: "
            "resume the ingest"
        )
    return table
