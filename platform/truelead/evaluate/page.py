"""report.html: one page that needs nothing else, drawn from the report's numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2

from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.examination import Examination
from truelead.evaluate.plots import Bars, bar_plot, colours, dot_plot
from truelead.evaluate.report import NOTICE, Report
from truelead.evaluate.results import CellResult
from truelead.evaluate.suites import SUITES

_BALANCED = ("balanced-do-question", "balanced/test-wordings")
_MAXIMUM_DOTS = 40


@dataclass(frozen=True)
class SuiteSection:
    """One suite on the page: its text, plot and the results of each cell."""

    name: str
    title: str
    explanation: str
    plot: str
    cells: Mapping[str, list[CellResult]]
    measures: tuple[str, ...]


def render(report: Report) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("truelead.evaluate", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, points=_points, number=_number)
    examination = report.examination
    palette = colours(examination.arms, examination.baselines)
    return environment.get_template("report.html.j2").render(
        report=report,
        notice=NOTICE,
        palette=palette,
        sections=_sections(examination, palette),
        question_types=_question_types(examination),
        question_plot=_question_plot(examination, palette),
        question_rows=_question_rows(examination),
        severity_rows=_severity_rows(examination),
        encoder=_encoder_rows(report.encoder),
        draws=_draw_rows(report.draws),
    )


def _sections(examination: Examination, palette: Mapping[str, str]) -> list[SuiteSection]:
    sections = []
    for name, suite in SUITES.items():
        cells: dict[str, list[CellResult]] = {}
        for result in examination.cells:
            if result.suite == name:
                cells.setdefault(result.cell, []).append(result)
        if not cells:
            continue
        bars = [
            Bars(
                cell,
                {result.arm: result.micro for result in results},
                0.5 if cell.startswith("balanced") else None,
            )
            for cell, results in cells.items()
        ]
        measures = dict.fromkeys(
            measure for results in cells.values() for result in results
            for measure in result.measures
        )  # fmt: skip
        sections.append(
            SuiteSection(
                name,
                suite.title,
                suite.explanation,
                bar_plot(name, bars, palette),
                cells,
                tuple(measures),
            )
        )
    return sections


def _question_types(examination: Examination) -> list[tuple[str, str, str, Interval]]:
    """(test set, question type, arm, share), where a test set holds several types."""
    return [
        (result.cell, kind, result.arm, value)
        for result in examination.cells
        if len(result.per_type) > 1 or result.suite == "ecg-qa"
        for kind, value in result.per_type.items()
    ]


def _question_rows(examination: Examination) -> list[tuple[str, int, dict[str, float]]]:
    """(question_id, trials, arm -> share) on the balanced test; hardest for the last arm last."""
    results = [
        found
        for arm in examination.arms
        if (found := examination.cell(*_BALANCED, arm)) is not None
    ]
    if not results:
        return []
    rows = [
        (
            question_id,
            score.questions,
            {result.arm: result.per_question[question_id].accuracy for result in results},
        )
        for question_id, score in results[-1].per_question.items()
    ]
    return sorted(rows, key=lambda row: (-row[2][results[-1].arm], row[0]))


def _question_plot(examination: Examination, palette: Mapping[str, str]) -> str:
    rows = [(f"{name} ({n})", shares) for name, n, shares in _question_rows(examination)]
    return dot_plot("questions", rows[:_MAXIMUM_DOTS], palette, 0.5) if rows else ""


def _severity_rows(examination: Examination) -> list[tuple[str, str, str, Interval]]:
    return [
        (result.cell, stratum, result.arm, value)
        for result in examination.cells
        if result.suite in ("observed", "balanced-do-question") and not result.baseline
        for stratum, value in result.per_severity.items()
    ]


def _encoder_rows(encoder: Mapping[str, Any] | None) -> dict[str, Any]:
    """Single numbers, and tables of numbers by name, of the encoder's metrics."""
    encoder = encoder or {}
    tables = {
        key: {name: row for name, row in value.items() if isinstance(row, int | float | Mapping)}
        for key, value in encoder.items()
        if isinstance(value, Mapping)
    }
    return {
        "numbers": {k: v for k, v in encoder.items() if isinstance(v, int | float | str)},
        "tables": {key: value for key, value in tables.items() if value},
    }


def _draw_rows(
    draws: Mapping[str, Mapping[str, Mapping[str, float]]] | None,
) -> tuple[list[str], list[tuple[str, dict[str, float]]]]:
    columns = [f"{arm}: {stage}" for arm, stages in (draws or {}).items() for stage in stages]
    rows: dict[str, dict[str, float]] = {}
    for arm, stages in (draws or {}).items():
        for stage, values in stages.items():
            for name, value in values.items():
                rows.setdefault(name, {})[f"{arm}: {stage}"] = value
    return columns, list(rows.items())


def _percent(value: Interval) -> str:
    return f"{100 * value.estimate:.1f}{_bounds(value, '.1f')}"


def _points(value: Interval) -> str:
    return f"{100 * value.estimate:+.1f}{_bounds(value, '+.1f')}"


def _bounds(value: Interval, form: str) -> str:
    if not (math.isfinite(value.low) and math.isfinite(value.high)):
        return " (no interval)"
    return f" ({format(100 * value.low, form)} to {format(100 * value.high, form)})"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "?"
    return str(value)
