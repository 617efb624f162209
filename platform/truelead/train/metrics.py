"""Training metrics: one JSON line a logged step, and the recipe's trackers, written by rank 0."""

from __future__ import annotations

import json
import math
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from truelead.train.trackers import TRACKERS, TrackedRun, Tracker

METRICS_FILE = "metrics.jsonl"


def peak_memory_bytes() -> int:
    """Peak resident set size of this process (ru_maxrss is KiB on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The metrics logged so far; a last line still being written is left out.

    Values that were not finite, which JSON cannot hold, are missing from their line.
    """
    path = folder / METRICS_FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


class MetricsWriter:
    """Appends metrics of one stage; after a resume the steps to be repeated are dropped first."""

    def __init__(
        self,
        folder: Path,
        first_step: int,
        trackers: Sequence[str] = ("tensorboard",),
        run: TrackedRun | None = None,
    ) -> None:
        """Open `folder` after `first_step` steps are done.

        Args:
            trackers: names of `TRACKERS`.
            run: what they are told of the run.

        Raises:
            ConfigError: the package of a tracker is not installed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_metrics(folder) if row["step"] <= first_step]
        self._file = (folder / METRICS_FILE).open("w", encoding="utf-8")
        for row in kept:
            self._write(row)
        told = run or TrackedRun(folder, first_step)
        self._trackers: list[Tracker] = [TRACKERS[name](told) for name in trackers]

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write `values` of `step`; the file is flushed, since the driver reads along."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self._write({"step": step, **finite})
        for tracker in self._trackers:
            tracker.log(step, finite)

    def _write(self, row: Mapping[str, float]) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file and the trackers."""
        self._file.close()
        for tracker in self._trackers:
            tracker.close()
