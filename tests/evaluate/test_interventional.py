"""The interventional suite: who answers with the truth has no error, the others the exact one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from truelead.config import PlantedConfig, QuestionsConfig
from truelead.data.planted_set import planted_record
from truelead.debias.planted import draw_set, interventional_error
from truelead.debias.setup.planted import PlantedSetup
from truelead.debias.severity.planted import PlantedSeverity
from truelead.evaluate.examination import Examination, examine
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.results import CellResult
from truelead.evaluate.suites import SuiteContext
from truelead.evaluate.suites.interventional import Interventional, probability_of_yes
from truelead.types import Question, Record

CELL = "interventional/test-wordings"


class Answering:
    """Answers with one of the two truths, or with a number of its own."""

    def __init__(self, yes: Callable[[Question], float]) -> None:
        self._yes = yes

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        shares = [self._yes(trial.question) for trial in trials]
        return [
            Prediction(("yes" if yes > 0.5 else "no",), {"yes": yes, "no": 1 - yes})
            for yes in shares
        ]


class Silent:
    """Says nothing that can be used."""

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [Prediction(("",))] * len(trials)


class Certain:
    """Always "yes", and gives no probability."""

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [Prediction(("yes",))] * len(trials)


def setup_of(dials: PlantedConfig) -> PlantedSetup:
    records = [
        planted_record(
            Record(str(row), str(row), "hand", "", split="valid" if row % 2 else "train"), ecg
        )
        for row, ecg in enumerate(draw_set(dials), start=1)
    ]
    return PlantedSetup.build(
        records,
        QuestionsConfig(setup="planted"),
        PlantedSeverity(dials.strata),
        test_split="valid",
        planted=dials,
    )


def context_of(setup: PlantedSetup) -> SuiteContext:
    sets = {CELL: setup.test_sets()[CELL]}
    return SuiteContext(sets, setup.records, lambda *_: None, truth=setup.truth)


@pytest.fixture(scope="module")
def setup() -> PlantedSetup:
    return setup_of(PlantedConfig(ecgs=120, conditions=4))


@pytest.fixture(scope="module")
def examination(setup: PlantedSetup) -> Examination:
    return examine(
        context_of(setup),
        {
            "oracle": [lambda: Answering(lambda question: setup.truth(question)[0])],
            "observational": [lambda: Answering(lambda question: setup.truth(question)[1])],
            "even": [lambda: Answering(lambda _: 0.5)],
            "certain": [Certain],
            "silent": [Silent],
        },
        [q for group in setup.groups("train") for q in setup.observed(group, 0)],
        samples=100,
    )


def result_of(examination: Examination, arm: str) -> CellResult:
    found = examination.cell("interventional", CELL, arm)
    assert found is not None
    return found


def truths(setup: PlantedSetup) -> np.ndarray:
    return np.array([setup.truth(question) for question in setup.test_sets()[CELL]])


def test_the_truth_has_no_error(examination: Examination) -> None:
    measures = result_of(examination, "oracle").measures
    assert measures["divergence from do(Q)"].estimate == pytest.approx(0, abs=1e-12)
    assert measures["difference from do(Q)"].estimate == pytest.approx(0, abs=1e-12)
    assert measures["difference from observed Q"].estimate > 0.03
    other = result_of(examination, "observational").measures
    assert other["divergence from observed Q"].estimate == pytest.approx(0, abs=1e-12)


def test_observational_answers_have_the_analytic_error(
    examination: Examination, setup: PlantedSetup
) -> None:
    do_Q, observed_Q = truths(setup).T
    expected = interventional_error(do_Q, observed_Q)
    measures = result_of(examination, "observational").measures
    assert measures["divergence from do(Q)"].estimate == pytest.approx(expected.divergence)
    assert measures["difference from do(Q)"].estimate == pytest.approx(expected.difference)
    assert measures["divergence from do(Q)"].low > 0


def test_an_even_answer_misses_by_the_missing_entropy(
    examination: Examination, setup: PlantedSetup
) -> None:
    do_Q = truths(setup)[:, 0]
    entropy_Q = -(do_Q * np.log(do_Q) + (1 - do_Q) * np.log(1 - do_Q))
    found = result_of(examination, "even").measures["divergence from do(Q)"]
    assert found.estimate == pytest.approx(float(math.log(2) - entropy_Q.mean()))


def test_answers_without_probabilities_count_as_certain(
    examination: Examination, setup: PlantedSetup
) -> None:
    do_Q = truths(setup)[:, 0]
    expected = interventional_error(do_Q, np.ones_like(do_Q))
    found = result_of(examination, "certain").measures
    assert found["divergence from do(Q)"].estimate == pytest.approx(expected.divergence)
    assert found["difference from do(Q)"].estimate == pytest.approx(expected.difference)
    assert "global-majority" in examination.baselines
    blind = result_of(examination, "global-majority").measures["difference from do(Q)"]
    assert blind.estimate in (
        pytest.approx(float(do_Q.mean())),
        pytest.approx(float(1 - do_Q.mean())),
    )


def test_silence_is_never_better_than_an_answer(examination: Examination) -> None:
    silent = result_of(examination, "silent").measures["divergence from do(Q)"].estimate
    for arm in ("oracle", "observational", "even", "certain"):
        answered = result_of(examination, arm).measures["divergence from do(Q)"].estimate
        assert silent > answered


@pytest.mark.parametrize(
    ("prediction", "truth", "yes"),
    [
        (Prediction(("no",), {"yes": 0.3, "no": 0.6, "not sure": 0.1}), 0.5, 1 / 3),
        (Prediction(("no",), {"no": 0.8}), 0.5, 0.0),
        (Prediction(("No ",)), 0.9, 0.0),
        (Prediction(("yes",)), 0.1, 1.0),
        (Prediction(("yes", "no")), 0.9, 0.0),
        (Prediction(("perhaps",)), 0.1, 1.0),
    ],
)
def test_the_probability_of_yes(prediction: Prediction, truth: float, yes: float) -> None:
    assert probability_of_yes(prediction, truth) == pytest.approx(yes)


def test_without_confounding_the_observational_answers_are_right() -> None:
    setup = setup_of(PlantedConfig(ecgs=40, confounding=0.0))
    observational = Answering(lambda question: setup.truth(question)[1])
    found = examine(context_of(setup), {"observational": [lambda: observational]}, (), samples=100)
    for measure in result_of(found, "observational").measures.values():
        assert measure.estimate == pytest.approx(0, abs=1e-9)


def test_questions_asked_of_nobody_have_no_observed_truth() -> None:
    setup = setup_of(PlantedConfig(ecgs=60, positivity=0.0, severity_readable=1.0))
    context = context_of(setup)
    trials = Interventional().cells(context)[CELL]
    even = dict(zip(trials, Answering(lambda _: 0.5).predict(trials), strict=True))
    measures = Interventional().measures(context, CELL, trials, even)
    asked_Q = np.isfinite(truths(setup)[:, 1])
    assert 0 < asked_Q.sum() < len(trials)
    assert len(measures["divergence from do(Q)"].rows_Q) == len(trials)
    np.testing.assert_array_equal(
        measures["divergence from observed Q"].rows_Q, np.flatnonzero(asked_Q)
    )
    assert all(np.isfinite(measure.values_Q).all() for measure in measures.values())


def test_there_are_no_cells_without_a_truth(setup: PlantedSetup) -> None:
    context = context_of(setup)
    assert Interventional().cells(context)
    assert Interventional().cells(replace(context, truth=None)) == {}
    assert Interventional().cells(replace(context, test_sets={})) == {}
