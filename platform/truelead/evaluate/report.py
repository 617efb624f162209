"""The judge's report: report.json, report.md and one self-contained report.html.

All three show the same numbers; the same results give the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelead.evaluate.examination import Examination
from truelead.evaluate.reliance import Reliance, percent, points, share
from truelead.evaluate.suites import SUITES

NOTICE = "Not for clinical use: research software, no medical device."
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ArmDescription:
    """How an arm was trained."""

    name: str
    pretrain: str
    finetune: str
    runs: int


@dataclass(frozen=True)
class Report:
    """Everything that the report shows.

    Attributes:
        name: of the recipe.
        provenance: what it was made from ("data digest", "git revision", ...), as text.
        recipe: the resolved recipe as YAML.
        arms: how each model was trained.
        encoder: the encoder stage's metrics (the content of encoder/metrics.json), if any.
        draws: arm -> stage -> causal diagnostics of what was drawn for training.
    """

    name: str
    provenance: Mapping[str, str]
    recipe: str
    arms: tuple[ArmDescription, ...]
    examination: Examination
    reliance: tuple[Reliance, ...]
    encoder: Mapping[str, Any] | None = None
    draws: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None


def write_report(report: Report, folder: Path) -> Path:
    """Write the report's three files; returns the path of report.html."""
    from truelead.evaluate.page import render

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(to_json(report), encoding="utf-8")
    (folder / "report.md").write_text(to_markdown(report), encoding="utf-8")
    page = folder / "report.html"
    page.write_text(render(report), encoding="utf-8")
    return page


def to_json(report: Report) -> str:
    """The report as JSON; numbers that are not determined are null."""
    tree = {
        "format": FORMAT_VERSION,
        "notice": NOTICE,
        **_plain(dataclasses.asdict(report)),
    }
    return json.dumps(tree, indent=1, allow_nan=False) + "\n"


def to_markdown(report: Report) -> str:
    """The main numbers as Markdown."""
    lines = [f"# TrueLead report: {report.name}", "", f"**{NOTICE}**", ""]
    lines += [f"- {key}: {value}" for key, value in report.provenance.items()]
    lines += ["", "## Does it read the ECG?", ""]
    for found in report.reliance:
        lines += [f"- **{found.arm}: {found.verdict}.** {found.summary}"]
    examination = report.examination
    for suite in SUITES:
        cells = [result for result in examination.cells if result.suite == suite]
        if not cells:
            continue
        lines += ["", f"## {SUITES[suite].title}", "", SUITES[suite].explanation, ""]
        lines += [
            "| questions | model | right answers (95 % interval) | further |",
            "|---|---|---|---|",
        ]
        for result in cells:
            further = [f"{name} {percent(value)}" for name, value in result.measures.items()]
            if result.failures:
                further.append(f"no usable answer {share(result.failures)}")
            lines.append(
                f"| {result.cell} ({result.questions}, {result.patients} patients) | {result.arm} "
                f"| {percent(result.micro)} | {'; '.join(further)} |"
            )
    if examination.comparisons:
        lines += ["", "## Paired differences", "", "| questions | difference | 95 % interval |"]
        lines += ["|---|---|---|"]
        lines += [
            f"| {found.cell} | {found.first} minus {found.second} | {points(found.difference)} |"
            for found in examination.comparisons
        ]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    """Tuples, paths and non-finite numbers to what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
