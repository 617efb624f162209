"""The table is the report's numbers, and the verdicts follow from its intervals alone."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from truelead.evaluate.report import FORMAT_VERSION
from truelead.study.console import print_result
from truelead.study.judging import Judged
from truelead.study.plan import Run, StudyPlan
from truelead.study.results import StudyResult, markdown, write_results
from truelead.study.table import (
    BALANCED,
    CONFOUNDED,
    Value,
    condition_table,
    pareto_front,
    reduction,
    verdict,
)
from truelead.study.training import RunRecord

RANDOM = "balanced/test-wordings/random-ecg"
PLANTED = "interventional/test-wordings"


def number(estimate: float, reach: float | None = 0.02) -> dict[str, float | None]:
    if reach is None:
        return {"estimate": estimate, "low": None, "high": None}
    return {"estimate": estimate, "low": estimate - reach, "high": estimate + reach}


def cell(suite: str, name: str, arm: str, right: float, **more: Any) -> dict[str, Any]:
    return {
        "suite": suite,
        "cell": name,
        "arm": arm,
        "questions": 200,
        "patients": 80,
        "micro": number(right),
        "measures": {},
        **more,
    }


def report(folder: Path) -> Path:
    """A report with round numbers: tuned is better on balanced, balanced is better on neither."""
    scores = {"erm": (0.88, 0.76), "tuned": (0.87, 0.80), "balanced": (0.86, 0.75)}
    cells, comparisons = [], []
    for arm, (confounded, balanced) in scores.items():
        calibration = {"equal_mass": {"error": number(0.05 if arm == "erm" else 0.02, 0.01)}}
        cells += [
            cell("observed", CONFOUNDED.cell, arm, confounded),
            cell("balanced-do-question", BALANCED.cell, arm, balanced, calibration=calibration),
            # The same trials stand in the wording suite too.
            cell("wording", BALANCED.cell, arm, balanced, calibration=None),
            cell("random-ecg", RANDOM, arm, 0.5, measures={"flips": number(0.4)}),
            cell(
                "interventional",
                PLANTED,
                arm,
                0.7,
                measures={"divergence from do(Q)": number(0.4 if arm == "erm" else 0.1, 0.04)},
            ),
        ]
        for name, difference in (
            (CONFOUNDED.cell, confounded - 0.88),
            (BALANCED.cell, balanced - 0.76),
        ):
            comparisons.append(
                {
                    "suite": "wording",
                    "cell": name,
                    "first": arm,
                    "second": "erm",
                    "difference": number(difference, 0.015),
                }
            )
    tree = {"format": FORMAT_VERSION, "examination": {"cells": cells, "comparisons": comparisons}}
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(tree))
    return folder


@pytest.fixture
def result(plan: StudyPlan) -> StudyResult:
    """The first condition is judged, a run of it has failed; of the second nothing is left."""
    records: dict[Run, RunRecord] = {}
    for run in plan.runs:
        if run.condition != plan.conditions[0].name:
            continue
        if (run.arm, run.seed) == ("balanced", 1):
            records[run] = RunRecord("k", "failed", "loss | not finite")
        else:
            records[run] = RunRecord("k", "finished", seconds=9.0, training_seconds=6.0 + run.seed)
    judged = [
        Judged(report(plan.conditions[0].folder / "report"), ("erm", "tuned", "balanced"), (0,)),
        Judged(None, reason="no run of the baseline erm is finished"),
    ]
    tables = tuple(
        condition_table(plan, condition, found, records)
        for condition, found in zip(plan.conditions, judged, strict=True)
    )
    return StudyResult(plan, tables, records, parallel=2, seconds=61.0)


def test_the_table_has_the_reports_numbers(result: StudyResult) -> None:
    table = result.tables[0]
    erm, tuned, balanced = table.rows
    assert list(table.questions) == [
        "confounded",
        "balanced",
        "random ECG",
        "ECE",
        "divergence from do(Q)",
    ]
    assert tuned.values["balanced"] == Value(**number(0.80))
    assert tuned.values["ECE"] == Value(**number(0.02, 0.01))
    assert tuned.differences["balanced"].estimate == pytest.approx(0.04)
    assert erm.reductions == {}
    assert tuned.reductions["divergence from do(Q)"].estimate == pytest.approx(4.0)
    assert tuned.training_seconds == pytest.approx(6.5)
    assert [row.on_front for row in table.rows] == [True, True, False]
    assert [row.verdict for row in table.rows] == [
        "baseline",
        "better on balanced, no difference shown on confounded",
        "no difference shown on balanced, worse on confounded",
    ]
    assert (balanced.finished, balanced.failed, balanced.seeds) == (1, 1, 2)
    assert balanced.reasons == ("loss | not finite",)


def test_what_was_not_judged_says_why(result: StudyResult) -> None:
    table = result.tables[1]
    assert table.report == ""
    assert table.reason == "no run of the baseline erm is finished"
    assert {row.verdict for row in table.rows} == {"not judged"}
    assert result.counts == {"finished": 5, "failed": 1, "left": 6}


def test_the_files_and_the_terminal_show_the_same(result: StudyResult) -> None:
    write_results(result)
    tree = json.loads((result.folder / "study.json").read_text(), parse_constant=pytest.fail)
    saved = tree["conditions"][0]["rows"][1]["differences"]["balanced"]["estimate"]
    assert saved == pytest.approx(0.04)
    assert [run["status"] for run in tree["runs"]].count("left") == 6
    text = (result.folder / "study.md").read_text()
    assert text == markdown(result)
    assert "| tuned ◆ | 87.0 (85.0 to 89.0) | 80.0 (78.0 to 82.0) |" in text
    assert "| against erm | -1.0 (-2.5 to +0.5) | +4.0 (+2.5 to +5.5) |" in text
    assert "4.00 times smaller (2.65 to 6.04)" in text
    assert "- balanced: loss | not finite" in text
    assert "[The judge's report](strong-confounding/report/report.html)" in text
    lines = text.splitlines()
    heads = [line for line in lines if line.startswith("| arm")]
    widths = {line.count("|") for line in lines if line.startswith("| ")}
    assert len(heads) == 2
    assert widths == {head.count("|") for head in heads}
    stream = io.StringIO()
    print_result(result, Console(file=stream, width=200))
    assert "tuned: better on balanced, no difference shown on confounded" in stream.getvalue()
    assert "runs: 5 finished, 1 failed, 6 left" in stream.getvalue()


@pytest.mark.parametrize(
    ("balanced", "confounded", "words"),
    [
        ((0.01, 0.03), (-0.005, 0.02), "better on balanced, not worse on confounded"),
        ((0.01, 0.03), (-0.03, -0.001), "better on balanced, worse on confounded"),
        ((-0.02, 0.03), (-0.02, 0.03), "no difference shown on balanced, no difference shown"),
        ((-0.002, 0.03), (0.001, 0.03), "not worse on balanced, better on confounded"),
        ((-0.004, -0.001), (0.0, 0.0), "worse on balanced, not worse on confounded"),
    ],
)
def test_verdicts(
    balanced: tuple[float, float], confounded: tuple[float, float], words: str
) -> None:
    differences = {
        column.title: Value((low + high) / 2, low, high)
        for column, (low, high) in ((BALANCED, balanced), (CONFOUNDED, confounded))
    }
    assert verdict(differences, margin_points=1.0).startswith(words)


def test_without_intervals_there_is_no_verdict() -> None:
    assert verdict({}, 1.0) == "not determined"
    assert verdict({BALANCED.title: Value(0.3, None, None)}, 1.0) == "not determined"


def test_a_wider_margin_makes_more_of_them_not_worse() -> None:
    differences = {BALANCED.title: Value(0.0, -0.015, 0.015)}
    assert verdict(differences, 1.0) == "no difference shown on balanced"
    assert verdict(differences, 2.0) == "not worse on balanced"


def test_the_front_is_what_nothing_beats() -> None:
    points = {"a": (1.0, 0.0), "b": (0.0, 1.0), "c": (0.5, 0.5), "d": (0.5, 0.4), "e": (0.5, 0.5)}
    assert pareto_front(points) == {"a", "b", "c", "e"}
    assert pareto_front({"only": (0.1, 0.1)}) == {"only"}
    assert pareto_front({}) == frozenset()


def test_a_reduction_is_a_ratio_whose_interval_widens_with_either_error() -> None:
    exact = Value(0.1, 0.1, 0.1)
    found = reduction(Value(0.3, 0.3, 0.3), exact)
    assert found == Value(pytest.approx(3.0), pytest.approx(3.0), pytest.approx(3.0))
    wide = reduction(Value(0.3, 0.24, 0.36), exact)
    assert wide is not None
    assert wide.low == pytest.approx(3 / math.exp(0.2))
    wider = reduction(Value(0.3, 0.24, 0.36), Value(0.1, 0.09, 0.11))
    assert wider is not None
    assert wider.low is not None
    assert wider.low < wide.low
    assert reduction(Value(0.3, None, None), exact) == Value(pytest.approx(3.0), None, None)
    assert reduction(exact, Value(0.0, 0.0, 0.0)) is None
