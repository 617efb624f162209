"""The report: complete, self-contained, readable, the same bytes for the same numbers."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from truelead.errors import DataError
from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.console import print_report
from truelead.evaluate.examination import Examination, examine
from truelead.evaluate.failures import draw_failure, worst_failures
from truelead.evaluate.page import to_markdown
from truelead.evaluate.page.sections import SECTIONS
from truelead.evaluate.predictions import (
    Prediction,
    PredictionWriter,
    Predictor,
    Trial,
    read_predictions,
)
from truelead.evaluate.reliance import reliance
from truelead.evaluate.report import NOTICE, ArmDescription, Report, write_report
from truelead.types import Ecg

ARMS = ("blind-arm", "oracle-arm")
BITS = ("question_severity_bits", "answer_severity_bits", "question_answer_bits")


class Sure:
    """Another's answers with a probability of 0.9."""

    def __init__(self, other: Predictor) -> None:
        self._other = other

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [
            Prediction(
                found.answers,
                {option: 0.9 if (option,) == found.answers else 0.1 for option in ("yes", "no")},
            )
            for found in self._other.predict(trials)
        ]


@pytest.fixture(scope="module")
def report(clinic: Any, oracle: Any, blind: Any, tmp_path_factory: Any) -> Report:
    path = tmp_path_factory.mktemp("predictions") / "predictions.parquet"
    with PredictionWriter(path) as writer:
        examination = examine(
            clinic.context,
            {ARMS[0]: [lambda: Sure(blind)], ARMS[1]: [lambda: oracle]},
            clinic.train,
            samples=100,
            writer=writer,
        )
    patients = {name: record.patient_id for name, record in clinic.records.items()}
    failures = worst_failures(path, ARMS, patients, maximum=2)
    signal = np.zeros((12, 1000), np.float32)
    return Report(
        name="made-up",
        provenance={"data digest": "abc123", "git revision": "none", "data": "generated ECGs"},
        recipe="name: made-up\noutput: runs/<b>&\n",
        arms=(
            ArmDescription(ARMS[0], "none", "none", 1, (0,), 1234567),
            ArmDescription(ARMS[1], "do-question", "none", 1),
        ),
        examination=examination,
        reliance=reliance(examination),
        encoder={
            "macro_auroc": 0.91,
            "codes": {"AFIB": {"auroc": 0.97, "positives": 12, "learned": True}},
        },
        draws={
            ARMS[0]: {"pretrain": dict(zip(BITS, (0.5, 0.25, 0.2), strict=True))},
            ARMS[1]: {"pretrain": dict(zip(BITS, (0.01, 0.24, 0.0), strict=True))},
        },
        training={"ECG encoder": "resnet1d"},
        failures=failures,
        drawings=tuple(
            draw_failure([Ecg(signal, 100.0, record_id=one.ecg_ids[0])]) for one in failures
        ),
        reliance_calibration={ARMS[1]: {"false_alarms": 0.05, "detected": {"share": 0.81}}},
    )


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(report, folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Notes what a page holds, and refuses one whose elements are not closed in order."""

    VOID = frozenset({"meta", "br", "hr", "col"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[int]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows.append([])
        if tag == "tr":
            self.rows[-1].append(0)
        if tag in ("td", "th"):
            self.rows[-1][-1] += int(dict(attrs).get("colspan") or 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, attribute: str) -> list[str]:
        return [found[attribute] or "" for _, found in self.tags if attribute in found]


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    found.close()
    return found


def test_the_page_is_well_formed(page: str, outline: Outline) -> None:
    assert page.startswith("<!doctype html>\n<html lang=")
    assert outline.open == []
    ids = outline.values("id")
    assert len(set(ids)) == len(ids)
    for widths in outline.rows:
        assert len(set(widths)) == 1, "every row of a table is as wide"
    headings = [tag for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings.count("h1") == 1
    assert headings[0] == "h1"


def test_the_page_needs_nothing_else(page: str, outline: Outline) -> None:
    links = [link for name in ("href", "src", "srcset", "action", "xlink:href", "poster", "data")
             for link in outline.values(name)]  # fmt: skip
    assert links
    assert all(link.startswith("#") and link[1:] in outline.values("id") for link in links)
    tags = {tag for tag, _ in outline.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "img", "base", "form"}
    assert not re.search(r"https?:|@import|url\(", page)
    assert "nan" not in " ".join(outline.text).lower().split()


def test_every_image_says_what_it_shows(outline: Outline) -> None:
    images = [found for tag, found in outline.tags if tag == "svg"]
    assert len(images) > 50
    for image in images:
        if image.get("aria-hidden") != "true":
            assert image["role"] == "img"
            assert len(image["aria-label"] or "") > 10


def test_every_section_is_there_and_linked(page: str, outline: Outline) -> None:
    sections = [found["id"] for tag, found in outline.tags if tag == "section"]
    # Everything but a suite that the clinic has no test sets for.
    assert set(SECTIONS) - {"further"} <= set(sections)
    assert outline.values("href") == [f"#{key}" for key in sections]


def test_the_page_says_what_it_must(page: str, report: Report, outline: Outline) -> None:
    assert page.count(NOTICE) == 2
    assert NOTICE.startswith("Not for clinical use")
    for name in (*ARMS, *report.examination.baselines, "abc123", "no evidence", "AFIB",
                 "1,234,567", "The ECGs are generated."):  # fmt: skip
        assert name in page
    assert "runs/&lt;b&gt;&amp;" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert 'name="viewport"' in page


def test_the_cut_arrow_is_drawn_as_cut(page: str, outline: Outline) -> None:
    graphs = [found["aria-label"] or "" for tag, found in outline.tags
              if tag == "svg" and found.get("class") == "graph"]  # fmt: skip
    assert len(graphs) == 2
    assert "As observed" in graphs[0]
    assert "cut" not in graphs[0]
    assert "Drawn as cut: severity to question and question to answer" in graphs[1]
    assert page.count('class="edge cut"') == 2


def test_failures_show_the_record_and_no_patient(page: str, report: Report) -> None:
    assert report.failures
    for failure in report.failures:
        assert f"Record {failure.ecg_ids[0]}" in page
        assert failure.text in page
    assert "patient-" not in page


def test_the_calibration_of_the_sure_arm_is_told(report: Report, folder: Path) -> None:
    tree = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    cells = {
        (cell["cell"], cell["arm"]): cell
        for cell in tree["examination"]["cells"]
        if cell["suite"] == "balanced-do-question"
    }
    blind = cells["balanced/test-wordings", ARMS[0]]
    # Right half the time, always 90 % sure.
    assert blind["calibration"]["equal_mass"]["error"]["estimate"] == pytest.approx(0.4)
    assert cells["balanced/test-wordings", ARMS[1]]["calibration"] is None
    assert "drawings" not in tree
    assert "40.0" in to_markdown(report)


def test_a_suite_without_a_chapter_of_its_own_is_shown(report: Report, tmp_path: Path) -> None:
    cell = next(c for c in report.examination.cells if c.suite == "observed" and c.arm == ARMS[1])
    measured = dataclasses.replace(
        cell,
        suite="interventional",
        cell="interventional/test-wordings",
        measures={"divergence from do(Q)": Interval(0.0312, 0.02, 0.04)},
    )
    cells = (*report.examination.cells, measured)
    examination = dataclasses.replace(report.examination, cells=cells)
    write_report(dataclasses.replace(report, examination=examination), tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="further"' in page
    assert "divergence from do(Q), 0.01 nat" in page
    assert "<b>3.1</b>" in page


def test_a_report_with_many_arms_and_little_else(report: Report, tmp_path: Path) -> None:
    names = tuple(f"arm-{i}" for i in range(12))
    one = {cell.suite + cell.cell: cell for cell in report.examination.cells
           if cell.arm == ARMS[1] and cell.suite == "balanced-do-question"}  # fmt: skip
    cells = tuple(dataclasses.replace(cell, arm=name) for cell in one.values() for name in names)
    bare = Report(
        name="<many>",
        provenance={},
        recipe="",
        arms=tuple(ArmDescription(name, "none", "none", 1) for name in names),
        examination=Examination(names, (), cells, ()),
        reliance=(),
    )
    write_report(bare, tmp_path)
    outline = Outline()
    outline.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    outline.close()
    assert outline.open == []
    sections = [found["id"] for tag, found in outline.tags if tag == "section"]
    assert sections == ["strategies", "trained", "breakdown", "limits", "provenance"]
    assert all(name in outline.text for name in names)
    assert "Not tested" in " ".join(outline.text)


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
    assert "100.0 (" in markdown
    page = (folder / "report.html").read_text(encoding="utf-8")
    # Every number of a Markdown table stands on the page too.
    numbers = {
        number
        for line in markdown.splitlines()
        if line.startswith("|")
        for number in re.findall(r"\d+\.\d+", line)
    }
    assert len(numbers) > 30
    assert all(number in page for number in numbers)


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
    assert all(row["shown_ecg_ids"] != row["ecg_ids"] or row["change"] for row in swapped)


def test_a_failed_run_leaves_no_predictions(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    with pytest.raises(RuntimeError), PredictionWriter(path):
        raise RuntimeError("stopped")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="expected a predictions file"):
        read_predictions(path)
