"""Measured intervals of the stored ECGs: a table of its own beside the shards.

A Ray Data job measures each ECG (`truelead.signal.delineation`) and leaves one file a shard in
`measurements/`; `measurements.parquet` joins them and is written last. Both carry the content
digest of what was measured and the version of the method, so that a killed job goes on where it
stopped, an append measures the new shards only, and a table of other shards is never read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from truelead.data.durable import durable_file
from truelead.data.ingest_progress import progress_bar
from truelead.data.manifest import Manifest, json_sha256, read_manifest
from truelead.data.ray_session import ensure_ray
from truelead.data.row_groups import damage_named
from truelead.data.schema import decode_signals, stored_signals
from truelead.errors import DataError
from truelead.signal.delineation import FEATURES, METHOD_VERSION, delineate, require_neurokit
from truelead.types import Ecg, Record

LOGGER = logging.getLogger(__name__)

TABLE_NAME = "measurements.parquet"
PARTS_FOLDER = "measurements"

_KEY = b"truelead.measurements"
_HINT = "run the stage measure"


def column_of(feature: str) -> str:
    """The table's column of a feature: "rr interval" stands in `rr_interval`."""
    return feature.replace(" ", "_")


TABLE_SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        *(pa.field(column_of(feature), pa.float64()) for feature in FEATURES),
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("beats", pa.int32(), nullable=False),
        pa.field("noise_millivolts", pa.float64()),
    ]
)
"""One row an ECG; a feature is null where it could not be measured, and `flags` say why."""


@dataclass(frozen=True)
class MeasurementSummary:
    """What a measurement job found.

    Attributes:
        records: measured ECGs.
        measured: feature -> ECGs that have a value of it.
        flags: flag -> ECGs that carry it.
        shards_measured: shards that were not found measured already.
    """

    records: int
    measured: Mapping[str, int]
    flags: Mapping[str, int]
    shards_measured: int


def measure(folder: str | Path, *, progress: bool = True) -> MeasurementSummary:
    """Measure every stored ECG, unless the folder holds the table of these very shards.

    Memory is bounded by the row groups under way. Columns are those of `TABLE_SCHEMA`.

    Args:
        folder: of the shards, visible from every node.
        progress: show a progress bar.

    Raises:
        DataError: there are no whole shards, or a file cannot be written.
        ConfigError: NeuroKit2 is not installed.
    """
    folder = Path(folder).absolute()
    manifest = read_manifest(folder)
    path = folder / TABLE_NAME
    if _key_of(path) == _table_key(manifest):
        return _summary(pq.read_table(path), 0)
    require_neurokit()
    (folder / PARTS_FOLDER).mkdir(exist_ok=True)
    written = _measure_shards(folder, manifest, progress)
    parts = [pq.read_table(folder / PARTS_FOLDER / entry.name) for entry in manifest.shards]
    table = pa.concat_tables([part.cast(TABLE_SCHEMA) for part in parts])
    if table.num_rows != manifest.accepted:
        raise DataError(f"{path}: expected {manifest.accepted} rows, found {table.num_rows}")
    _write(path, table, _table_key(manifest))
    LOGGER.info("%s: %d shards measured, %d kept", folder, written, len(parts) - written)
    return _summary(table, written)


def measurement_digest(folder: str | Path) -> str:
    """Digest of the shards' content and the method: what the measurements depend on.

    Raises:
        DataError: see `read_manifest`.
    """
    return _table_key(read_manifest(folder)).decode()


def with_measurements(records: Sequence[Record], folder: str | Path) -> list[Record]:
    """The records with what was measured in their ECGs.

    Args:
        records: of the store in `folder`.

    Raises:
        DataError: there is no table of these shards by this method, or a record is not in it.
    """
    found = read_measurements(folder)
    for record in records:
        if record.record_id not in found:
            raise DataError(
                f"{Path(folder) / TABLE_NAME}: expected all stored records, "
                f"found no {record.record_id!r}: {_HINT}"
            )
    return [replace(record, measurements=found[record.record_id]) for record in records]


def read_measurements(folder: str | Path) -> dict[str, Mapping[str, float]]:
    """record_id -> feature -> value (ms, heart rate in beats a minute); absent: not measurable.

    Raises:
        DataError: there is no table, it is damaged, or it is of other shards or another method.
    """
    path = Path(folder) / TABLE_NAME
    if not path.is_file():
        raise DataError(f"{path}: expected this file, found none: {_HINT}")
    with damage_named(path):
        table = pq.read_table(path)
    if (table.schema.metadata or {}).get(_KEY) != measurement_digest(folder).encode():
        raise DataError(
            f"{path}: expected measurements of these shards by method {METHOD_VERSION}, "
            f"found others: {_HINT}"
        )
    columns = {feature: table[column_of(feature)].to_pylist() for feature in FEATURES}
    return {
        record_id: MappingProxyType(
            {feature: values[row] for feature, values in columns.items() if values[row] is not None}
        )
        for row, record_id in enumerate(table["record_id"].to_pylist())
    }


def measure_shard_row(row: dict[str, Any]) -> dict[str, Any]:
    """One shard, as a row function of Ray Data: its file is written unless it is there."""
    path = Path(row["folder"]) / PARTS_FOLDER / row["name"]
    found = {"name": row["name"], "rows": row["rows"], "written": False, "fault": ""}
    if _key_of(path) == row["key"].encode():
        return found
    try:
        _write(path, _measured(Path(row["folder"]) / row["name"], row["rate"]), row["key"].encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return {**found, "fault": f"{path}: expected to write this file: {reason}"}
    except DataError as error:
        return {**found, "fault": str(error)}
    return {**found, "written": True}


def _measure_shards(folder: Path, manifest: Manifest, progress: bool) -> int:
    written = 0
    names = set()
    with progress_bar(disable=not progress) as bar:
        task = bar.add_task("measure", total=manifest.accepted)
        for row in _shard_rows(folder, manifest):
            if row["fault"]:
                raise DataError(row["fault"])
            names.add(row["name"])
            written += bool(row["written"])
            bar.advance(task, row["rows"])
    for entry in manifest.shards:
        if entry.name not in names or not (folder / PARTS_FOLDER / entry.name).is_file():
            raise DataError(
                f"{folder / PARTS_FOLDER / entry.name}: expected a folder that every node shares, "
                "file not found"
            )
    return written


def _shard_rows(folder: Path, manifest: Manifest) -> Iterator[dict[str, Any]]:
    if not manifest.shards:
        return
    ensure_ray()
    import ray.data

    items = [
        {
            "name": entry.name,
            "rows": entry.rows,
            "rate": manifest.sampling_rate,
            "key": _shard_key(entry.content_sha256),
            "folder": str(folder),
        }
        for entry in manifest.shards
    ]
    # One block a shard: a shard is the unit of work, of retry and of progress.
    shards = ray.data.from_items(items, override_num_blocks=len(items)).map(measure_shard_row)
    shards.context.enable_progress_bars = False
    yield from shards.iter_rows()


def _measured(shard: Path, sampling_rate: float) -> pa.Table:
    """The measurements of one shard, read a row group at a time."""
    rows: list[dict[str, Any]] = []
    with damage_named(shard):
        file = pq.ParquetFile(shard)
        for group in range(file.metadata.num_row_groups):
            table = file.read_row_group(group, columns=["record_id", "signal"])
            signal_NLT = decode_signals(stored_signals(table["signal"]))
            names = table["record_id"].to_pylist()
            for record_id, signal_LT in zip(names, signal_NLT, strict=True):
                rows.append(_row(Ecg(signal_LT, sampling_rate, record_id=record_id)))
    return pa.Table.from_pylist(rows, schema=TABLE_SCHEMA)


def _row(ecg: Ecg) -> dict[str, Any]:
    found = delineate(ecg)
    return {
        "record_id": ecg.record_id,
        **{column_of(feature): found.values.get(feature) for feature in FEATURES},
        "flags": list(found.flags),
        "beats": found.beats,
        "noise_millivolts": found.noise,
    }


def _write(path: Path, table: pa.Table, key: bytes) -> None:
    with durable_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_KEY: key}), temporary)


def _key_of(path: Path) -> bytes | None:
    """The key of a whole file, None where there is none or it is damaged."""
    try:
        metadata = pq.read_table(path).schema.metadata or {}
    except (pa.ArrowException, OSError):
        return None
    key: bytes | None = metadata.get(_KEY)
    return key


def _shard_key(content_sha256: str) -> str:
    return json_sha256({"method": METHOD_VERSION, "content": content_sha256})


def _table_key(manifest: Manifest) -> bytes:
    shards = [[entry.name, entry.content_sha256] for entry in manifest.shards]
    return json_sha256({"method": METHOD_VERSION, "shards": shards}).encode()


def _summary(table: pa.Table, written: int) -> MeasurementSummary:
    flags: dict[str, int] = {}
    for row in table["flags"].to_pylist():
        for flag in row:
            flags[flag] = flags.get(flag, 0) + 1
    measured = {f: len(table) - table[column_of(f)].null_count for f in FEATURES}
    return MeasurementSummary(len(table), measured, dict(sorted(flags.items())), written)
