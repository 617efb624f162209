"""What can go wrong with one request, and whether trying again can help."""

from __future__ import annotations

from truelead.errors import DataError


class FetchFailure(DataError):
    """A file or list cannot be had; trying again now would not help."""


class Interruption(Exception):
    """The attempt failed, but another may work: broken connection, busy server, stall.

    Args:
        reason: one line without address or secret.
        retry_after_seconds: how long the server asked to be left alone, if it said so.
    """

    def __init__(self, reason: str, *, retry_after_seconds: float | None = None) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason)


class Stopped(Exception):
    """The run is ending; what is on disk stays for the next one."""
