"""What a run writes down of its draw: numbers, positivity violations by name, strata."""

from __future__ import annotations

import json

import pytest

from truelead.config import StageConfig
from truelead.debias.adjustment import ADJUSTMENTS, build_adjustment
from truelead.debias.diagnostics import never_asked
from truelead.debias.setup import Setup


@pytest.mark.parametrize("strategy", ADJUSTMENTS)
def test_a_report_holds_the_diagnostics_and_names_what_is_missing(
    setup: Setup, strategy: str
) -> None:
    adjustment = build_adjustment(
        StageConfig(strategy=strategy, questions_per_ecg=4), setup, seed=0
    )
    report = adjustment.report()
    names = report.pop("positivity_violation_names")
    assert len(names) == report["positivity_violations"]
    strata = report.pop("strata")
    assert tuple(strata) == setup.severity.strata
    assert sum(strata.values()) == pytest.approx(1.0)
    assert report == adjustment.diagnostics()
    assert json.loads(json.dumps(report)) == report


def test_observed_questions_leave_out_what_a_stratum_never_has(setup: Setup) -> None:
    adjustment = build_adjustment(StageConfig(questions_per_ecg=4), setup, seed=0)
    drawn = {
        (item.question.question_id, item.stratum)
        for group in setup.groups("train")
        for item in adjustment.draw(group, 0)
    }
    missing = {
        (question, stratum)
        for question, _ in drawn
        for stratum in range(3)
        if (question, stratum) not in drawn
    }
    assert missing
    names = adjustment.violations()
    assert len(names) == len(missing)
    for question, stratum in missing:
        assert f"{question} is never drawn in stratum {setup.severity.strata[stratum]!r}" in names


def test_do_question_asks_every_stratum_everything(setup: Setup) -> None:
    adjustment = build_adjustment(
        StageConfig(strategy="do-question", questions_per_ecg=8), setup, seed=0
    )
    assert adjustment.violations() == ()


def test_what_is_never_asked_is_named_in_order() -> None:
    asked = {("b", 0), ("a", 1), ("b", 1)}
    assert never_asked(asked, ("well", "ill"), "observed") == (
        "a is never observed in stratum 'well'",
    )
    assert never_asked(asked - {("b", 0)}, ("well", "ill"), "drawn") == (
        "a is never drawn in stratum 'well'",
        "b is never drawn in stratum 'well'",
    )
    assert never_asked(set(), ("well", "ill"), "drawn") == ()
