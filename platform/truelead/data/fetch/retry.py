"""When to try again, and how long to wait: exponential backoff with jitter, Retry-After honoured.

Retry-After: RFC 9110, section 10.2.3 (seconds or a date). Jitter keeps parallel connections from
coming back all at once.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from truelead.data.fetch.problems import FetchFailure, Interruption, Stopped

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How much a download bears before a file is given up.

    Attributes:
        attempts: failed attempts in a row; `progress_bytes` further starts the count anew.
        wrong_bytes_attempts: downloads that ended with the wrong checksum.
        stall_seconds: a connection without a byte for so long is broken off.
        longest_retry_after_seconds: a server that asks for more is not waited for.
    """

    attempts: int = 8
    wrong_bytes_attempts: int = 3
    first_delay_seconds: float = 1.0
    longest_delay_seconds: float = 60.0
    longest_retry_after_seconds: float = 3600.0
    stall_seconds: float = 30.0
    progress_bytes: int = 1 << 20

    def delay(self, failures: int) -> float:
        """Seconds before the next attempt: doubled with each failure, then halved at most."""
        full = self.first_delay_seconds * 2.0 ** min(failures - 1, 30)
        return min(full, self.longest_delay_seconds) * random.uniform(0.5, 1.0)


class Pause:
    """Waiting that all connections share: it ends at once when the run stops."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._free_at = 0.0

    def stop(self) -> None:
        """End every wait and every transfer."""
        self._stop.set()

    def check(self) -> None:
        """Raises Stopped once the run stops."""
        if self._stop.is_set():
            raise Stopped

    def hold_all(self, seconds: float) -> None:
        """No connection starts a request within these seconds: the server asked for it."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() + seconds)

    def until_free(self) -> None:
        """Wait until no hold is left."""
        while (left := self._free_at - time.monotonic()) > 0:
            self.sleep(left)
        self.check()

    def sleep(self, seconds: float) -> None:
        """Wait, or raise Stopped."""
        if self._stop.wait(seconds):
            raise Stopped


def parse_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait, from the header's number or date; None where it says nothing usable."""
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def with_retries(
    step: Callable[[], Result],
    patience: Patience,
    pause: Pause,
    reached: Callable[[], int] = lambda: 0,
) -> Result:
    """Call `step` until it works.

    Args:
        step: one attempt; raises Interruption where another may help.
        reached: the furthest byte that any attempt has reached. It is not the sum of what came:
            a server that makes a client start over and over would never be given up.

    Raises:
        FetchFailure: `patience.attempts` attempts in a row got nowhere, or the server asks
            for a longer wait than `patience` grants.
        Stopped: the run ended meanwhile.
    """
    failures, mark = 0, reached()
    while True:
        pause.until_free()
        try:
            return step()
        except Interruption as problem:
            if reached() - mark >= patience.progress_bytes:
                failures, mark = 0, reached()
            failures += 1
            asked = problem.retry_after_seconds
            if failures >= patience.attempts:
                raise FetchFailure(f"{problem} (attempt {failures}, given up)") from problem
            if asked is not None and asked > patience.longest_retry_after_seconds:
                raise FetchFailure(f"{problem}: asks to come back in {asked:.0f} s") from problem
            if asked is not None:
                pause.hold_all(asked)
            pause.sleep(patience.delay(failures))
