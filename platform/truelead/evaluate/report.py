"""The judge's report: report.json, report.md and one self-contained report.html.

All three show the same numbers; the same results give the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from truelead.evaluate.examination import Examination
from truelead.evaluate.failures import Failure
from truelead.evaluate.reliance import Reliance

NOTICE = "Not for clinical use: research software, no medical device."
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ArmDescription:
    """How an arm was trained.

    Attributes:
        pretrain, finetune: names of the strategies of its two stages.
        runs: how many trainings of it were judged.
        seeds: their seeds, empty where unknown.
        parameters: of one model, encoder included; None where unknown.
    """

    name: str
    pretrain: str
    finetune: str
    runs: int
    seeds: tuple[int, ...] = ()
    parameters: int | None = None


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
        training: what was trained in words ("language model": "2 layers of width 128").
        failures: the most confidently wrong answers.
        drawings: an SVG of each failure's ECGs, in their order; on the page only.
        reliance_calibration: numbers of the reliance's calibration, if any: arm -> mapping or
            dataclass, or dataclasses that name their `arm` and `test_set`.
    """

    name: str
    provenance: Mapping[str, str]
    recipe: str
    arms: tuple[ArmDescription, ...]
    examination: Examination
    reliance: tuple[Reliance, ...]
    encoder: Mapping[str, Any] | None = None
    draws: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None
    training: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    drawings: tuple[str, ...] = ()
    reliance_calibration: Mapping[str, Any] | tuple[Any, ...] | None = None


def write_report(report: Report, folder: Path) -> Path:
    """Write the report's three files; returns the path of report.html."""
    # The page looks at a Report, so it is imported when there is one to show.
    from truelead.evaluate.page import render, to_markdown

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(to_json(report), encoding="utf-8")
    (folder / "report.md").write_text(to_markdown(report), encoding="utf-8")
    page = folder / "report.html"
    page.write_text(render(report), encoding="utf-8")
    return page


def to_json(report: Report) -> str:
    """The report as JSON; numbers that are not determined are null."""
    content = _plain(report)
    del content["drawings"]
    tree = {"format": FORMAT_VERSION, "notice": NOTICE, **content}
    return json.dumps(tree, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Dataclasses, tuples, paths and non-finite numbers to what JSON has."""
    if dataclasses.is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
