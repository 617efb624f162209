"""How long one waits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from truelead.data.fetch.problems import FetchFailure, Interruption, Stopped
from truelead.data.fetch.retry import Patience, Pause, parse_retry_after, with_retries

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("²", None),
    ],
)
def test_retry_after_in_seconds_and_as_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


def test_the_delay_doubles_up_to_a_bound_and_is_jittered() -> None:
    patience = Patience(first_delay_seconds=1.0, longest_delay_seconds=8.0)
    for failures, full in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (10_000, 8.0)]:
        delays = [patience.delay(failures) for _ in range(200)]
        assert full / 2 <= min(delays) < max(delays) <= full


def test_progress_starts_the_count_anew() -> None:
    patience = Patience(attempts=3, first_delay_seconds=0.0, progress_bytes=10)
    reached = 0
    calls = 0

    def step() -> None:
        nonlocal reached, calls
        calls += 1
        if calls <= 5:
            reached += 10
        raise Interruption("broken")

    with pytest.raises(FetchFailure, match="given up"):
        with_retries(step, patience, Pause(), lambda: reached)
    assert calls == 7


def test_a_stopped_run_does_not_wait() -> None:
    pause = Pause()
    pause.hold_all(60)
    pause.stop()
    with pytest.raises(Stopped):
        with_retries(lambda: None, Patience(), pause)
