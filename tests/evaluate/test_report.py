"""The report: complete, self-contained, the same bytes for the same numbers."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from truelead.errors import DataError
from truelead.evaluate.console import print_report
from truelead.evaluate.examination import examine
from truelead.evaluate.predictions import PredictionWriter, read_predictions
from truelead.evaluate.reliance import reliance
from truelead.evaluate.report import (
    NOTICE,
    ArmDescription,
    Report,
    to_markdown,
    write_report,
)

ARMS = ("blind-arm", "oracle-arm")


@pytest.fixture(scope="module")
def report(clinic: Any, oracle: Any, blind: Any) -> Report:
    examination = examine(
        clinic.context,
        {ARMS[0]: [lambda: blind], ARMS[1]: [lambda: oracle]},
        clinic.train,
        samples=100,
    )
    return Report(
        name="made-up",
        provenance={"data digest": "abc123", "git revision": "none"},
        recipe="name: made-up\noutput: runs/<b>&\n",
        arms=tuple(ArmDescription(arm, "none", "none", 1) for arm in ARMS),
        examination=examination,
        reliance=reliance(examination),
        encoder={
            "macro_auroc": 0.91,
            "codes": {"AFIB": {"auroc": 0.97, "positives": 12, "learned": True}},
        },
        draws={"blind-arm": {"finetune": {"question_severity_bits": 0.25}}},
    )


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(report, folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")


def test_the_page_needs_nothing_else(page: str) -> None:
    found = _Links()
    found.feed(page)
    assert found.links, "the plots refer to their own parts"
    assert all(link.startswith("#") for link in found.links)
    assert all(link[1:] in found.ids for link in found.links)
    assert len(set(found.ids)) == len(found.ids)
    assert not found.tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"@import|url\((?!#)", page)
    assert "nan" not in re.sub(r"<[^>]*>", " ", page).lower().split()


def test_the_page_says_what_it_must(page: str, report: Report) -> None:
    assert NOTICE in page
    assert "Not for clinical use" in page
    for name in (*ARMS, *report.examination.baselines, "abc123", "no evidence", "AFIB", "1:IMI"):
        assert name in page
    assert "question_severity_bits" in page
    assert "runs/&lt;b&gt;&amp;" in page
    assert page.count("<svg") >= 5
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_json_and_markdown_hold_the_same_numbers(report: Report, folder: Path) -> None:
    tree = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert tree["notice"] == NOTICE
    cell = next(
        c
        for c in tree["examination"]["cells"]
        if c["cell"] == "balanced/test-wordings" and c["arm"] == ARMS[1]
    )
    assert cell["micro"]["estimate"] == 1.0
    markdown = to_markdown(report)
    assert NOTICE in markdown
    assert all(arm in markdown for arm in ARMS)
    assert "100.0 %" in markdown


def test_the_same_numbers_give_the_same_bytes(report: Report, folder: Path, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    for name in ("report.html", "report.json", "report.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_console_table_names_every_arm(folder: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    print_report(folder, console)
    text = console.export_text()
    assert all(arm in text for arm in ARMS)
    assert NOTICE in text
    with pytest.raises(DataError, match="expected a report"):
        print_report(tmp_path, console)


def test_every_prediction_is_written(clinic: Any, oracle: Any, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    with PredictionWriter(path) as writer:
        found = examine(
            clinic.context,
            {"oracle": [lambda: oracle, lambda: oracle]},
            clinic.train,
            samples=100,
            writer=writer,
        )
    table = read_predictions(path)
    runs = {"oracle": 2} | dict.fromkeys(found.baselines, 1)
    rows = sum(result.questions * runs[result.arm] for result in found.cells)
    assert table.num_rows == rows
    first = table.slice(0, 1).to_pylist()[0]
    assert first["predicted"] == first["answers"]
    assert first["correct"] is True
    swapped = [row for row in table.to_pylist() if row["suite"] == "random-ecg"]
    assert all(row["shown_ecg_ids"] != row["ecg_ids"] for row in swapped)


def test_a_failed_run_leaves_no_predictions(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    with pytest.raises(RuntimeError), PredictionWriter(path):
        raise RuntimeError("stopped")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="expected a predictions file"):
        read_predictions(path)
