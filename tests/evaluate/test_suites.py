"""Contract of every suite, and what each of them must find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from truelead.evaluate.examination import Examination, examine
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.reliance import reliance
from truelead.evaluate.suites import SUITES, SuiteContext
from truelead.evaluate.suites.random_ecg import substitutes
from truelead.types import Question, Record


@pytest.fixture(scope="module")
def examination(clinic: Any, oracle: Any, blind: Any) -> Examination:
    arms = {"blind": [lambda: blind], "oracle": [lambda: oracle, lambda: oracle]}
    return examine(clinic.context, arms, clinic.train, samples=200)


@pytest.mark.parametrize("name", list(SUITES))
def test_suites_plan_the_same_trials_twice(name: str, clinic: Any) -> None:
    suite = SUITES[name]()
    assert suite.title
    assert suite.explanation
    assert suite.cells(clinic.context) == suite.cells(clinic.context)


@pytest.mark.parametrize("name", list(SUITES))
def test_suites_leave_out_what_the_setup_lacks(name: str) -> None:
    assert SUITES[name]().cells(SuiteContext({}, {}, lambda *_: None)) == {}


def test_substitutes_are_never_of_the_same_patient(clinic: Any) -> None:
    context = clinic.context
    cells = SUITES["random-ecg"]().cells(context)
    forms = ("random-ecg", "same-severity", "opposite-severity", "gaussian-noise", "flat", "no-ecg")
    assert {cell.rpartition("/")[2] for cell in cells} == set(forms)
    for cell, trials in cells.items():
        for trial in trials:
            if not cell.endswith(forms[:3]):
                assert trial.change
                assert trial.shown == (() if trial.change == "none" else trial.question.ecg_ids)
                continue
            own = {context.records[ecg].patient_id for ecg in trial.question.ecg_ids}
            shown = {context.records[ecg].patient_id for ecg in trial.shown}
            assert not own & shown


def test_substitutes_of_pairs_are_two_other_patients_ecgs() -> None:
    records = {str(i): Record(str(i), f"p{i // 2}", "s", "") for i in range(12)}
    pair = Question("?", ("none",), (), ("0", "1"), "comparison_consecutive-query", 60, "60:", "w")
    others = [
        Question("?", ("none",), (), (str(i), str(i + 1)), pair.question_type, 60, "60:", "w")
        for i in range(2, 11)
    ]
    shown = substitutes([pair, *others], records, [0])
    for group, picked in shown.items():
        assert len(set(picked)) == 2
        owners = {records[ecg].patient_id for ecg in group}
        assert not owners & {records[ecg].patient_id for ecg in picked}


def test_a_group_without_other_patients_is_left_out() -> None:
    records = {"a": Record("a", "p", "s", ""), "b": Record("b", "p", "s", "")}
    questions = [
        Question("?", ("no",), (), (name,), "single-verify", 1, "1:X", "w") for name in records
    ]
    assert substitutes(questions, records, [0]) == {}


def test_a_blind_model_is_unmasked(examination: Examination) -> None:
    balanced = examination.cell("balanced-do-question", "balanced/test-wordings", "blind")
    assert balanced is not None
    assert balanced.micro.estimate == 0.5
    confounded = examination.cell("observed", "confounded/test-wordings", "blind")
    assert confounded is not None
    assert confounded.micro.estimate == 1.0
    swapped = examination.cell("random-ecg", "balanced/test-wordings/random-ecg", "blind")
    assert swapped is not None
    assert swapped.measures["flips"].estimate == 0.0
    assert swapped.measures["drop"].estimate == 0.0
    verdict = next(found for found in reliance(examination) if found.arm == "blind")
    assert verdict.verdict == "no evidence that it reads the ECG"


def test_an_oracle_reaches_100_percent_and_follows_the_shown_ecg(
    examination: Examination,
) -> None:
    for suite, cell in {(r.suite, r.cell) for r in examination.cells}:
        result = examination.cell(suite, cell, "oracle")
        assert result is not None
        assert result.seeds == 2
        if suite != "random-ecg":
            assert result.micro.estimate == 1.0
    swapped = examination.cell("random-ecg", "balanced/test-wordings/random-ecg", "oracle")
    assert swapped is not None
    assert swapped.measures["follows the shown ECG"].estimate == 1.0
    # The right answer flips exactly where the drawn ECG's label differs.
    assert swapped.measures["flips"].estimate == pytest.approx(1 - swapped.micro.estimate)
    assert swapped.measures["drop"].estimate == pytest.approx(1 - swapped.micro.estimate)
    assert swapped.micro.low < 0.6 < swapped.micro.high + 0.15
    verdict = next(found for found in reliance(examination) if found.arm == "oracle")
    assert verdict.verdict == "reads the ECG"
    assert "100.0 %" in verdict.summary


def test_arms_are_compared_with_the_first_and_with_the_baselines(
    examination: Examination,
) -> None:
    cell = ("balanced-do-question", "balanced/test-wordings")
    gain = examination.comparison(*cell, "oracle", "blind")
    assert gain is not None
    assert gain.difference.estimate == 0.5
    assert gain.difference.above(0.3)
    none = examination.comparison(*cell, "blind", "question-only")
    assert none is not None
    assert not none.difference.above(0.0)


def test_wording_flips_are_found(clinic: Any, oracle: Any) -> None:
    class Parrot:
        """Right only in the words of training."""

        def predict(self, trials: Any) -> list[Prediction]:
            known = oracle.predict(trials)
            return [
                found if trial.question.wording_id.startswith("train") else Prediction(("",))
                for trial, found in zip(trials, known, strict=True)
            ]

    found = examine(clinic.context, {"parrot": [Parrot]}, (), samples=100)
    result = found.cell("wording", "balanced/test-wordings", "parrot")
    assert result is not None
    assert result.micro.estimate == 0.0
    assert result.failures == 1.0
    assert result.measures["wording drop"].estimate == 1.0
    assert result.measures["wording flips"].estimate == 1.0
    before = found.cell("wording", "balanced/train-wordings", "parrot")
    assert before is not None
    assert before.micro.estimate == 1.0


def test_official_rows_are_scored_by_type(clinic: Any) -> None:
    kinds = ("single-verify", "single-choose", "single-query")
    rows = tuple(
        Question("?", ("a", "b"), (), (name,), kind, 1, f"{kind}:x", "w")
        for kind in kinds
        for name, record in clinic.records.items()
        if record.split == "valid"
    )
    context = SuiteContext({"official/paraphrased": rows}, clinic.records, lambda *_: None)

    class OneType:
        def predict(self, trials: Any) -> list[Prediction]:
            return [
                Prediction(("b", "A") if t.question.question_type == kinds[0] else ("a",))
                for t in trials
            ]

    found = examine(context, {"one": [OneType]}, (), samples=100)
    result = found.cell("ecg-qa", "official/paraphrased", "one")
    assert result is not None
    assert result.macro.estimate == pytest.approx(1 / 3)
    assert {kind: value.estimate for kind, value in result.per_type.items()} == {
        "single-verify": 1.0,
        "single-choose": 0.0,
        "single-query": 0.0,
    }
    assert result.patients == 70
    assert np.isfinite(result.macro.low)


def test_a_trial_shows_as_many_ecgs_as_the_question_is_about(clinic: Any) -> None:
    question = clinic.train[0]
    with pytest.raises(AssertionError, match="as many ECGs"):
        Trial(question, ("1", "2"))
