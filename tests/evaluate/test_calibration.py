"""Calibration: theory's values for models whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truelead.evaluate.bootstrap import Clusters
from truelead.evaluate.calibration import calibration, given_probability
from truelead.evaluate.predictions import Prediction


def one_patient_each(questions: int) -> Clusters:
    return Clusters.of([(i,) for i in range(questions)])


def test_the_error_of_a_model_that_is_always_as_sure_and_half_right() -> None:
    confidence = np.full((1, 400), 0.9)
    correct = np.arange(400)[None] % 2 == 0
    found = calibration(confidence, correct, one_patient_each(400), samples=200)
    assert found is not None
    for binned in (found.equal_mass, found.equal_width):
        assert binned.error.estimate == pytest.approx(0.4)
        assert binned.error.low < 0.4 < binned.error.high
        # One bin: sqrt(2 / pi) of the standard deviation of a share, sqrt(0.9 * 0.1 / 400).
        assert binned.chance == pytest.approx(np.sqrt(2 / np.pi) * 0.015)
        assert [one.answers for one in binned.bins] == [400]
    assert found.confidence == pytest.approx(0.9)
    assert found.accuracy == 0.5


def test_a_calibrated_model_has_what_chance_leaves() -> None:
    random = np.random.default_rng(5)
    confidence = random.uniform(0.5, 1.0, (1, 20_000))
    correct = random.random(confidence.shape) < confidence
    found = calibration(confidence, correct, one_patient_each(20_000), samples=50)
    assert found is not None
    assert found.equal_mass.error.estimate == pytest.approx(found.equal_mass.chance, abs=0.005)
    assert len(found.equal_mass.bins) == 15
    counts = [one.answers for one in found.equal_mass.bins]
    assert max(counts) - min(counts) <= 1
    # Guo's bins of a fifteenth: confidences from 0.5 up lie in the last eight.
    assert len(found.equal_width.bins) == 8


def test_the_definition_on_a_few_answers() -> None:
    confidence = np.array([[0.95, 0.95, 0.55, 0.55]])
    correct = np.array([[True, False, True, True]])
    found = calibration(confidence, correct, one_patient_each(4), samples=50)
    assert found is not None
    # Half the answers with a gap of 0.45, half with one of 0.45.
    assert found.equal_width.error.estimate == pytest.approx(0.45)
    low, high = found.equal_width.bins
    assert (low.accuracy.estimate, high.accuracy.estimate) == (1.0, 0.5)


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=2, max_size=60))
@settings(max_examples=40, deadline=None)
def test_the_error_is_at_least_the_overall_gap_and_keeps_to_its_bounds(
    answers: list[tuple[float, bool]],
) -> None:
    confidence = np.array([[sure for sure, _ in answers]])
    correct = np.array([[right for _, right in answers]])
    found = calibration(confidence, correct, one_patient_each(len(answers)), samples=20)
    assert found is not None
    for binned in (found.equal_mass, found.equal_width):
        gap = abs(found.accuracy - found.confidence)
        assert gap - 1e-9 <= binned.error.estimate <= 1.0
        assert sum(one.answers for one in binned.bins) == len(answers)
        assert 0.0 <= binned.error.low <= binned.error.estimate <= binned.error.high <= 1.0


def test_the_order_of_the_answers_is_of_no_matter() -> None:
    random = np.random.default_rng(1)
    confidence = random.integers(5, 10, (2, 300)) / 10.0
    correct = random.random((2, 300)) < 0.7
    order = random.permutation(300)
    patients = [(int(i) // 3,) for i in range(300)]
    first = calibration(confidence, correct, Clusters.of(patients), samples=50)
    again = calibration(
        confidence[:, order], correct[:, order], Clusters.of([patients[i] for i in order]),
        samples=50,
    )  # fmt: skip
    assert first is not None
    assert again is not None
    assert first.equal_mass.error.estimate == pytest.approx(again.equal_mass.error.estimate)
    assert [b.answers for b in first.equal_mass.bins] == [b.answers for b in again.equal_mass.bins]


def test_answers_without_a_probability_do_not_count() -> None:
    confidence = np.array([[0.8, np.nan, 0.8, 0.8]])
    correct = np.array([[True, False, True, True]])
    found = calibration(confidence, correct, one_patient_each(4), samples=20)
    assert found is not None
    assert found.answers == 3
    assert found.accuracy == 1.0
    assert calibration(np.full((2, 4), np.nan), np.ones((2, 4), bool), one_patient_each(4)) is None


def test_the_probability_of_the_given_answer() -> None:
    options = {"yes": 0.2, "no": 0.8}
    assert given_probability(Prediction(("No",), options)) == 0.8
    joined = {"IMI": 0.1, "IMI; LVH": 0.6, "none": 0.3}
    assert given_probability(Prediction(("LVH", "IMI"), joined)) == 0.6
    assert np.isnan(given_probability(Prediction(("no",))))
    assert np.isnan(given_probability(Prediction(("perhaps",), options)))
