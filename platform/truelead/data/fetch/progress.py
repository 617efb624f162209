"""Progress of a download: one bar on a terminal, nothing where the output is a file or a pipe."""

from __future__ import annotations

import threading
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from truelead.data.fetch.plan import Plan


class DownloadProgress:
    """Files, bytes, rate and time left; may be told from any thread."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._lock = threading.Lock()
        self._files = len(plan.missing)
        self._done = 0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.fields[files]} files"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("fetch", total=plan.bytes_total, files=self._text())

    def bytes(self, count: int) -> None:
        """So many bytes arrived; negative when an unfinished download is dropped."""
        if self._bar is not None and count:
            self._bar.advance(self._task, count)

    def file(self) -> None:
        """A file is finished or given up."""
        with self._lock:
            self._done += 1
            text = self._text()
        if self._bar is not None:
            self._bar.update(self._task, files=text)

    def _text(self) -> str:
        return f"{self._done}/{self._files}"

    def __enter__(self) -> DownloadProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
