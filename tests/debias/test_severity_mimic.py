"""Severity by the machine's global statement, on hand-written reports in MIMIC-IV-ECG's wording."""

from __future__ import annotations

import pytest

from truelead.debias.severity.mimic import STATEMENTS, MimicSeverity
from truelead.types import Record

NORMAL, OTHERWISE, BORDERLINE, ABNORMAL, UNJUDGED = range(5)


def stratum(*lines: str, separator: str = "\n") -> int:
    return MimicSeverity()(Record("1", "1", "mimic", "1", report=separator.join(lines)))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("Sinus rhythm", "Normal ECG"), NORMAL),
        (("Sinus rhythm", "Normal ECG based on available leads"), NORMAL),
        (("Sinus rhythm", "Within normal limits"), NORMAL),
        (("Sinus tachycardia", "Normal ECG except for rate"), OTHERWISE),
        (("Sinus rhythm with PACs", "- OTHERWISE NORMAL ECG -"), OTHERWISE),
        (("Small inferior Q waves noted: probably normal ECG",), OTHERWISE),
        (("Sinus rhythm", "Possible right atrial abnormality", "Borderline ECG"), BORDERLINE),
        (("Atrial fibrillation", "Low QRS voltages", "Abnormal ECG"), ABNORMAL),
        (("Sinus rhythm", "Abnormal rhythm ECG."), ABNORMAL),
        (("Pacemaker rhythm - no further analysis",), UNJUDGED),
        (("Sinus rhythm", "Left axis deviation"), UNJUDGED),
        (("",), UNJUDGED),
    ],
)
def test_the_global_statement_decides(lines: tuple[str, ...], expected: int) -> None:
    for separator in ("\n", "\r\n", "; ", " | ", ". "):
        assert stratum(*lines, separator=separator) == expected


@pytest.mark.parametrize(
    "line",
    [
        "Left ventricular hypertrophy with repolarization abnormality",
        "Nonspecific T wave abnormalities",
        "Normal sinus rhythm",
        "Normal axis",
        "Borderline left axis deviation",
        "When compared with ECG of 02-JAN-2180, normal sinus rhythm has replaced flutter",
        "Abnormal ECG compared with the previous one",
    ],
)
def test_lines_that_do_not_judge_the_whole_ecg_decide_nothing(line: str) -> None:
    assert stratum(line) == UNJUDGED
    assert stratum(line, "Normal ECG") == NORMAL


def test_the_most_severe_of_several_statements_counts() -> None:
    assert stratum("Normal ECG except for rate", "Abnormal ECG") == ABNORMAL
    assert stratum("Borderline ECG", "Normal ECG") == BORDERLINE


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Normal resting ECG", OTHERWISE),
        ("Markedly abnormal ECG", ABNORMAL),
        ("Possibly borderline ECG", BORDERLINE),
        ("ECG is abnormal", ABNORMAL),
    ],
)
def test_unknown_words_about_the_whole_ecg_have_a_stated_place(line: str, expected: int) -> None:
    assert stratum(line) == expected


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_known_statement_is_found_in_any_case_and_ornament(statement: str) -> None:
    for form in (statement, statement.upper(), f"- {statement.title()} -", f"*** {statement} ***"):
        assert stratum("Sinus rhythm", form) == STATEMENTS[statement]
