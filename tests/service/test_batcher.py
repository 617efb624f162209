"""Batches are bounded in size, tokens and time; order is kept and nobody is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from truelead.errors import ServiceError
from truelead.service.batcher import BatchBounds, Batcher


class Work:
    """Doubles numbers, some at a time, and remembers the batches."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.batches: list[list[int]] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        if 13 in items:
            raise ServiceError("unlucky", status=500)
        return [2 * item for item in items]


def run(work: Work, items: list[int], bounds: BatchBounds) -> list[object]:
    async def together() -> list[object]:
        batcher = Batcher(work, bounds, tokens_of=lambda item: item)
        return await asyncio.gather(*map(batcher, items), return_exceptions=True)

    return asyncio.run(together())


def test_items_come_back_in_order_within_the_size() -> None:
    work = Work()
    assert run(work, [1, 2, 3, 4, 5], BatchBounds(size=2)) == [2, 4, 6, 8, 10]
    assert work.batches == [[1, 2], [3, 4], [5]]
    assert work.most_at_once == 1


def test_tokens_bound_a_batch_and_a_large_item_is_alone() -> None:
    work = Work()
    run(work, [4, 4, 4, 20, 1], BatchBounds(size=9, tokens=10))
    assert work.batches == [[4, 4], [4], [20], [1]]


def test_a_batch_waits_for_its_time_and_no_longer_once_it_is_full() -> None:
    async def late() -> tuple[list[list[int]], float]:
        work = Work(0.0)
        batcher = Batcher(work, BatchBounds(size=3, wait_seconds=0.2))
        first = asyncio.create_task(batcher(1))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(batcher(2))
        await asyncio.gather(first, second)
        begun = time.monotonic()
        await asyncio.gather(*map(batcher, (3, 4, 5)))
        return work.batches, time.monotonic() - begun

    batches, seconds = asyncio.run(late())
    assert batches == [[1, 2], [3, 4, 5]]
    assert seconds < 0.15


def test_several_batches_at_once() -> None:
    work = Work()
    run(work, list(range(1, 9)), BatchBounds(size=2, at_once=3))
    assert work.most_at_once == 3


def test_an_error_is_that_of_its_batch_alone() -> None:
    work = Work()
    found = run(work, [1, 13, 3, 4], BatchBounds(size=2))
    assert [str(one) if isinstance(one, ServiceError) else one for one in found] == [
        "unlucky",
        "unlucky",
        6,
        8,
    ]


def test_who_has_left_is_not_worked_for() -> None:
    async def leave() -> list[list[int]]:
        work = Work(0.05)
        batcher = Batcher(work, BatchBounds(size=1, wait_seconds=0.0))
        first = asyncio.create_task(batcher(1))
        second = asyncio.create_task(batcher(2))
        third = asyncio.create_task(batcher(3))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.gather(first, third)
        return work.batches

    assert asyncio.run(leave()) == [[1], [3]]


def test_too_many_waiting_are_refused() -> None:
    found = run(Work(), list(range(1, 7)), BatchBounds(size=1, waiting=4))
    refused = [one for one in found if isinstance(one, ServiceError)]
    assert [one.status for one in refused] == [429, 429]
    with pytest.raises(ServiceError, match="too many"):
        raise refused[0]


def test_nobody_is_waited_for_when_nobody_else_is_coming() -> None:
    async def alone(coming: int) -> float:
        batcher = Batcher(Work(0.0), BatchBounds(wait_seconds=0.3), coming=lambda: coming)
        begun = time.monotonic()
        await batcher(1)
        return time.monotonic() - begun

    assert asyncio.run(alone(0)) < 0.2
    assert asyncio.run(alone(1)) >= 0.3


def test_the_last_one_who_comes_sends_off_those_who_wait() -> None:
    async def company() -> tuple[list[list[int]], float]:
        work, coming = Work(0.0), [1]
        batcher = Batcher(work, BatchBounds(wait_seconds=5.0), coming=lambda: coming[0])
        first = asyncio.create_task(batcher(1))
        await asyncio.sleep(0.02)
        coming[0] = 0
        begun = time.monotonic()
        await asyncio.gather(first, batcher(2))
        return work.batches, time.monotonic() - begun

    batches, seconds = asyncio.run(company())
    assert batches == [[1, 2]]
    assert seconds < 2.0
