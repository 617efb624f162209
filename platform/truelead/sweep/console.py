"""A sweep's table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from truelead.sweep.final import beats
from truelead.sweep.results import NOTICE, PAGE, SweepResult, columns, rows


def print_result(result: SweepResult, console: Console | None = None) -> None:
    """The trials, best first, what the test set showed, and where the winner's recipe lies."""
    console = console or Console()
    table = Table(title=f"sweep {result.plan.space.name}: development patients")
    for name in columns(result):
        table.add_column(name)
    for row in rows(result):
        table.add_row(*row)
    console.print(table)
    if result.stopped:
        console.print(f"stopped: {result.stopped}", highlight=False)
    if not result.is_within_constraints:
        console.print("no trial keeps the constraints; the nearest is shown", highlight=False)
    if result.final is not None:
        for baseline in result.final.differences:
            console.print(beats(result.final, baseline), highlight=False, soft_wrap=True)
        if result.final.reason:
            console.print(f"test: {result.final.reason}", highlight=False, soft_wrap=True)
    console.print(f"report: {result.folder / PAGE}", highlight=False, soft_wrap=True)
    console.print(f"best recipe: {result.best_recipe}", highlight=False, soft_wrap=True)
    console.print(NOTICE, highlight=False)
