"""Trainings killed by SIGKILL, resumed, and compared bit for bit with undisturbed ones.

A third each in a step, in the writing of a checkpoint (half of the file is there), and between
payload and marker (before the manifest, or before the marker); some at a moment that the parent
picks. Optimizers, ZeRO stages, number formats and one or two workers take turns; of two, one is
killed and the other ended, as Ray Train does it.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.train_small import Run, finish, result, start
from truelead.data.storage import Folder
from truelead.train import checkpoint
from truelead.train.checkpoint_shard import Snapshot
from truelead.train.checkpoint_store import MANIFEST, MARKER, CheckpointStore
from truelead.train.engine import Engine

COMMAND = "make soak SECTION=train"
KILLS = 30
STEPS = 24
_TRIES = 10
KINDS = ("step", "save", "marker", "moment")
ENGINES = [
    {"optimizer": optimizer, "zero_stage": stage, "dtype": dtype}
    for (optimizer, stage), dtype in zip(
        itertools.product(("adamw", "muon"), range(4)),
        itertools.cycle(("float32", "bfloat16")),
        strict=False,
    )
]


def rows() -> list[dict[str, Any]]:
    """How many killed trainings ended with the weights of an undisturbed one."""
    return [kill_row(KILLS, COMMAND)]


def kill_row(kills: int, command: str) -> dict[str, Any]:
    """The row of so many kills."""
    chance = random.Random(0)
    same, happened = 0, dict.fromkeys(KINDS, 0)
    undisturbed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        for number in range(kills):
            # Three kinds in turn, every fifth at the parent's moment; every third with two workers.
            kind = "moment" if number % 5 == 4 else KINDS[number % 3]
            engine = ENGINES[number % len(ENGINES)]
            run = Run(
                Path(scratch) / f"{number}", STEPS, workers=2 if number % 3 == 2 else 1, **engine
            )  # type: ignore[arg-type]
            name = f"{engine}{run.workers}"
            if name not in undisturbed:
                whole = replace(run, folder=Path(scratch) / f"whole-{len(undisturbed)}")
                finish(start(whole))
                undisturbed[name] = result(whole)["digest"]
            for _ in range(_TRIES):
                if _kill(run, kind, chance):
                    happened[kind] += 1
                    break
                # It was over before the moment came.
                shutil.rmtree(run.folder)
            finish(start(run))
            same += result(run)["digest"] == undisturbed[name]
    killed = ", ".join(f"{count} {kind}" for kind, count in happened.items())
    return row(
        f"trainings killed by SIGKILL ({killed}; really killed {sum(happened.values())}) with the "
        f"undisturbed weights, bit for bit, of {kills}",
        float(same),
        "trainings",
        command,
        goal=float(kills),
        holds=same == kills == sum(happened.values()),
    )


def _kill(run: Run, kind: str, chance: random.Random) -> bool:
    """Train until a worker is killed; whether one was."""
    victim = chance.randrange(run.workers)
    if kind == "moment":
        workers = start(run)
        store = CheckpointStore(run.folder / "checkpoints")
        while not store.marked() and workers[0].exitcode is None:
            time.sleep(0.005)
        time.sleep(chance.random() * 0.3)
        workers[victim].kill()
    else:
        at = chance.randrange(4, STEPS - 1)
        part = chance.randrange(2)
        traps: dict[str, Callable[[int], None]] = {
            "step": lambda rank: _trap_step(at, before=part == 0) if rank == victim else None,
            "save": lambda rank: _trap_save(at // 3) if rank == victim else None,
            # Manifest and marker are rank 0's.
            "marker": lambda rank: (
                _trap_marker(at // 3, (MANIFEST, MARKER)[part]) if rank == 0 else None
            ),
        }
        workers = start(run, trouble=traps[kind])
    return -signal.SIGKILL in finish(workers)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _trap_step(at: int, *, before: bool) -> None:
    """In step `at`, before its update or after."""
    update = Engine.update

    def trapped(self: Engine, step: int) -> bool:
        if step == at and before:
            _die()
        applied = update(self, step)
        if step == at:
            _die()
        return applied

    Engine.update = trapped  # type: ignore[method-assign]


def _trap_save(number: int) -> None:
    """In the writing of that checkpoint, with half of the file written."""
    write, seen = checkpoint.write_shard, itertools.count()

    def trapped(path: Path, snapshot: Snapshot) -> None:
        write(path, snapshot)
        if next(seen) == number:
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2])
            _die()

    checkpoint.write_shard = trapped


def _trap_marker(number: int, name: str) -> None:
    """With that checkpoint's payload there, before the file `name`."""
    place, seen = Folder.place_text, itertools.count()

    def trapped(self: Folder, file: str, text: str) -> None:
        if file == name and next(seen) == number:
            _die()
        place(self, file, text)

    Folder.place_text = trapped  # type: ignore[method-assign]


if __name__ == "__main__":
    for found in rows():
        print(found)
