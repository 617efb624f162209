"""Shards of an earlier schema version become shards of this one, without reading a record again.

A version is one step: a pure function of the columns of a row, in `STEPS`. The new files are
written under names of their own beside the old ones, the manifest that names them comes next, and
the old files go last: stopped anywhere, the folder is whole in its old form or in its new one, and
migrating it again ends the same.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from truelead.data.closing import build_manifest, write_tables
from truelead.data.durable import file_sha256
from truelead.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Part,
    PlanSummary,
    ShardEntry,
    content_digest,
    first_fault,
    read_json_object,
    read_manifest,
    write_manifest,
)
from truelead.data.parts import read_columns, write_plans
from truelead.data.plan import is_shard
from truelead.data.quality import quality_row, quality_text
from truelead.data.receipt import Receipt, content_sha256
from truelead.data.schema import (
    DEFAULT_FORMAT,
    SCHEMA_VERSION,
    decode_signals,
    shard_schema,
    stored_signals,
)
from truelead.data.shards import shard_entry, write_table
from truelead.data.storage import Folder, Location, open_folder
from truelead.errors import DataError
from truelead.types import Ecg

LOGGER = logging.getLogger(__name__)

Row = Mapping[str, Any]

OLDEST_VERSION = 1


def _to_2(row: Row) -> Row:
    """Version 1 knew WFDB records only, and no code beyond SCP-ECG statements."""
    return {**row, "other_codes": "{}", "format": DEFAULT_FORMAT}


STEPS: Mapping[int, Callable[[Row], Row]] = MappingProxyType({1: _to_2})
"""Version -> what makes a row of it, without its signal, one of the next version."""


def migrate_row(row: Row, version: int) -> Row:
    """A row of an earlier version, without its signal, as one of this version."""
    for step in range(version, SCHEMA_VERSION):
        row = STEPS[step](row)
    return row


def migrate(shards: Location | Folder) -> Manifest:
    """Bring a finished folder of shards to this schema version, in place.

    The content digest becomes that of a fresh ingest of the same records. What is measured of the
    ECGs (`quality.parquet`) is taken on the stored signals, as the records are not read again.

    Args:
        shards: folder of an ingest, a path or a URL. One of this version is left as it is.

    Raises:
        DataError: there is no manifest (an ingest that did not end is no set to migrate), it is
            damaged or of a newer version, or a shard is not the manifest's.
    """
    folder = open_folder(shards)
    tree = read_json_object(folder, MANIFEST_NAME, hint="only a finished ingest can be migrated")
    version = tree.get("schema_version")
    if not (isinstance(version, int) and OLDEST_VERSION <= version < SCHEMA_VERSION):
        manifest = read_manifest(folder)  # this version, or an error that says what is wrong
        _remove_left_over(folder, manifest)
        return manifest
    plan, old = _described(tree, folder)
    new = tuple(_migrated(folder, plan, entry, version) for entry in old)
    part = Part(
        plan=plan,
        digest=content_digest(plan, new),
        accepted=sum(entry.rows for entry in new),
        rejected=sum(len(entry.rejected) for entry in new),
        sources=_sources(folder, new),
        shards=new,
    )
    if part.accepted + part.rejected != plan.listed:
        raise DataError(
            f"{folder.named(MANIFEST_NAME)}: listed: expected {plan.listed} records, "
            f"found {part.accepted} stored and {part.rejected} rejected"
        )
    manifest = build_manifest((part,), write_tables(folder, (part,)))
    write_plans(folder, [plan])
    write_manifest(folder, manifest)
    _remove_left_over(folder, manifest)
    LOGGER.info("%s: %d shards migrated from version %d", folder, len(new), version)
    return manifest


def migrated_name(name: str, version: int = SCHEMA_VERSION) -> str:
    """File name of a shard that was migrated to a version; that of an earlier one is replaced."""
    stem = re.sub(r"\.v[0-9]+$", "", name.removesuffix(".parquet"))
    return f"{stem}.v{version}.parquet"


def _described(tree: Mapping[str, Any], folder: Folder) -> tuple[PlanSummary, list[ShardEntry]]:
    """Plan and shards of a manifest of version 1, which knew one part only."""
    try:
        plan = PlanSummary.model_validate(tree.get("plan"))
        return plan, [ShardEntry.model_validate(entry) for entry in tree.get("shards", ())]
    except (ValidationError, TypeError) as error:
        fault = first_fault(error) if isinstance(error, ValidationError) else "shards"
        raise DataError(f"{folder.named(MANIFEST_NAME)}: {fault}: ingest anew") from None


def _migrated(folder: Folder, plan: PlanSummary, entry: ShardEntry, version: int) -> ShardEntry:
    """Write one shard in its new form beside the old one."""
    with folder.fetched(entry.name) as path:
        if not path.is_file() or file_sha256(path) != entry.sha256:
            raise DataError(
                f"{folder.named(entry.name)}: expected the manifest's sha256, found another: "
                "ingest anew"
            )
        table = pq.read_table(path)
    rows = [migrate_row(row, version) for row in table.drop_columns(["signal"]).to_pylist()]
    schema = shard_schema(plan.samples)
    labels = pa.Table.from_pylist(
        [dict(row) for row in rows], schema=pa.schema([f for f in schema if f.name != "signal"])
    )
    signals = table["signal"].cast(schema.field("signal").type)
    new = labels.append_column(schema.field("signal"), signals).cast(schema)
    receipt = Receipt(
        job=_earlier_job(table.schema),
        content_sha256=content_sha256(new),
        rejected=entry.rejected,
        quality=_quality(new, plan),
    )
    name = migrated_name(entry.name)
    with folder.placed(name) as temporary:
        write_table(new, receipt, temporary)
        return shard_entry(temporary, name, entry.split, new.num_rows, receipt)


def _quality(table: pa.Table, plan: PlanSummary) -> str:
    rows = []
    for stored_LT in stored_signals(table["signal"]):
        signal_LT = decode_signals(np.ascontiguousarray(stored_LT))
        rows.append(quality_row(Ecg(signal_LT, plan.sampling_rate), None))
    return quality_text(rows)


def _earlier_job(schema: pa.Schema) -> str:
    """What the shard's earlier receipt said, so that its origin can still be told."""
    text = (schema.metadata or {}).get(b"truelead.receipt", b"")
    found = re.search(rb'"job": ?"([0-9a-f]{64})"', text)
    return found[1].decode() if found else ""


def _sources(folder: Folder, shards: tuple[ShardEntry, ...]) -> tuple[str, ...]:
    found: set[str] = set()
    for entry in shards:
        found.update(read_columns(folder, entry, ["source"])["source"].to_pylist())
    return tuple(sorted(found))


def _remove_left_over(folder: Folder, manifest: Manifest) -> None:
    """Shards that the manifest does not name, after a migration that was stopped at its end."""
    kept = {entry.name for entry in manifest.shards}
    for name in folder.names():
        if is_shard(name) and name not in kept and migrated_name(name) in kept:
            folder.remove(name)
