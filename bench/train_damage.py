"""Damaged checkpoints: how many are found, and whether the one before is gone on from.

A run of two workers leaves the checkpoints of three steps. Each trial damages the newest in one of
eleven ways, at a seeded place, and lets an engine resume: the state it then holds must be that of
the step before, bit for bit.
"""

from __future__ import annotations

import json
import logging
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.train_small import KEY, Run, build, digest, enter, finish, in_a_process, start
from truelead.train.checkpoint import Checkpoints
from truelead.train.checkpoint_store import MANIFEST, MARKER, CheckpointStore

COMMAND = "make soak SECTION=train"
SHORT_COMMAND = "make bench SECTION=train"
TRIALS = 500
SHORT_TRIALS = 44


def rows() -> list[dict[str, Any]]:
    """The row of all trials."""
    return [damage_row(TRIALS, COMMAND)]


def damage_row(trials: int, command: str) -> dict[str, Any]:
    """How many of the damaged checkpoints were found, with the one before in the engine."""
    found = in_a_process(_found, trials)
    return row(
        f"checkpoints damaged in {len(DAMAGES)} ways ({', '.join(sorted(DAMAGES))}): found, and "
        f"the one before resumed bit for bit, of {trials}",
        float(found),
        "checkpoints",
        command,
        goal=float(trials),
        holds=found == trials,
    )


def _found(trials: int) -> int:
    chance = random.Random(0)
    found = 0
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        run = Run(Path(scratch) / "run", 9, workers=2, zero_stage=1, keep=3)
        statuses = finish(start(run))
        assert statuses == [0, 0], "the run with nothing wrong must end"
        whole = run.folder / "checkpoints"
        alone = replace(run, folder=Path(scratch) / "alone", workers=1, zero_stage=0)
        alone.folder.mkdir()
        enter(alone)
        trainer = build(alone)
        logging.disable(logging.WARNING)
        wanted = _resume(trainer, whole, Path(scratch) / "copy", lambda folder: None, before=1)
        names = sorted(DAMAGES)
        for trial in range(trials):
            act = DAMAGES[names[trial % len(names)]]
            copy = Path(scratch) / "copy"
            resumed = _resume(trainer, whole, copy, lambda folder, act=act: act(folder, chance))
            found += resumed == wanted
    return found


def _resume(
    trainer: Any,
    whole: Path,
    copy: Path,
    damage: Callable[[Path], object],
    before: int = 0,
) -> tuple[int, str]:
    """Step and digest of what an engine resumes from a damaged copy; `before`: the n-th newest."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    store = CheckpointStore(copy)
    for name in store.marked()[:before]:
        store.remove(name)
    damage(copy / str(store.marked()[0]))
    checkpoints = Checkpoints(store, KEY, notice=lambda message: None)
    state = checkpoints.restore(trainer.engine)
    checkpoints.close()
    assert state is not None, "two whole checkpoints are there"
    return int(state["step"]), digest(trainer.engine.full_state())


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*"))


def _previous(folder: Path) -> Path:
    return sorted(folder.parent.glob("step_*"))[-2]


def _truncate(folder: Path, chance: random.Random) -> None:
    file = chance.choice(_shards(folder))
    content = file.read_bytes()
    file.write_bytes(content[: chance.randrange(len(content))])


def _flip(name: str) -> Callable[[Path, random.Random], None]:
    def act(folder: Path, chance: random.Random) -> None:
        file = chance.choice(sorted(folder.glob(name)))
        content = bytearray(file.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(content)

    return act


def _remove(name: str) -> Callable[[Path, random.Random], None]:
    return lambda folder, chance: chance.choice(sorted(folder.glob(name))).unlink()


def _exchange(folder: Path, chance: random.Random) -> None:
    """The workers' shards for each other."""
    first, second = _shards(folder)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def _from_before(folder: Path, chance: random.Random) -> None:
    """A shard of the checkpoint before in its place."""
    file = chance.choice(_shards(folder))
    shutil.copyfile(_previous(folder) / file.name, file)


def _all_from_before(folder: Path, chance: random.Random) -> None:
    """The whole checkpoint before under this one's name."""
    before = _previous(folder)
    shutil.rmtree(folder)
    shutil.copytree(before, folder)


def _extra(folder: Path, chance: random.Random) -> None:
    (folder / f"shard-{chance.randrange(2, 99999):05d}-of-00002.safetensors").write_bytes(b"more")


def _other_manifest(folder: Path, chance: random.Random) -> None:
    """A manifest that says something else, well-formed."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["state"]["step"] += chance.randrange(1, 100)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "truncated": _truncate,
    "bit flipped": _flip("shard-*"),
    "shard missing": _remove("shard-*"),
    "shards exchanged": _exchange,
    "shard of the step before": _from_before,
    "checkpoint of the step before": _all_from_before,
    "file too many": _extra,
    "bit flipped in the manifest": _flip(MANIFEST),
    "manifest changed": _other_manifest,
    "manifest missing": _remove(MANIFEST),
    "bit flipped in the marker": _flip(MARKER),
}


if __name__ == "__main__":
    for found in rows():
        print(found)
