"""A sweep's table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from truelead.sweep.results import SweepResult, columns, rows


def print_result(result: SweepResult, console: Console | None = None) -> None:
    """The trials, best first, and where the winner's recipe lies."""
    console = console or Console()
    table = Table(title=f"sweep {result.plan.space.name}: development patients")
    for name in columns(result):
        table.add_column(name)
    for row in rows(result):
        table.add_row(*row)
    console.print(table)
    console.print(f"best recipe: {result.best_recipe}", highlight=False, soft_wrap=True)
    console.print("Not for clinical use.", highlight=False)
