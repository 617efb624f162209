"""The shards of an ingest as tasks of Ray Data, sized so that no worker waits for its next one.

Ray Data hands out a task about 0.15 s after another has ended: as long as a shard takes to write.
A task is therefore several shards, fewer towards the end, so that all workers end together
(guided self-scheduling: Polychronopoulos & Kuck, IEEE Trans. Computers C-36 (1987) 1425). Each
shard still comes back by itself, and after a crash the finished ones of a task are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from truelead.data.shard_task import write_shard_row
from truelead.data.storage import Folder

SHARDS_A_TASK = 16
"""At most; what a crashed worker reads again to see that it is whole."""


def shard_rows(jobs: Sequence[str], root: Folder, output: Folder) -> Iterator[dict[str, Any]]:
    """One row a job, as `write_shard_row` gives it, in the order in which they end.

    Args:
        jobs: `ShardJob.to_json` of each; Ray is running.
    """
    import ray
    import ray.data

    workers = int(ray.cluster_resources().get("CPU", 1))
    sizes = task_sizes(len(jobs), workers)
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    shards = ray.data.from_blocks(
        [_block(jobs[start : start + size]) for start, size in zip(starts, sizes, strict=True)]
    ).map(partial(write_shard_row, root=root, folder=output))
    shards.context.enable_progress_bars = False
    # A block is handed on as soon as it is larger than this: with every row.
    shards.context.target_max_block_size = 1
    rows: Iterator[dict[str, Any]] = shards.iter_rows()
    return rows


def task_sizes(shards: int, workers: int) -> list[int]:
    """How many shards each task writes: half an equal share of what is left, down to one."""
    sizes: list[int] = []
    while shards:
        size = min(SHARDS_A_TASK, -(-shards // (2 * max(1, workers))))
        sizes.append(size)
        shards -= size
    return sizes


def _block(jobs: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.table({"job": pa.array(jobs, pa.string())})
