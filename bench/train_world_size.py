"""Two workers, then one, then two again in mid-run, each of another ZeRO stage.

Compared with two workers undisturbed: which rows every step took (each row of an epoch once,
whoever took it), the loss of every step, and the weights' digest where only the stage changes.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.train_small import ROWS, ROWS_A_STEP, Run, finish, result, start

COMMAND = "make bench SECTION=train"
STEPS = 30
PARTS = ((11, 2, 1), (20, 1, 3), (None, 2, 2))
"""Step to break off at, workers, ZeRO stage; a break loses the steps since the last save."""

LARGEST_DIFFERENCE = 1e-5


def rows() -> list[dict[str, Any]]:
    """Rows taken once, and how far the losses are from those of the undisturbed run."""
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        whole = Run(Path(scratch) / "whole", STEPS, workers=2, zero_stage=2)
        finish(start(whole))
        run = replace(whole, folder=Path(scratch) / "changed")
        for until, workers, stage in PARTS:
            finish(start(replace(run, until=until, workers=workers, zero_stage=stage)))
        expected, found = result(whole)["loss"], result(run)["loss"]
        taken, planned = _rows_taken(run.folder), _rows_taken(whole.folder)
    difference = max(abs(a - b) / abs(b) for a, b in zip(found, expected, strict=True))
    order = [one for step in range(STEPS) for one in taken[step]]
    epochs = [sorted(order[at : at + ROWS]) for at in range(0, len(order) - ROWS + 1, ROWS)]
    once = sum(epoch == list(range(ROWS)) for epoch in epochs)
    same = sum(sorted(taken[step]) == sorted(planned[step]) for step in range(STEPS))
    return [
        row(
            f"steps of a run on 2, 1, then 2 workers that took the rows of the undisturbed run, "
            f"of {STEPS} ({once} of {len(epochs)} whole epochs have each of {ROWS} rows once)",
            float(same),
            "steps",
            COMMAND,
            goal=float(STEPS),
            holds=same == STEPS and once == len(epochs),
        ),
        row(
            "largest relative difference of a step's loss from the undisturbed run's, "
            "2 (ZeRO 1), 1 (ZeRO 3), 2 workers (ZeRO 2)",
            difference,
            "of the loss",
            COMMAND,
            goal=LARGEST_DIFFERENCE,
            holds=difference <= LARGEST_DIFFERENCE,
        ),
    ]


def _rows_taken(folder: Path) -> dict[int, list[int]]:
    """The rows of every step, of the last time that it was made, in the plan's order."""
    shares: dict[int, dict[int, tuple[int, list[int]]]] = {}
    for rank in range(2):
        for line in (folder / f"rows-{rank}.jsonl").read_text().splitlines():
            taken = json.loads(line)
            shares.setdefault(taken["step"], {})[rank] = (taken["workers"], taken["rows"])
    found = {}
    for step, by_rank in shares.items():
        last = _last_made(folder, step)
        parts = [by_rank[rank][1] for rank in range(last)]
        order = [0] * sum(len(part) for part in parts)
        for rank, part in enumerate(parts):
            order[rank::last] = part
        assert len(order) == ROWS_A_STEP, "every step has its whole batch"
        found[step] = order
    return found


def _last_made(folder: Path, step: int) -> int:
    """How many workers made a step the last time: rank 0 always takes part."""
    workers = 0
    for line in (folder / "rows-0.jsonl").read_text().splitlines():
        taken = json.loads(line)
        if taken["step"] == step:
            workers = taken["workers"]
    return workers


if __name__ == "__main__":
    for found in rows():
        print(found)
