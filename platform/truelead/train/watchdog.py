"""Ends a worker that no longer gets on, and says what it was waiting for.

A thread cannot interrupt another one that waits inside a collective or a system call, so the
worker's process ends itself; Ray Train then starts the workers again from the last checkpoint. The
cause is left in the stage's folder, where the driver finds it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from truelead.data.durable import write_durable_text
from truelead.errors import TrueLeadError

EXIT_STATUS = 70
"""Of a process that its watchdog has ended (EX_SOFTWARE of sysexits.h)."""

OTHERS = "the other workers"
_WAITS = (
    ("/torch/distributed/", None, OTHERS),
    ("/deepspeed/comm/", None, OTHERS),
    ("truelead/train/checkpoint.py", "settle", "an earlier checkpoint to be written"),
    ("truelead/train/checkpoint.py", "restore", "its checkpoint to be read"),
    ("truelead/train/feed.py", None, "its ECGs"),
    ("truelead/train/engine.py", "backward", "the backward pass"),
    ("truelead/train/engine.py", "update", "the update"),
    ("truelead/train/engine.py", "__call__", "the forward pass"),
    ("truelead/train/loop.py", "batch_generator", "its next batch"),
)
"""File, function and what a thread inside it waits for; the innermost frame that fits counts."""

_LIBRARY = sysconfig.get_paths()["stdlib"]


class StuckWorkerError(TrueLeadError):
    """A worker made no step within `train.step_timeout_seconds`."""


class Watchdog:
    """Watches the thread that makes it."""

    def __init__(
        self,
        seconds: float | None,
        *,
        rank: int = 0,
        folder: Path | None = None,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """Begin to watch.

        Args:
            seconds: the longest a step may take, the first included; None: no limit.
            folder: of the stage, where the cause is left.
            end: ends the process.
        """
        self._seconds = seconds
        self._rank = rank
        self._folder = folder
        self._end = end
        self._thread = threading.get_ident()
        self._step = 0
        self._last = time.monotonic()
        self._stop = threading.Event()
        if seconds is not None:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def beat(self, step: int) -> None:
        """Another step is done: `step` in all."""
        self._step = step
        self._last = time.monotonic()

    def stop(self) -> None:
        """No more steps will come."""
        self._stop.set()

    def _watch(self) -> None:
        assert self._seconds is not None
        while not self._stop.wait(min(1.0, self._seconds / 4)):
            if time.monotonic() - self._last > self._seconds:
                self._give_up()
                return

    def _give_up(self) -> None:
        waited_for, place = waits_for(sys._current_frames().get(self._thread))
        text = (
            f"rank {self._rank}: step {self._step + 1}: expected it within "
            f"{self._seconds:g} s (train.step_timeout_seconds), waited for {waited_for} ({place})"
        )
        with suppress(OSError):
            print(f"error: {text}", file=sys.stderr, flush=True)
            faulthandler.dump_traceback(all_threads=True)
        if self._folder is not None:
            with suppress(OSError):
                found = {"text": text, "for_others": waited_for == OTHERS}
                write_durable_text(_file(self._folder, self._rank), json.dumps(found))
        self._end(EXIT_STATUS)


def waits_for(frame: FrameType | None) -> tuple[str, str]:
    """What a thread waits for, and where: the innermost place that is no library's."""
    waited_for, place = None, None
    innermost = frame
    while frame is not None:
        file, function = frame.f_code.co_filename, frame.f_code.co_name
        if waited_for is None:
            waited_for = next(
                (
                    words
                    for part, name, words in _WAITS
                    if (file.endswith(part) or (part[-1] == "/" and part in file))
                    and name in (None, function)
                ),
                None,
            )
        if place is None and not file.startswith(_LIBRARY) and "site-packages" not in file:
            place = _place(frame)
        frame = frame.f_back
    if innermost is None:
        return "nothing, its thread has ended", "no frame"
    return waited_for or "its own work", place or _place(innermost)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}"


def forget_stuck(folder: Path) -> None:
    """Remove what watchdogs left in an earlier run."""
    for file in folder.glob("stuck-*.json"):
        file.unlink(missing_ok=True)


def found_stuck(folder: Path) -> StuckWorkerError | None:
    """What the watchdogs of a run left: first of all a worker that did not wait for another."""
    causes = []
    for file in sorted(folder.glob("stuck-*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(file.read_text(encoding="utf-8"))
            causes.append((bool(found["for_others"]), str(found["text"])))
    if not causes:
        return None
    causes.sort()
    return StuckWorkerError(causes[0][1])


def _file(folder: Path, rank: int) -> Path:
    return folder / f"stuck-{rank:05d}.json"
