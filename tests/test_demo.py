"""What the demonstration prints from a report."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from truelead.demo import results_table


def cell(name: str, arm: str, estimate: float, low: float | None = None) -> dict[str, Any]:
    high = None if low is None else 2 * estimate - low
    return {"cell": name, "arm": arm, "micro": {"estimate": estimate, "low": low, "high": high}}


def test_the_table_has_a_row_a_model_and_a_column_a_cell() -> None:
    report = {
        "name": "tiny",
        "examination": {
            "arms": ["erm", "debiased"],
            "baselines": ["majority-answer", "unused"],
            "cells": [
                cell("confounded/test-wordings", "erm", 0.88, 0.86),
                cell("confounded/test-wordings", "debiased", 0.89, 0.87),
                cell("balanced/test-wordings", "erm", 0.7),
                cell("balanced/test-wordings", "debiased", 0.765, 0.75),
                cell("balanced/test-wordings/random-ecg", "debiased", 0.5),
                cell("balanced/test-wordings", "majority-answer", 0.5),
                cell("a cell that is not shown", "erm", 0.123),
            ],
        },
    }
    console = Console(width=120, record=True, file=StringIO())
    console.print(results_table(report))
    text = console.export_text()
    assert "88.0 (86.0 to 90.0)" in text
    assert "76.5 (75.0 to 78.0)" in text
    assert "70.0" in text
    assert "12.3" not in text
    assert "unused" not in text
    row = next(line for line in text.splitlines() if "debiased" in line)
    assert [part.split()[0] for part in row.split("│")[1:-1]] == [
        "debiased",
        "89.0",
        "76.5",
        "50.0",
    ]
