"""A finished report as a table on the console."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from truelead.errors import DataError
from truelead.evaluate.report import FORMAT_VERSION

_BASELINES = ("majority-answer", "question-only")
_OWN_ECG_SUITES = ("observed", "balanced-do-question", "ecg-qa")


def print_report(folder: Path, console: Console | None = None) -> None:
    """Print the main numbers of a report's folder.

    Raises:
        DataError: the folder holds no report, or one of another format.
    """
    console = console or Console()
    tree = read_report(folder)
    examination = tree["examination"]
    names = [*examination["arms"], *(n for n in _BASELINES if n in examination["baselines"])]
    table = Table(title=f"{tree['name']}: right answers, % (half the 95 % interval's width)")
    table.add_column("questions", overflow="fold")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    rows: dict[str, dict[str, str]] = {}
    for result in examination["cells"]:
        rows.setdefault(result["cell"], {})[result["arm"]] = _text(result["micro"])
    for cell, values in rows.items():
        table.add_row(cell, *(values.get(name, "") for name in names))
    console.print(table)
    for found in tree["reliance"]:
        console.print(f"[bold]{found['arm']}: {found['verdict']}.[/bold] {found['summary']}")
    errors = _calibration_errors(examination["cells"], examination["arms"])
    if errors:
        console.print("Expected calibration error, points: " + "; ".join(errors))
    console.print(f"[dim]{tree['notice']}[/dim]")


def read_report(folder: Path) -> Mapping[str, Any]:
    """The content of report.json.

    Raises:
        DataError: the folder holds no report, or one of another format.
    """
    path = folder / "report.json"
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(f"{path}: expected a report, found none that can be read") from None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT_VERSION:
        raise DataError(f"{path}: expected a report of format {FORMAT_VERSION}")
    return tree


def _text(value: Mapping[str, float | None]) -> str:
    low, high = value["low"], value["high"]
    estimate = 100 * (value["estimate"] or 0.0)
    return f"{estimate:.1f}" + ("" if low is None or high is None else f" ±{50 * (high - low):.1f}")


def _calibration_errors(cells: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[str]:
    """Each arm's error on the test sets that show the questions' own ECGs."""
    return [
        f"{cell['arm']} {_text(cell['calibration']['equal_mass']['error'])} ({cell['cell']})"
        for cell in cells
        if cell["suite"] in _OWN_ECG_SUITES and cell["arm"] in arms and cell.get("calibration")
    ]
