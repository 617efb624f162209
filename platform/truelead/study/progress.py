"""How a study gets on: a live table on a terminal, else a line whenever a run ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from truelead.study.plan import Run, StudyPlan
from truelead.study.training import RunRecord, progress_of

_REFRESH_SECONDS = 2.0


class StudyProgress:
    """Counts runs that are done, running, failed and left, and how long the rest will take."""

    def __init__(
        self, plan: StudyPlan, *, found: int, parallel: int, console: Console | None = None
    ) -> None:
        """Args:
        found: runs that an earlier start of the study has finished.
        """
        self._plan = plan
        self._parallel = parallel
        self._found = found
        self._finished = found
        self._failed = 0
        self._running: Sequence[Run] = ()
        self._seconds: list[float] = []
        self._shown = 0.0
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._found:
            self._say(f"{self._found} of {len(self._plan.runs)} runs found finished")
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, running: Sequence[Run]) -> None:
        """Take over what is under way, and draw it at times."""
        self._running = tuple(running)
        if self._console.is_terminal and time.monotonic() - self._shown >= _REFRESH_SECONDS:
            self._live.update(self._table(), refresh=True)
            self._shown = time.monotonic()

    def ended(self, run: Run, record: RunRecord) -> None:
        """Count a run, and say what became of it."""
        self._running = [other for other in self._running if other != run]
        if record.is_finished:
            self._finished += 1
            self._seconds.append(record.seconds)
            self._say(f"{run.name}: {record.seconds:.0f} s  ({self.summary()})")
        else:
            self._failed += 1
            self._say(f"{run.name}: failed: {record.reason}  ({self.summary()})")

    def summary(self) -> str:
        """The counts and the time left in one line."""
        running = len(self._running)
        left = len(self._plan.runs) - self._finished - self._failed - running
        text = f"{self._finished} done, {running} running, {self._failed} failed, {left} left"
        if self._seconds and left + running:
            mean = sum(self._seconds) / len(self._seconds)
            # Those under way are half done on average.
            seconds = mean * (left + running / 2) / self._parallel
            text += f", about {_duration(seconds)} to go"
        return text

    def _table(self) -> Table:
        table = Table(title=f"study {self._plan.study.name}: {self.summary()}")
        for name in ("condition", "arm", "seed", "stage", "step"):
            table.add_column(name)
        for run in self._running:
            stage, step, steps = progress_of(run)
            table.add_row(run.condition, run.arm, str(run.seed), stage, f"{step}/{steps}")
        return table

    def _say(self, message: str) -> None:
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
