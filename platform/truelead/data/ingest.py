"""Records of a set to Parquet shards with Ray Data: resumable, nothing lost, nothing twice."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from truelead.config import DataConfig
from truelead.data.durable import TEMPORARY_SUFFIX, durable_file, file_sha256
from truelead.data.manifest import (
    MANIFEST_NAME,
    REJECTED_NAME,
    Manifest,
    RejectedRecord,
    ShardEntry,
    SplitCount,
    content_digest,
    read_manifest,
    write_manifest,
)
from truelead.data.plan import (
    PLAN_NAME,
    SPLITS,
    Plan,
    ShardJob,
    agree_with_folder,
    make_plan,
    patients_by_split,
    write_plan,
)
from truelead.data.ray_session import ensure_ray
from truelead.data.schema import SCHEMA_VERSION
from truelead.errors import DataError
from truelead.types import Record

LOGGER = logging.getLogger(__name__)

_LIBRARIES = ("truelead", "numpy", "scipy", "wfdb", "pyarrow", "ray")


def ingest(
    records: Sequence[Record],
    root: str | Path,
    output: str | Path,
    data: DataConfig,
    *,
    resume: bool = True,
    overwrite: bool = False,
    progress: bool = True,
) -> Manifest:
    """Store the records' ECGs at `data.sampling_rate` and `data.duration_seconds` as shards.

    Each shard is a task of Ray Data that writes its file in one step; memory is bounded by the
    shards under way. Records that cannot be read or stored are listed with their reasons in
    `rejected.parquet`. The manifest is written last.

    Args:
        records: the listed records; their paths are below `root`.
        root: folder of the set, visible from every node.
        output: folder of the shards, visible from every node; made if needed.
        data: rate, duration and shard size are used here.
        resume: keep the valid shards of an earlier ingest of the same records and settings;
            False wants an empty folder.
        overwrite: remove an earlier ingest from the folder first, whatever it holds. Files that
            no ingest wrote are never removed.
        progress: show a progress bar.

    Raises:
        DataError: see `make_plan`; the folder holds another ingest; a shard cannot be written;
            the counts do not add up.
    """
    root, output = Path(root).absolute(), Path(output).absolute()
    if not root.is_dir():
        raise DataError(f"{root}: expected the set's folder, found none")
    plan = make_plan(records, data)
    if overwrite and (output / PLAN_NAME).exists():
        _remove_earlier(output)
    elif agree_with_folder(output, plan.summary):
        if not resume:
            raise DataError(f"{output}: expected an empty folder, found an earlier ingest")
        if (manifest := _finished(output)) is not None:
            return manifest
    output.mkdir(parents=True, exist_ok=True)
    # Whoever finds a manifest may trust the folder: it goes before the first shard changes.
    (output / MANIFEST_NAME).unlink(missing_ok=True)
    write_plan(output, plan.summary)
    _remove_strays(output, plan)
    entries = _write_shards(plan, root, output, progress)
    manifest = _manifest(plan, entries, records)
    _write_rejected(output, manifest)
    write_manifest(output, manifest)
    return manifest


def write_shard_row(row: dict[str, Any]) -> dict[str, Any]:
    """One shard, as a row function of Ray Data: job in, entry out, or the fault that stopped it."""
    from truelead.data.shards import ensure_shard

    job = ShardJob.from_json(row["job"])
    try:
        entry, written = ensure_shard(job, Path(row["root"]), Path(row["folder"]))
    except OSError as error:
        # A full or read-only disk is for the user to mend; Ray would wrap it in its own traceback.
        fault = (
            f"{row['folder']}/{job.name}: expected to write this shard: {error.strerror or error}"
        )
        return {"entry": "", "written": False, "fault": fault}
    return {"entry": entry.model_dump_json(), "written": written, "fault": ""}


def _write_shards(plan: Plan, root: Path, output: Path, progress: bool) -> tuple[ShardEntry, ...]:
    by_name: dict[str, ShardEntry] = {}
    written = 0
    with _progress_bar(disable=not progress) as bar:
        task = bar.add_task("ingest", total=plan.summary.listed)
        for row in _shard_rows(plan, root, output):
            if row["fault"]:
                raise DataError(row["fault"])
            entry = ShardEntry.model_validate_json(row["entry"])
            by_name[entry.name] = entry
            written += bool(row["written"])
            bar.advance(task, entry.rows + len(entry.rejected))
    if set(by_name) != {job.name for job in plan.jobs}:
        raise DataError(f"{output}: expected {len(plan.jobs)} shards, found {len(by_name)}")
    LOGGER.info("%s: %d shards written, %d kept", output, written, len(plan.jobs) - written)
    for name, entry in by_name.items():
        file = output / name
        if not file.is_file() or file.stat().st_size != entry.bytes:
            raise DataError(f"{file}: expected a folder that every node shares, shard not found")
    return tuple(by_name[job.name] for job in plan.jobs)


def _shard_rows(plan: Plan, root: Path, output: Path) -> Iterator[dict[str, Any]]:
    ensure_ray()
    import ray.data

    items = [{"job": job.to_json(), "root": str(root), "folder": str(output)} for job in plan.jobs]
    # One block a shard: a shard is the unit of work, of retry and of progress.
    shards = ray.data.from_items(items, override_num_blocks=len(items)).map(write_shard_row)
    shards.context.enable_progress_bars = False
    rows: Iterator[dict[str, Any]] = shards.iter_rows()
    return rows


def _manifest(plan: Plan, entries: tuple[ShardEntry, ...], records: Sequence[Record]) -> Manifest:
    rejected = [record for entry in entries for record in entry.rejected]
    accepted = sum(entry.rows for entry in entries)
    if accepted + len(rejected) != plan.summary.listed:
        raise DataError(
            f"ingest: expected {plan.summary.listed} records, "
            f"found {accepted} stored and {len(rejected)} rejected"
        )
    lost = {record.position for record in rejected}
    patients = patients_by_split(r for i, r in enumerate(records) if i not in lost)
    rows = Counter[str]()
    for entry in entries:
        rows[entry.split] += entry.rows
    return Manifest(
        schema_version=SCHEMA_VERSION,
        digest=content_digest(plan.summary, entries),
        plan=plan.summary,
        accepted=accepted,
        rejected=len(rejected),
        rejected_by_reason=dict(sorted(Counter(record.reason for record in rejected).items())),
        splits={
            split: SplitCount(records=rows[split], patients=len(patients.get(split, ())))
            for split in SPLITS
            if split in rows
        },
        shards=entries,
        versions={name: version(name) for name in _LIBRARIES},
    )


def _write_rejected(output: Path, manifest: Manifest) -> None:
    fields = {name: pa.string() for name in RejectedRecord.model_fields}
    schema = pa.schema({**fields, "position": pa.int64()})
    rows = [record.model_dump() for entry in manifest.shards for record in entry.rejected]
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["position"]), schema=schema)
    with durable_file(output / REJECTED_NAME) as temporary:
        pq.write_table(table, temporary)


def _finished(output: Path) -> Manifest | None:
    """The manifest of a whole and undamaged folder, without starting Ray."""
    if not (output / MANIFEST_NAME).exists():
        return None
    manifest = read_manifest(output)
    whole = (output / REJECTED_NAME).is_file() and all(
        (output / entry.name).is_file() and file_sha256(output / entry.name) == entry.sha256
        for entry in manifest.shards
    )
    return manifest if whole else None


def _remove_earlier(output: Path) -> None:
    """Remove an ingest's files; its plan, which `write_plan` replaces, still claims the folder."""
    for pattern in (MANIFEST_NAME, REJECTED_NAME, *(f"{split}-*.parquet" for split in SPLITS)):
        for file in output.glob(pattern):
            file.unlink()


def _remove_strays(output: Path, plan: Plan) -> None:
    """Shards that this plan does not have, and what a killed ingest left half written."""
    expected = {job.name for job in plan.jobs}
    for split in SPLITS:
        for file in output.glob(f"{split}-*.parquet"):
            if file.name not in expected:
                file.unlink()
    for file in output.glob(f".*{TEMPORARY_SUFFIX}"):
        file.unlink(missing_ok=True)


class _Rate(TextColumn):
    """Records a second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} records/s")


def _progress_bar(*, disable: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        disable=disable,
    )
