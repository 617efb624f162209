"""Who wins: the longest trained, within the constraints, the best by the metric."""

from __future__ import annotations

from typing import Any

import pytest

from truelead.errors import TrueLeadError
from truelead.sweep.front import TrialResult, choose_best, front
from truelead.sweep.space import SearchSpace, parse_space


def space(**changes: Any) -> SearchSpace:
    return parse_space(
        {
            "name": "chosen",
            "parameters": {"severity": {"choice": ["ptbxl"]}},
            "trials": 3,
            **changes,
        }
    )


def trial(
    number: int, *scores: float, confounded: float = 0.5, cost: float = 1.0, reliance: float = 0.1
) -> TrialResult:
    reports = tuple(
        {
            "steps": 10.0 * 2**k,
            "balanced": score,
            "confounded": confounded,
            "reliance": reliance,
            "train_seconds": cost,
        }
        for k, score in enumerate(scores)
    )
    return TrialResult(number, {}, "finished", reports, "")


def test_the_winner_is_the_best_of_the_longest() -> None:
    assert choose_best((trial(0, 0.9), trial(1, 0.6, 0.7), trial(2, 0.6, 0.8)), space()) == 2
    assert choose_best((trial(0, 0.6, 0.7), trial(1, 0.9, 0.7)), space()) == 0
    failed = TrialResult(0, {}, "failed", (), "", "loss not finite")
    assert choose_best((failed, trial(1, 0.5)), space()) == 1
    with pytest.raises(TrueLeadError, match="every trial failed: loss not finite"):
        choose_best((failed,), space())


def test_equal_ones_are_told_apart_by_the_other_objectives() -> None:
    cheap, right = trial(1, 0.7, cost=0.5), trial(2, 0.7, confounded=0.6)
    assert choose_best((trial(0, 0.7), cheap, right), space()) == 2
    assert choose_best((trial(0, 0.7), cheap), space()) == 1
    assert choose_best((trial(0, 0.7), cheap), space(objectives=["balanced"])) == 0


def test_equal_ones_are_at_last_told_apart_by_their_certainty() -> None:
    trials = [trial(0, 0.7), trial(1, 0.7), trial(2, 0.7)]
    for one, sure in zip(trials, (0.5, 0.6, 0.4), strict=True):
        one.reports[-1]["balanced_probability"] = sure
    assert choose_best(trials, space()) == 1


def test_a_constraint_shuts_out_the_best_score() -> None:
    blind = trial(0, 0.9, reliance=0.01)
    floors = space(constraints={"reliance": 0.05})
    assert choose_best((blind, trial(1, 0.7)), space()) == 0
    assert choose_best((blind, trial(1, 0.7)), floors) == 1
    assert front((blind, trial(1, 0.7)), floors) == {1}
    # None keeps it: the nearest, and no front.
    assert choose_best((blind, trial(1, 0.7, reliance=0.0)), floors) == 0
    assert front((blind,), floors) == frozenset()


def test_the_front_holds_what_no_other_beats() -> None:
    trials = (
        trial(0, 0.8, confounded=0.5),
        trial(1, 0.7, confounded=0.6),
        trial(2, 0.7, confounded=0.5),
        trial(3, 0.6, confounded=0.5, cost=0.1),
    )
    assert front(trials, space()) == {0, 1, 3}
    assert front(trials, space(objectives=["balanced", "confounded"])) == {0, 1}
    assert front((*trials, trial(4, 0.5, 0.5, cost=9.0)), space()) == {4}, "the longest alone"
