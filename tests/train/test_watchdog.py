"""The watchdog: when it ends a worker, and what it says that one waited for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from truelead.train.watchdog import EXIT_STATUS, Watchdog, forget_stuck, found_stuck


def _watch(folder: Path, rank: int, wait: threading.Event, step: int = 0) -> list[int]:
    """Watches a thread that waits for `wait`; with which statuses its process would have ended."""
    ended: list[int] = []

    def work() -> None:
        dog = Watchdog(0.2, rank=rank, folder=folder, end=ended.append)
        dog.beat(step)
        wait.wait()
        dog.stop()

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(100):
        if ended:
            break
        time.sleep(0.02)
    wait.set()
    thread.join()
    return ended


def test_a_thread_without_a_step_is_named(tmp_path: Path) -> None:
    assert _watch(tmp_path, 3, threading.Event(), step=7) == [EXIT_STATUS]
    error = found_stuck(tmp_path)
    assert error is not None
    text = str(error)
    assert text.startswith("rank 3: step 8: expected it within 0.2 s (train.step_timeout_seconds)")
    assert "waited for its own work (test_watchdog.py:" in text
    forget_stuck(tmp_path)
    assert found_stuck(tmp_path) is None


def test_the_one_that_others_wait_for_is_named(tmp_path: Path) -> None:
    (tmp_path / "stuck-00000.json").write_text('{"text": "rank 0", "for_others": true}')
    (tmp_path / "stuck-00001.json").write_text('{"text": "rank 1", "for_others": false}')
    (tmp_path / "stuck-00002.json").write_text("{")
    assert str(found_stuck(tmp_path)) == "rank 1"


def test_steps_keep_it_quiet(tmp_path: Path) -> None:
    ended: list[int] = []
    dog = Watchdog(0.4, folder=tmp_path, end=ended.append)
    for step in range(8):
        time.sleep(0.1)
        dog.beat(step)
    dog.stop()
    time.sleep(0.5)
    assert ended == []


def test_without_a_limit_nothing_watches() -> None:
    before = threading.active_count()
    Watchdog(None).beat(1)
    assert threading.active_count() == before
