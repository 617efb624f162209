"""A disk that is full in the middle of a save: a real one, a small tmpfs (mounting it needs root).

In every trial a ballast file leaves room for a seeded part of the next checkpoint. In half of the
trials the ballast goes after a while: the training must end with the undisturbed weights. In the
others it stays: the training must stop with the error that says so, its last good checkpoint
whole and nothing half-written beside it, and once there is room go on to the undisturbed weights.
In half of each the whole run lies on the full disk, with its metrics, not the checkpoints alone.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.train_small import KEY, Run, finish, result, start
from truelead.train.checkpoint_store import CheckpointStore

COMMAND = "make soak SECTION=train"
TRIALS = 20
STEPS = 60
DISK_BYTES = 2 * 2**20


def rows() -> list[dict[str, Any]]:
    """How many of the trials ended as they must."""
    chance = random.Random(0)
    fine, stopped, failed_saves = 0, 0, 0
    with _disk() as disk, tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        whole = Run(Path(scratch) / "whole", STEPS)
        finish(start(whole))
        expected = result(whole)["digest"]
        for trial in range(TRIALS):
            on_disk = disk / f"{trial}"
            folder = on_disk if trial % 4 < 2 else Path(scratch) / f"{trial}"
            for_good = trial % 2 == 1
            run = replace(
                whole,
                folder=folder,
                url=str(on_disk),
                max_failed_saves=3 if for_good else STEPS,
                report=Path(scratch) / f"{trial}-report",
            )
            ended, saves = _trial(run, disk, expected, chance, for_good=for_good)
            fine += ended
            stopped += ended and for_good
            failed_saves += saves
            shutil.rmtree(on_disk, ignore_errors=True)
    return [
        row(
            f"trainings on a full disk (tmpfs; {failed_saves} saves seen to fail) that went on to "
            f"the undisturbed weights ({fine - stopped}) or stopped with a clear error, last good "
            f"checkpoint whole ({stopped}), of {TRIALS}",
            float(fine),
            "trainings",
            COMMAND,
            goal=float(TRIALS),
            holds=fine == TRIALS and stopped == TRIALS // 2,
        )
    ]


def _trial(
    run: Run, disk: Path, expected: str, chance: random.Random, *, for_good: bool
) -> tuple[bool, int]:
    """Whether the trial ended as it must, and how many saves failed in it."""
    store = CheckpointStore(f"{run.url}/{KEY}")
    ballast = disk / "ballast"
    workers = start(run)
    while not store.marked() and workers[0].exitcode is None:
        time.sleep(0.005)
    _fill(ballast, disk, room=chance.randrange(0, 8000))
    timer = threading.Timer(0.3 + chance.random(), ballast.unlink, kwargs={"missing_ok": True})
    if not for_good:
        timer.start()
    status = finish(workers)[0]
    timer.cancel()
    notices = run.folder / "notices.log"
    # On the full disk itself not even a notice can be left.
    failed = notices.read_text().count("not saved") if notices.is_file() else 0
    if not for_good:
        timer.join()
        return status == 0 and result(run)["digest"] == expected, failed
    unfinished = [name for name in store.names() if name not in store.marked()]
    good = store.newest_whole()
    ballast.unlink()
    error = (run.notes / "error.txt").read_text()
    clear = "in a row have failed (train.max_failed_saves)" in error and "No space left" in error
    if status == 0 or good is None or unfinished or not clear:
        return False, failed
    finish(start(run))
    return result(run)["digest"] == expected, failed


def _fill(ballast: Path, disk: Path, *, room: int) -> None:
    """Take all of the disk but `room` bytes, to whole pages."""
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            if free <= room:
                break
            os.write(file.fileno(), b"\0" * min(65536, free - room))


@contextlib.contextmanager
def _disk() -> Iterator[Path]:
    """A disk of its own.

    Raises:
        OSError: it cannot be mounted here.
    """
    with tempfile.TemporaryDirectory(prefix="truelead_disk_") as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder],
            check=False,
            capture_output=True,
            text=True,
        )
        if mounted.returncode:
            raise OSError(f"a disk of its own: expected the right to mount: {mounted.stderr}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


if __name__ == "__main__":
    for found in rows():
        print(found)
