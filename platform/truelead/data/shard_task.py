"""One shard as a row function of Ray Data, wherever the records and the shards lie.

From a remote set the files of each record are fetched into a folder of the task; a shard for a
remote folder is written there first and then put in its place in one step.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from truelead.data.manifest import ShardEntry
from truelead.data.plan import ShardJob
from truelead.data.remote_records import fetch_record
from truelead.data.shards import ensure_shard, read_entry, write_shard
from truelead.data.storage import Folder
from truelead.errors import RecordError

FETCHES_AT_ONCE = 8
"""Records whose files a task fetches at a time: small files wait for the network, not for us."""


def write_shard_row(row: dict[str, Any], root: Folder, folder: Folder) -> dict[str, Any]:
    """Job in, entry out, or the fault that stopped it."""
    job = ShardJob.from_json(row["job"])
    try:
        entry, written = ensure_shard_in(job, root, folder)
    except OSError as error:
        # A full or read-only disk is for the user to mend; Ray would wrap it in its own traceback.
        fault = f"{folder.named(job.name)}: expected to write this shard: {error.strerror or error}"
        return {"entry": "", "written": False, "fault": fault}
    return {"entry": entry.model_dump_json(), "written": written, "fault": ""}


def ensure_shard_in(job: ShardJob, root: Folder, folder: Folder) -> tuple[ShardEntry, bool]:
    """The shard of this job in a folder that lies anywhere, and whether it had to be written.

    Raises:
        OSError: a file cannot be fetched for another reason than that it is not there, or the
            shard cannot be written.
    """
    if root.local is not None and folder.local is not None:
        return ensure_shard(job, root.local, folder.local)
    with tempfile.TemporaryDirectory(prefix="truelead_") as scratch:
        here = Path(scratch, "shards")
        here.mkdir()
        if (entry := _found(job, folder, here)) is not None:
            return entry, False
        records, faults = root.local, {}
        if records is None:
            records = Path(scratch, "records")
            faults = _fetch(job, root, records)
        if folder.local is not None:
            return write_shard(job, records, folder.local, faults), True
        entry = write_shard(job, records, here, faults)
        with folder.placed(job.name) as temporary:
            (here / job.name).rename(temporary)
        return entry, True


def _found(job: ShardJob, folder: Folder, scratch: Path) -> ShardEntry | None:
    """The entry of the job's shard, where a valid one is there."""
    if folder.size(job.name) is None:
        return None
    if folder.local is not None:
        return read_entry(folder.local / job.name, job)
    folder.fetch(job.name, scratch / job.name)
    return read_entry(scratch / job.name, job)


def _fetch(job: ShardJob, root: Folder, target: Path) -> dict[str, RecordError]:
    """Fetch the files of the job's records; path -> why a record was not fetched."""
    target.mkdir()
    faults: dict[str, RecordError] = {}
    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        paths = dict.fromkeys(record.path for record in job.records)
        fetches = {path: pool.submit(fetch_record, root, path, target) for path in paths}
        for path, fetch in fetches.items():
            try:
                fetch.result()
            except RecordError as error:
                faults[path] = error
    return faults
