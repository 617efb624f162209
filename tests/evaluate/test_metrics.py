"""Exact match: sets, not texts; failures are wrong answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truelead.evaluate.metrics import is_correct, is_failure, right_probability_rows, score
from truelead.evaluate.predictions import Prediction, Trial
from truelead.types import ANSWER_SEPARATOR, Question


@pytest.mark.parametrize(
    ("true", "predicted", "right"),
    [
        (("yes",), ("yes",), True),
        (("yes",), (" YES ",), True),
        (("a", "b"), ("b", "a"), True),
        (("a", "b"), ("b", "a", "A "), True),
        (("a", "b"), ("a",), False),
        (("a",), ("a", "b"), False),
        (("none",), (), False),
        (("none",), ("",), False),
        (("none",), ("  ",), False),
        (("qt interval",), ("qt  interval",), False),
    ],
)
def test_answers_are_compared_as_sets(
    true: tuple[str, ...], predicted: tuple[str, ...], right: bool
) -> None:
    assert is_correct(true, predicted) is right


@given(st.lists(st.sampled_from("abcde"), min_size=1), st.randoms())
def test_order_and_repeats_never_count(answers: list[str], random: object) -> None:
    mixed = [*answers, answers[0]]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert is_correct(answers, mixed)


def test_an_empty_or_outside_answer_is_a_failure() -> None:
    assert is_failure(())
    assert is_failure(("",))
    assert is_failure(("maybe",), ("yes", "no"))
    assert not is_failure(("Yes",), ("yes", "no"))
    assert not is_failure(("anything",))


def test_empty_generations_count_as_wrong() -> None:
    trials = [_trial("single-verify", ("yes",)), _trial("single-query", ("none",))]
    found = score(trials, [Prediction(("yes",)), Prediction(("",))])
    assert found.questions == 2
    assert found.micro == 0.5
    assert found.failures == 0.5


def test_the_probability_of_what_is_right() -> None:
    trials = [_trial("single-verify", ("yes",)), _trial("single-query", ("a", "b"))]
    options = {"a": 0.1, "b": 0.2, "a; b": 0.3, "b; a": 0.2, "c": 0.2}
    joined = {name.replace("; ", ANSWER_SEPARATOR): one for name, one in options.items()}
    said = [Prediction(("no",), {"yes": 0.25, "no": 0.75}), Prediction(("c",), joined)]
    assert right_probability_rows(trials, said).tolist() == pytest.approx([0.25, 0.5])
    written = [Prediction(("yes",)), Prediction(("a",))]
    assert right_probability_rows(trials, written).tolist() == [1.0, 0.0]


def test_macro_weighs_types_alike() -> None:
    trials = [_trial("single-verify", ("yes",))] * 9 + [_trial("single-query", ("a", "b"))]
    predictions = [Prediction(("yes",))] * 9 + [Prediction(("a",))]
    found = score(trials, predictions)
    assert found.micro == pytest.approx(0.9)
    assert found.macro == pytest.approx(0.5)
    assert found.per_type == {"single-query": 0.0, "single-verify": 1.0}


def _trial(kind: str, answers: tuple[str, ...]) -> Trial:
    return Trial.of(Question("?", answers, (), ("1",), kind, 1, "1:X", "train0"))
