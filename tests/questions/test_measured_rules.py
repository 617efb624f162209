"""Numeric templates: answered by measurements alone, and never guessed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from truelead.questions.bank import QuestionBank
from truelead.questions.measured_rules import (
    MEASURED_RULES,
    NORMAL_RANGES,
    NUMERIC_FEATURES,
    RANGES,
    range_of,
)
from truelead.questions.rules import Unanswerable
from truelead.signal.delineation import FEATURES
from truelead.types import Record

BANK = QuestionBank()
BELOW, WITHIN, ABOVE = RANGES
SLOW = Record(
    "1",
    "1",
    "made",
    "made",
    measurements={
        "rr interval": 1100.0,
        "p duration": 130.0,
        "pr interval": 110.0,
        "qrs duration": 90.0,
        "qt interval": 400.0,
        "qt corrected": 381.4,
        "heart rate": 54.5,
    },
)
USUAL = replace(
    SLOW,
    record_id="2",
    measurements={**SLOW.measurements, "rr interval": 800.0, "qrs duration": 140.0},
)
STRANGER = replace(USUAL, record_id="3", patient_id="2")


def answers(template_id: int, attributes: object, *records: Record) -> set[str]:
    return set(BANK.ask(template_id, attributes, records).answers)  # type: ignore[arg-type]


def test_features_have_a_range_and_are_measured() -> None:
    assert set(NORMAL_RANGES) == set(NUMERIC_FEATURES) <= set(FEATURES)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(599.9, BELOW), (600.0, WITHIN), (1000.0, WITHIN), (1000.1, ABOVE)],
)
def test_limits_are_normal(value: float, expected: str) -> None:
    record = replace(SLOW, measurements={"rr interval": value})
    assert range_of(record, "rr interval") == expected


def test_no_p_wave_is_too_short() -> None:
    assert range_of(replace(SLOW, measurements={"p duration": 1.0}), "p duration") == WITHIN


@pytest.mark.parametrize(
    ("template_id", "attributes", "expected"),
    [
        (39, ("rr interval", ABOVE), {"yes"}),
        (39, ("rr interval", WITHIN), {"no"}),
        (40, ("rr interval", BELOW, ABOVE), {ABOVE}),
        (40, ("rr interval", BELOW, WITHIN), {"none"}),
        (41, "pr interval", {BELOW}),
        (42, ABOVE, {"rr interval", "p duration"}),
        (42, BELOW, {"pr interval"}),
        (42, WITHIN, {"qrs duration", "qt interval", "qt corrected"}),
    ],
)
def test_one_ecg(template_id: int, attributes: object, expected: set[str]) -> None:
    assert answers(template_id, attributes, SLOW) == expected


@pytest.mark.parametrize(("start", "second"), [(50, USUAL), (64, STRANGER)])
def test_two_ecgs(start: int, second: Record) -> None:
    by_feature = {
        "rr interval": {start},
        "qrs duration": {start + 1},
        "p duration": {start + 2},
        "pr interval": {start + 2},
        "qt interval": {start + 3},
        "qt corrected": {start + 3},
    }
    for feature, expected in by_feature.items():
        yes = {t for t in range(start, start + 4) if answers(t, feature, SLOW, second) == {"yes"}}
        assert yes == expected, feature
    assert answers(start + 4, (), SLOW, second) == {"rr interval"}
    assert answers(start + 5, (), SLOW, second) == {"qrs duration"}
    assert answers(start + 6, (), SLOW, second) == {"p duration", "pr interval"}
    assert answers(start + 5, (), SLOW, replace(second, measurements=SLOW.measurements)) == {"none"}


def test_what_was_not_measured_is_not_answered() -> None:
    measurements = {k: v for k, v in SLOW.measurements.items() if k != "pr interval"}
    fibrillation = replace(SLOW, measurements=measurements)
    assert answers(41, "rr interval", fibrillation) == {ABOVE}
    for template_id, attributes in [(41, "pr interval"), (42, ABOVE), (39, ("pr interval", BELOW))]:
        with pytest.raises(Unanswerable, match="1: measurements: expected pr interval, found none"):
            BANK.ask(template_id, attributes, (fibrillation,))
    with pytest.raises(Unanswerable, match="pr interval"):
        BANK.ask(68, (), (SLOW, replace(fibrillation, patient_id="9")))


def test_records_without_measurements_are_asked_nothing_new() -> None:
    """Neither the questions nor the random draws of the others change."""
    labelled = Record("1", "1", "made", "made", scp_codes={"NORM": 100.0, "SR": 0.0})
    assert not {q.template_id for q in BANK.candidates((labelled,))} & set(MEASURED_RULES)
    measured = replace(labelled, measurements=SLOW.measurements)

    def drawn(record: Record) -> list[str]:
        return [q.text for q in BANK.questions((record,), rng=np.random.default_rng(5))]

    assert drawn(labelled) == drawn(measured)[: len(drawn(labelled))]
    assert len(drawn(measured)) > len(drawn(labelled))


def test_options_of_a_choice_are_the_ranges_alone() -> None:
    assert BANK.options(40, ("rr interval", BELOW, ABOVE)) == (BELOW, ABOVE, "none")
