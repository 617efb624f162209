"""Requests on their way to the batcher: it waits for company only while some are coming."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_REQUEST: ContextVar[object] = ContextVar("truelead_arriving_request")


class Arriving:
    """The requests of one process that have come in and not reached the model's batcher yet.

    Adding and removing are single operations on a set, so several event loops may share it.
    """

    def __init__(self) -> None:
        self._coming: set[object] = set()

    def __len__(self) -> int:
        return len(self._coming)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around a request: it is coming until it has arrived, at the latest until it ends."""
        request = object()
        _REQUEST.set(request)
        self._coming.add(request)
        try:
            yield
        finally:
            self._coming.discard(request)

    def arrived(self) -> None:
        """The request that this task works for has come to the batcher."""
        self._coming.discard(_REQUEST.get(None))
