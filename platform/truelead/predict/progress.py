"""The progress of a prediction on the terminal: ECGs done, ECGs a second, time left."""

from __future__ import annotations

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text

_SPEED_OVER_SECONDS = 600.0
"""ECGs are counted part by part: a speed over less would jump."""


class _Rate(ProgressColumn):
    """ECGs a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} ECGs/s")


def progress_bar(*, disable: bool) -> Progress:
    """A bar that counts ECGs."""
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        speed_estimate_period=_SPEED_OVER_SECONDS,
        disable=disable,
    )
