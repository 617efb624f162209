"""How many shards a task writes; that all are written is for the ingest's own tests."""

from __future__ import annotations

import pytest

from truelead.data.shard_tasks import SHARDS_A_TASK, task_sizes


@pytest.mark.parametrize("workers", [1, 2, 7, 64])
@pytest.mark.parametrize("shards", [1, 2, 3, 38, 1000])
def test_every_shard_is_in_one_task_and_the_last_tasks_are_short(shards: int, workers: int) -> None:
    sizes = task_sizes(shards, workers)
    assert sum(sizes) == shards
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= 1
    assert max(sizes) <= SHARDS_A_TASK
    assert len(sizes) >= min(shards, workers), "no worker is left without work"


def test_no_shards_and_no_cpu_for_ray() -> None:
    assert task_sizes(0, 2) == []
    assert sum(task_sizes(5, 0)) == 5
