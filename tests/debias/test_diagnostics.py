"""Estimators against known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truelead.debias.diagnostics import (
    conditional_mutual_information,
    effective_sample_size,
    mutual_information,
    permutation_baseline,
    question_only_accuracy,
)


def test_mutual_information_of_a_copy_is_its_entropy() -> None:
    x = ["a", "b", "c", "d"] * 25
    assert mutual_information(x, x, corrected=False) == pytest.approx(2.0)


def test_mutual_information_by_hand() -> None:
    # P(x,y) = [[3/8, 1/8], [1/8, 3/8]]: I = 1 - H(3/4) bits.
    x = [0] * 4 + [1] * 4
    y = [0, 0, 0, 1, 1, 1, 1, 0]
    expected = 1.0 + 0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)
    assert mutual_information(x, y, corrected=False) == pytest.approx(expected)
    corrected = expected - 1 / (2 * 8) / math.log(2)
    assert mutual_information(x, y) == pytest.approx(corrected)


def test_weights_count_as_repeats() -> None:
    x, y, weights = ["a", "a", "b"], [0, 1, 1], [1.0, 2.0, 3.0]
    repeated_x = ["a", "a", "a", "b", "b", "b"]
    repeated_y = [0, 1, 1, 1, 1, 1]
    assert mutual_information(x, y, weights, corrected=False) == pytest.approx(
        mutual_information(repeated_x, repeated_y, corrected=False)
    )


def test_the_correction_takes_the_bias_off_independent_variables() -> None:
    rng = np.random.default_rng(0)
    plain, corrected = [], []
    for _ in range(40):
        x = rng.integers(20, size=1000).tolist()
        y = rng.integers(5, size=1000).tolist()
        plain.append(mutual_information(x, y, corrected=False))
        corrected.append(mutual_information(x, y))
    assert np.mean(plain) > 0.04
    assert abs(np.mean(corrected)) < 0.005
    assert permutation_baseline(x, y, rng) == pytest.approx(np.mean(plain), abs=0.01)


def test_conditional_information_sees_through_a_common_cause() -> None:
    rng = np.random.default_rng(1)
    z = rng.integers(2, size=4000)
    x = (rng.random(4000) < np.where(z, 0.9, 0.1)).astype(int)
    y = (rng.random(4000) < np.where(z, 0.9, 0.1)).astype(int)
    assert mutual_information(x.tolist(), y.tolist()) > 0.2
    assert abs(conditional_mutual_information(x.tolist(), y.tolist(), z.tolist())) < 0.005


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=50), st.floats(0.1, 10))
def test_effective_sample_size_is_bounded_and_scale_free(
    weights: list[float], scale: float
) -> None:
    size = effective_sample_size(weights)
    assert 1 - 1e-9 <= size <= len(weights) + 1e-9
    assert effective_sample_size([scale * w for w in weights]) == pytest.approx(size)


def test_effective_sample_size_by_hand() -> None:
    assert effective_sample_size([1.0, 1.0, 1.0]) == pytest.approx(3.0)
    assert effective_sample_size([3.0, 1.0]) == pytest.approx(1.6)
    assert effective_sample_size([0.0]) == 0.0


def test_question_only_accuracy_by_hand() -> None:
    train = [("a", "yes"), ("a", "yes"), ("a", "no"), ("b", "no")]
    test = [("a", "yes"), ("a", "no"), ("b", "no"), ("unseen", "no")]
    # The answers of all tie at two each; "no" comes first by name.
    assert question_only_accuracy(train, test) == pytest.approx(0.75)
    assert question_only_accuracy(train, test, [1, 1, 3, 1]) == pytest.approx(0.75)
    assert question_only_accuracy(train, test, None, [0, 2, 1, 1]) == pytest.approx(0.5)


def test_empty_input_is_refused() -> None:
    with pytest.raises(ValueError, match="expected as many of each"):
        mutual_information([], [])
    with pytest.raises(ValueError, match="at least 1 pair"):
        question_only_accuracy([], [("a", "no")])
