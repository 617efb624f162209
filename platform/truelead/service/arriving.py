"""Requests on their way to the batcher: it waits for company only while some are coming.

Reading a request (its text, its ECGs, their rate) is work of one core, so they are read a few at a
time in the order in which they came: the model begins with the first ones while the others are
read. Read all at once they would all be ready at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

READERS = 2
"""Requests that are read at the same time."""

READ_BESIDE_BYTES = 2**20
"""Larger bodies wait for no turn, and nobody waits for them."""


class Arriving:
    """The requests of one process that have come in and not reached the model's batcher yet.

    Several event loops may share it: adding and removing are single operations on a set, and each
    loop has turns of its own.
    """

    def __init__(self) -> None:
        self._coming: set[_Request] = set()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )

    def __len__(self) -> int:
        return len(self._coming)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around a request: it is coming until it has arrived, at the latest until it ends."""
        request = _Request()
        _REQUEST.set(request)
        self._coming.add(request)
        try:
            yield
        finally:
            self._end(request)

    @asynccontextmanager
    async def turn(self, body_bytes: int) -> AsyncIterator[None]:
        """Around what is done with a request's body; waits until it may be read."""
        request = _REQUEST.get(None)
        if request is not None and 0 < body_bytes <= READ_BESIDE_BYTES:
            turns = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(READERS))
            await turns.acquire()
            request.turn = turns
        try:
            yield
        finally:
            if request is not None:
                request.read()

    def arrived(self) -> None:
        """The request that this task works for has been read, and has come to the batcher."""
        request = _REQUEST.get(None)
        if request is not None:
            self._end(request)

    def _end(self, request: _Request) -> None:
        self._coming.discard(request)
        request.read()


class _Request:
    def __init__(self) -> None:
        self.turn: asyncio.Semaphore | None = None

    def read(self) -> None:
        """Let the next one be read; once."""
        turn, self.turn = self.turn, None
        if turn is not None:
            turn.release()


_REQUEST: ContextVar[_Request] = ContextVar("truelead_arriving_request")
