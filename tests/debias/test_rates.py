"""Sampling rates against hand calculation, and their invariants."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truelead.debias.adjustment.rates import CellKey, balanced_rates


def test_rates_by_hand() -> None:
    counts = {("a", "yes", -1): 10, ("a", "no", -1): 90, ("b", "yes", -1): 50, ("b", "no", -1): 50}
    rates = balanced_rates(
        counts, 200, stratum_prior="minority", frequency_exponent=0.0, maximum_repeats=100
    )
    # 200 questions, 100 a question, 50 a cell.
    assert rates.rate == pytest.approx(
        {("a", "yes", -1): 5.0, ("a", "no", -1): 50 / 90, ("b", "yes", -1): 1, ("b", "no", -1): 1}
    )
    assert rates.expected == pytest.approx(200)


def test_a_limited_question_gives_its_share_to_the_others() -> None:
    counts = {("a", "yes", -1): 10, ("a", "no", -1): 90, ("b", "yes", -1): 50, ("b", "no", -1): 50}
    rates = balanced_rates(
        counts, 200, stratum_prior="minority", frequency_exponent=0.0, maximum_repeats=2
    )
    # "a" may be asked 2 x 10 times with yes, so 40 times; "b" gets the other 160.
    assert rates.rate["a", "yes", -1] == pytest.approx(2.0)
    assert rates.rate["b", "yes", -1] == pytest.approx(1.6)


def test_frequency_exponent_one_asks_each_rare_answer_alike() -> None:
    counts = {("a", "yes", -1): 10, ("a", "no", -1): 90, ("b", "yes", -1): 40, ("b", "no", -1): 60}
    rates = balanced_rates(
        counts, 100, stratum_prior="minority", frequency_exponent=1.0, maximum_repeats=100
    )
    assert rates.rate["a", "yes", -1] == pytest.approx(1.0)
    assert rates.rate["b", "yes", -1] == pytest.approx(1.0)


def test_strata_by_hand() -> None:
    counts = {
        ("a", "yes", 0): 10,
        ("a", "no", 0): 50,
        ("a", "yes", 1): 30,
        ("a", "no", 1): 10,
        ("a", "no", 2): 70,
    }
    by_minority = balanced_rates(
        counts, 80, stratum_prior="minority", frequency_exponent=0.0, maximum_repeats=100
    )
    assert by_minority.violations == (("a", 2),)
    assert by_minority.rate == pytest.approx(
        {("a", "yes", 0): 2, ("a", "no", 0): 0.4, ("a", "yes", 1): 2 / 3, ("a", "no", 1): 2}
    )
    by_marginal = balanced_rates(
        counts, 80, stratum_prior="marginal", frequency_exponent=0.0, maximum_repeats=100
    )
    # Strata 0 and 1 hold 60 and 40 groups: 48 and 32 questions.
    assert by_marginal.rate["a", "yes", 0] == pytest.approx(2.4)
    assert by_marginal.rate["a", "no", 1] == pytest.approx(1.6)


def test_a_question_of_one_answer_is_left_out_and_named() -> None:
    rates = balanced_rates(
        {("a", "no", -1): 5, ("b", "no", -1): 3, ("b", "yes", -1): 2},
        10,
        stratum_prior="minority",
        frequency_exponent=0.0,
        maximum_repeats=100,
    )
    assert rates.violations == (("a", -1),)
    assert {question for question, *_ in rates.rate} == {"b"}


KEYS = st.tuples(st.sampled_from("abcdef"), st.sampled_from(["yes", "no", "not sure"]), st.just(-1))


@given(
    st.dictionaries(KEYS, st.integers(1, 500), min_size=1),
    st.floats(1, 5000),
    st.floats(0, 1),
    st.floats(0.5, 20),
)
def test_answers_are_even_and_limits_hold(
    counts: dict[CellKey, int], total: float, exponent: float, repeats: float
) -> None:
    rates = balanced_rates(
        counts,
        total,
        stratum_prior="minority",
        frequency_exponent=exponent,
        maximum_repeats=repeats,
    )
    expected: dict[str, list[float]] = defaultdict(list)
    for key, rate in rates.rate.items():
        assert 0 < rate <= repeats * (1 + 1e-9)
        expected[key[0]].append(rate * counts[key])
    for cells in expected.values():
        assert max(cells) == pytest.approx(min(cells))
    reached = sum(map(sum, expected.values()))
    assert reached == pytest.approx(rates.expected)
    assert reached <= total * (1 + 1e-9)
    # The total is missed only where every question stands at its limit.
    if reached < total * (1 - 1e-9):
        for question in expected:
            assert max(
                rate for (q, *_), rate in rates.rate.items() if q == question
            ) == pytest.approx(repeats)
