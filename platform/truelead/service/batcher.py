"""Dynamic batching: what arrives together is worked on together, within bounds of time and tokens.

A batch begins when the one before it is done and `wait_seconds` have passed since its first item
came, or earlier when it is full or nobody else is coming. While a batch is worked on, the next one
fills: under load nobody waits for the clock. Items keep the order in which they came.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from truelead.errors import ServiceError

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True)
class BatchBounds:
    """How large a batch may be, and how long it may wait.

    Attributes:
        size: items at most.
        tokens: of all items together at most; an item with more is alone in its batch.
        wait_seconds: how long the first item waits for others.
        at_once: batches that are worked on at the same time.
        waiting: items that may wait; more are refused.
    """

    size: int = 16
    tokens: int = 1 << 30
    wait_seconds: float = 0.005
    at_once: int = 1
    waiting: int = 1 << 30


@dataclass
class _Waiting(Generic[Item, Found]):
    item: Item
    tokens: int
    since: float
    done: asyncio.Future[Found]


class Batcher(Generic[Item, Found]):
    """Collects items of one event loop into batches.

    Args:
        work: gives as many results as it gets items, in their order.
        bounds: of the batches.
        tokens_of: cost of an item.
        coming: further items that are known to be on their way; None: nobody knows.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Found]]],
        bounds: BatchBounds,
        tokens_of: Callable[[Item], int] = lambda _: 1,
        coming: Callable[[], int] | None = None,
    ) -> None:
        self._work = work
        self._bounds = bounds
        self._tokens_of = tokens_of
        self._coming = coming
        self._queue: deque[_Waiting[Item, Found]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._gathering: asyncio.Task[None] | None = None
        self._no_wait = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Items that no batch has taken yet."""
        return len(self._queue)

    async def __call__(self, item: Item) -> Found:
        """The result of one item, found together with those that came with it.

        Raises:
            ServiceError: 429, too many wait.
            Exception: what `work` raised for its batch.
        """
        if len(self._queue) >= self._bounds.waiting:
            raise ServiceError("model: too many questions wait", status=429)
        done: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(item, self._tokens_of(item), time.monotonic(), done))
        if self._is_complete():
            self._no_wait.set()
        self._next()
        # Who gives up cancels the future; a batch that has not begun then leaves the item out.
        return await done

    def _is_complete(self) -> bool:
        if self._coming is not None and self._coming() == 0:
            return True
        if len(self._queue) >= self._bounds.size:
            return True
        return sum(one.tokens for one in self._queue) >= self._bounds.tokens

    def _next(self) -> None:
        """Start to gather a batch unless one gathers, or enough are worked on."""
        if self._gathering is None and self._queue and len(self._running) < self._bounds.at_once:
            self._gathering = asyncio.create_task(self._gather())

    async def _gather(self) -> None:
        left = self._queue[0].since + self._bounds.wait_seconds - time.monotonic()
        if left > 0 and not self._is_complete():
            self._no_wait.clear()
            try:
                async with asyncio.timeout(left):
                    await self._no_wait.wait()
            except TimeoutError:
                pass
        batch = self._take()
        self._gathering = None
        if batch:
            task = asyncio.create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._ended)
        self._next()

    def _take(self) -> list[_Waiting[Item, Found]]:
        batch: list[_Waiting[Item, Found]] = []
        tokens = 0
        while self._queue and len(batch) < self._bounds.size:
            first = self._queue[0]
            if first.done.done():
                self._queue.popleft()
                continue
            if batch and tokens + first.tokens > self._bounds.tokens:
                break
            batch.append(self._queue.popleft())
            tokens += first.tokens
        return batch

    async def _run(self, batch: list[_Waiting[Item, Found]]) -> None:
        try:
            found = await self._work([one.item for one in batch])
            assert len(found) == len(batch), "one result an item"
        except Exception as error:  # noqa: BLE001  # each of the batch is told
            for one in batch:
                if not one.done.done():
                    one.done.set_exception(error)
            return
        for one, result in zip(batch, found, strict=True):
            if not one.done.done():
                one.done.set_result(result)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._next()
