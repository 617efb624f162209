"""Baselines that see the ECG: what theory gives where the ECG tells all, something, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from truelead.evaluate.ecg_baselines import ECG_BASELINES, EcgOnly, Evidence, LabelClassifier
from truelead.evaluate.examination import examine
from truelead.evaluate.metrics import score
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.regression import LogisticRegression
from truelead.evaluate.suites import SuiteContext
from truelead.questions.bank import QuestionBank
from truelead.types import Question, Record

from .conftest import CODES

BANK = QuestionBank()


class Readable:
    """Features that hold each statement as a number; nothing of an ECG that is changed."""

    def __init__(self, records: dict[str, Record]) -> None:
        self._records = records

    def __call__(self, record_ids: Sequence[str], change: str = "") -> NDArray[np.float32]:
        rows = [
            [float(code in self._records[name].scp_codes) - 0.5 if not change else 0.0
             for code in CODES]
            for name in record_ids
        ]  # fmt: skip
        return np.array(rows, np.float32)


def noise(record_ids: Sequence[str], change: str = "") -> NDArray[np.float32]:
    return np.array([[len(name), 1.0] for name in record_ids], np.float32)


@pytest.fixture(scope="module")
def bank_set(clinic: Any) -> tuple[Question, ...]:
    """Template 2 of the bank, balanced."""
    found = []
    for code in CODES:
        test = [record for record in clinic.records.values() if record.split == "valid"]
        sides = [[r for r in test if (code in r.scp_codes) == has] for has in (True, False)]
        for yes, no in zip(*sides, strict=False):
            found += [BANK.ask(2, code, (record,)) for record in (yes, no)]
    return tuple(found)


@pytest.fixture(scope="module")
def evidence(clinic: Any) -> Evidence:
    readable = Readable(clinic.records)
    train = [
        BANK.ask(2, code, (record,))
        for record in clinic.records.values()
        if record.split == "train"
        for code in CODES
    ]
    return Evidence(readable, noise, train, clinic.records)


def test_the_classifier_is_the_upper_bound(evidence: Evidence, bank_set: Any) -> None:
    classifier = LabelClassifier(evidence.features, evidence)
    trials = [Trial.of(question) for question in bank_set]
    assert all(classifier.covers(trial.question) for trial in trials)
    found = classifier.predict(trials)
    assert score(trials, found).micro == 1.0
    for prediction in found:
        assert sum(prediction.option_probabilities.values()) == pytest.approx(1.0)
    assert classifier.predict([]) == []


def test_without_an_ecg_the_classifier_knows_nothing(evidence: Evidence, bank_set: Any) -> None:
    classifier = LabelClassifier(evidence.features, evidence)
    for change in ("none", "flat"):
        trials = [Trial.of_changed(question, change) for question in bank_set]
        answers: dict[str, set[tuple[str, ...]]] = {}
        for trial, found in zip(trials, classifier.predict(trials), strict=True):
            answers.setdefault(trial.question.question_id, set()).add(found.answers)
        assert all(len(different) == 1 for different in answers.values())
        assert score(trials, classifier.predict(trials)).micro == 0.5


def test_the_rules_answer_other_questions_from_what_is_found(
    evidence: Evidence, clinic: Any
) -> None:
    classifier = LabelClassifier(evidence.features, evidence)
    test = [record for record in clinic.records.values() if record.split == "valid"][:40]
    questions = [
        question
        for record in test
        for question in (
            BANK.ask(1, "IMI", (record,)), BANK.ask(8, (), (record,)), BANK.ask(14, (), (record,)),
            BANK.ask(6, ("PVC", "LVOLT"), (record,)),
        )
    ]  # fmt: skip
    pairs = [
        BANK.ask(57, "AFIB", pair)
        for pair in zip(test, test[2:], strict=False)
        if pair[0].patient_id != pair[1].patient_id
    ]
    assert not classifier.covers(questions[3]), "no ECG has low voltage: there is no classifier"
    asked = [question for question in (*questions, *pairs) if classifier.covers(question)]
    trials = [Trial.of(question) for question in asked]
    assert {trial.question.template_id for trial in trials} == {1, 8, 14, 57}
    assert score(trials, classifier.predict(trials)).micro == 1.0


def test_what_statements_do_not_answer_is_not_covered(evidence: Evidence, clinic: Any) -> None:
    classifier = LabelClassifier(evidence.features, evidence)
    record = replace(next(iter(clinic.records.values())), heart_axis="LAD")
    assert not classifier.covers(BANK.ask(22, (), (record,)))
    assert not classifier.covers(BANK.ask(27, "burst noise", (record,)))
    official = replace(BANK.ask(2, "IMI", (record,)), question_id="ecg-qa:12")
    assert not classifier.covers(official)


def test_who_sees_the_ecg_alone_answers_every_question_about_it_alike(
    evidence: Evidence, bank_set: Any
) -> None:
    baseline = EcgOnly(evidence.features, evidence)
    trials = [Trial.of(question) for question in bank_set]
    answers: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for trial, found in zip(trials, baseline.predict(trials), strict=True):
        answers.setdefault(trial.shown, set()).add(found.answers)
    assert all(len(different) == 1 for different in answers.values())
    nothing = baseline.predict([Trial.of_changed(bank_set[0], "none")])[0]
    assert nothing.answers == ("no",), "the commoner answer"
    choice = replace(bank_set[0], question_type="single-choose")
    assert not baseline.covers(choice)


def test_who_sees_the_ecg_alone_gains_from_severity() -> None:
    """Ill patients are asked what they have: how ill they are gives the answer away."""
    records = {str(i): Record(str(i), f"p{i}", "s", "", split="train") for i in range(60)}
    train = [
        Question("?", ("yes" if i % 2 else "no",), ("no", "yes"), (str(i),), "single-verify", 2,
                 f"2:{CODES[i % 5]}", "w")
        for i in range(60)
    ]  # fmt: skip

    def severity(record_ids: Sequence[str], change: str = "") -> NDArray[np.float32]:
        return np.array([[float(int(name) % 2)] for name in record_ids], np.float32)

    baseline = EcgOnly(severity, Evidence(severity, severity, train, records))
    trials = [Trial.of(question) for question in train]
    assert score(trials, baseline.predict(trials)).micro == 1.0


def test_cells_beyond_a_baseline_are_left_out_and_the_rest_compared(
    evidence: Evidence, clinic: Any, bank_set: Any
) -> None:
    record = replace(next(iter(clinic.records.values())), heart_axis="LAD")
    axis = BANK.ask(22, (), (record,))
    context = SuiteContext(
        {"balanced/test-wordings": bank_set, "confounded/test-wordings": (*bank_set, axis)},
        clinic.records,
        lambda *_: None,
    )

    class No:
        def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
            return [Prediction(("no",))] * len(trials)

    found = examine(
        context,
        {"no": [No]},
        (),
        ecg_baselines={
            name: (lambda fit=fit: fit(evidence))  # type: ignore[misc]
            for name, fit in ECG_BASELINES.items()
        },
        samples=100,
    )
    assert found.baselines == tuple(ECG_BASELINES)
    cell = ("balanced-do-question", "balanced/test-wordings")
    best = found.cell(*cell, "label-classifier")
    assert best is not None
    assert best.micro.estimate == 1.0
    assert best.baseline
    lead = found.comparison(*cell, "no", "label-classifier")
    assert lead is not None
    assert lead.difference.estimate == -0.5
    assert found.cell("observed", "confounded/test-wordings", "label-classifier") is None
    assert found.cell("observed", "confounded/test-wordings", "no") is not None
    swapped = found.cell("random-ecg", "balanced/test-wordings/gaussian-noise", "label-classifier")
    assert swapped is not None
    assert swapped.micro.estimate == 0.5


def test_regression_finds_the_weights_that_made_the_data() -> None:
    random = np.random.default_rng(0)
    x_NF = random.normal(size=(4000, 3)) * [1.0, 10.0, 0.1] + 5
    logits_N = 1.5 * (x_NF[:, 0] - 5) - 0.1 * (x_NF[:, 1] - 5)
    y_N = random.random(4000) < 1 / (1 + np.exp(-logits_N))
    model = LogisticRegression(x_NF, y_N[:, None], outputs="each", strength=1e-6)
    expected = 1 / (1 + np.exp(-logits_N))
    assert np.abs(model.probabilities(x_NF)[:, 0] - expected).mean() < 0.02
    both = np.stack([1 - y_N, y_N], axis=1)
    softmax = LogisticRegression(x_NF, both, outputs="one", strength=1e-6)
    assert np.abs(softmax.probabilities(x_NF)[:, 1] - expected).mean() < 0.02
    weighted = LogisticRegression(
        np.zeros((2, 1)), np.eye(2), outputs="one", weights_N=np.array([3.0, 1.0])
    )
    assert weighted.probabilities(np.zeros((1, 1)))[0] == pytest.approx([0.75, 0.25], abs=1e-3)
    unknown = model.probabilities(np.full((1, 3), np.nan))
    assert unknown == pytest.approx(model.probabilities(x_NF.mean(0)[None]))
