"""Records of a set to Parquet shards with Ray Data: resumable, nothing lost, nothing twice.

A folder grows by parts: each append adds shards and leaves those of the earlier parts alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from truelead.config import DataConfig
from truelead.data.closing import TABLES, build_manifest, write_tables
from truelead.data.durable import TEMPORARY_SUFFIX
from truelead.data.ingest_progress import progress_bar
from truelead.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Part,
    PlanSummary,
    ShardEntry,
    content_digest,
    write_manifest,
)
from truelead.data.parts import (
    OTHER_FOLDER,
    PLAN_NAME,
    check_agreement,
    complete,
    damaged_parts,
    finished_parts,
    read_held,
    read_plans,
    write_plans,
)
from truelead.data.plan import Plan, check_patients, is_shard, make_plan, patient_key
from truelead.data.ray_session import ensure_ray
from truelead.data.shard_tasks import shard_rows
from truelead.data.storage import Folder, Location, open_folder
from truelead.errors import DataError
from truelead.types import Record

LOGGER = logging.getLogger(__name__)

_STORED_FORM = ("sampling_rate", "duration_seconds", "samples")
"""What all parts of a folder share."""

_OTHER_FORM = "choose another folder"


def ingest(
    records: Sequence[Record],
    root: Location | Folder,
    output: Location | Folder,
    data: DataConfig,
    *,
    resume: bool = True,
    overwrite: bool = False,
    append: bool = False,
    progress: bool = True,
) -> Manifest:
    """Store the records' ECGs at `data.sampling_rate` and `data.duration_seconds` as shards.

    Each shard is a task of Ray Data that writes its file in one step; memory is bounded by the
    shards under way. Records that cannot be read or stored are listed with their reasons in
    `rejected.parquet`. The manifest is written last.

    Args:
        records: the listed records; their paths are below `root`.
        root: folder of the set, a path or a URL of fsspec, visible from every node.
        output: folder of the shards, a path or a URL, visible from every node; made if needed.
        data: rate, duration and shard size are used here.
        resume: keep the valid shards of an earlier ingest of the same records and settings;
            False wants an empty folder.
        overwrite: remove an earlier ingest from the folder first, whatever it holds; with
            `append`, only an append that did not end. Files that no ingest wrote are never
            removed.
        append: add the records that the folder does not hold yet as a further part; the shards
            that are there stay as they are, and the old manifest holds until the new one stands.
        progress: show a progress bar.

    Raises:
        DataError: see `make_plan`; the folder holds another ingest; an appended record stands in
            the folder with other labels, or its patient in another split; a shard cannot be
            written; the counts do not add up.
    """
    source, target = open_folder(root), open_folder(output)
    if not source.exists():
        raise DataError(f"{source}: expected the set's folder, found none")
    plan = make_plan(records, data)
    if overwrite and not append and PLAN_NAME in target.names():
        _remove_earlier(target)
        plans: tuple[PlanSummary, ...] = ()
    else:
        plans = read_plans(target)
    manifest = finished_parts(target) if plans else None
    adds = append and manifest is not None
    if plans and not resume and not adds:
        raise DataError(f"{target}: expected an empty folder, found an earlier ingest")
    if manifest is not None and (adds or len(manifest.parts) > 1):
        check_agreement(
            target, plan.summary, manifest.parts[0].plan, names=_STORED_FORM, hint=_OTHER_FORM
        )
        if damaged := damaged_parts(target, manifest):
            return _repair(damaged, manifest, records, source, target, data, progress)
        if adds:
            return _append(manifest, plans, records, source, target, data, overwrite, progress)
        return _several_parts(manifest, records, target)
    if plans:
        again = make_plan(records, data, schema_version=plans[0].schema_version).summary
        check_agreement(
            target, again, plans[0], names=PlanSummary.model_fields, hint=_hint(manifest)
        )
        if manifest is not None and complete(target) and not damaged_parts(target, manifest):
            return manifest
    target.make()
    # Whoever finds a manifest may trust the folder: it goes before the first shard changes.
    target.remove(MANIFEST_NAME)
    write_plans(target, [plan.summary])
    return _write_part(plan, 0, (), source, target, progress)


def _append(
    manifest: Manifest,
    plans: tuple[PlanSummary, ...],
    records: Sequence[Record],
    root: Folder,
    output: Folder,
    data: DataConfig,
    overwrite: bool,
    progress: bool,
) -> Manifest:
    """Add what is new of the records behind the parts, all of them whole."""
    held = read_held(output, manifest)
    fresh = held.without(records)
    if not fresh:
        return manifest
    check_patients([*held.patient_keys(), *map(patient_key, fresh)])
    number = len(manifest.parts)
    plan = make_plan(fresh, data, part=number, first_position=manifest.listed)
    if len(plans) > number and not overwrite:
        check_agreement(
            output,
            plan.summary,
            plans[number],
            names=PlanSummary.model_fields,
            hint="finish the append that was begun, or give it up with --append --overwrite",
        )
    write_plans(output, [*(part.plan for part in manifest.parts), plan.summary])
    return _write_part(plan, number, manifest.parts, root, output, progress)


def _several_parts(manifest: Manifest, records: Sequence[Record], output: Folder) -> Manifest:
    """A folder that was appended to: it holds the records, or says what is missing."""
    fresh = read_held(output, manifest).without(records)
    if fresh:
        raise DataError(
            f"{output}: listed: expected records that the folder holds, found {len(fresh)} others: "
            f"add them with --append, {OTHER_FOLDER}"
        )
    if not complete(output):
        write_tables(output, manifest.parts)
    return manifest


def _repair(
    damaged: Sequence[int],
    manifest: Manifest,
    records: Sequence[Record],
    root: Folder,
    output: Folder,
    data: DataConfig,
    progress: bool,
) -> Manifest:
    """Write the damaged shards of one part anew, out of the records that no other part holds."""
    number, hint = damaged[0], "ingest the records of that part again, or overwrite the folder"
    if len(damaged) > 1:
        raise DataError(
            f"{output}: expected damage in one part, found it in {len(damaged)}: "
            "overwrite the folder"
        )
    before = manifest.parts[:number]
    missing = read_held(output, manifest, leave_out=number).without(records)
    place = {
        "part": number,
        "first_position": sum(part.plan.listed for part in before),
    }
    earlier = manifest.parts[number].plan
    if not missing:
        raise DataError(f"{output}: part {number}: expected whole shards, found damage: {hint}")
    again = make_plan(missing, data, **place, schema_version=earlier.schema_version)
    check_agreement(output, again.summary, earlier, names=PlanSummary.model_fields, hint=hint)
    plan = make_plan(missing, data, **place)
    others = (*before, *manifest.parts[number + 1 :])
    _remove_strays(output, {entry.name for part in others for entry in part.shards}, plan)
    # The manifest stays: what it says of the other parts holds, and the store refuses this one.
    part = _shards_of(plan, root, output, progress)
    return _close(output, (*before, part, *manifest.parts[number + 1 :]))


def _hint(manifest: Manifest | None) -> str:
    more = ", or add what is new with --append" if manifest is not None else ""
    return f"{OTHER_FOLDER}{more}"


def _write_part(
    plan: Plan,
    number: int,
    before: tuple[Part, ...],
    root: Folder,
    output: Folder,
    progress: bool,
) -> Manifest:
    _remove_strays(output, {entry.name for part in before for entry in part.shards}, plan)
    return _close(output, (*before, _shards_of(plan, root, output, progress)))


def _close(output: Folder, parts: tuple[Part, ...]) -> Manifest:
    """Write what stands beside the shards, the manifest last."""
    manifest = build_manifest(parts, write_tables(output, parts))
    write_plans(output, [part.plan for part in parts])
    write_manifest(output, manifest)
    return manifest


def _shards_of(plan: Plan, root: Folder, output: Folder, progress: bool) -> Part:
    entries = _write_shards(plan, root, output, progress)
    accepted = sum(entry.rows for entry in entries)
    rejected = sum(len(entry.rejected) for entry in entries)
    if accepted + rejected != plan.summary.listed:
        raise DataError(
            f"ingest: expected {plan.summary.listed} records, "
            f"found {accepted} stored and {rejected} rejected"
        )
    return Part(
        plan=plan.summary,
        digest=content_digest(plan.summary, entries),
        accepted=accepted,
        rejected=rejected,
        sources=tuple(sorted({record.source for job in plan.jobs for record in job.records})),
        shards=entries,
    )


def _write_shards(
    plan: Plan, root: Folder, output: Folder, progress: bool
) -> tuple[ShardEntry, ...]:
    by_name: dict[str, ShardEntry] = {}
    written = 0
    with progress_bar(disable=not progress) as bar:
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
        if output.size(name) != entry.bytes:
            raise DataError(
                f"{output.named(name)}: expected a folder that every node shares, shard not found"
            )
    return tuple(by_name[job.name] for job in plan.jobs)


def _shard_rows(plan: Plan, root: Folder, output: Folder) -> Iterator[dict[str, Any]]:
    ensure_ray()
    return shard_rows([job.to_json() for job in plan.jobs], root, output)


def _remove_earlier(output: Folder) -> None:
    """Remove an ingest's files; its plan, which `write_plans` replaces, still claims the folder."""
    output.remove(MANIFEST_NAME)
    for name in output.names():
        if is_shard(name) or name in TABLES:
            output.remove(name)


def _remove_strays(output: Folder, kept: set[str], plan: Plan) -> None:
    """Shards that no part has, and what a killed ingest left half written."""
    expected = kept | {job.name for job in plan.jobs}
    for name in output.names():
        half_written = name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)
        if half_written or (is_shard(name) and name not in expected):
            output.remove(name)
