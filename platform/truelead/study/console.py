"""A study's tables on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from truelead.study.results import TABLE, StudyResult, columns, rows, summary


def print_result(result: StudyResult, console: Console | None = None) -> None:
    """One table a condition, each arm's verdict, and where the rest lies."""
    console = console or Console()
    for found in result.tables:
        table = Table(title=f"{result.plan.study.name}: {found.name} (%, 95 % intervals)")
        head = columns(found)[:-1]
        for name in head:
            table.add_column(name, overflow="fold")
        for row in rows(found):
            table.add_row(*row[: len(head)])
        console.print(table)
        if found.reason:
            console.print(f"not judged: {found.reason}", highlight=False, markup=False)
        for line in summary(found):
            console.print(line, highlight=False, markup=False)
    counts = ", ".join(f"{count} {name}" for name, count in result.counts.items())
    console.print(f"runs: {counts}", highlight=False)
    console.print(f"study: {result.folder / TABLE}", highlight=False, soft_wrap=True)
    console.print("Not for clinical use.", highlight=False)
