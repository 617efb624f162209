"""The plan of steps: deterministic, complete, and resumable from any position."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truelead.errors import DataError
from truelead.train.plan import Plan, Position, epoch_order


@given(count=st.integers(0, 9000), seed=st.integers(0, 99), epoch=st.integers(0, 9))
def test_an_order_holds_each_index_once(count: int, seed: int, epoch: int) -> None:
    order = epoch_order(count, seed, epoch)
    assert np.array_equal(np.sort(order), np.arange(count))
    assert np.array_equal(order, epoch_order(count, seed, epoch))


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(epoch_order(300, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_neighbours_stay_near_in_a_large_set() -> None:
    order = epoch_order(256 * 100, seed=0, epoch=0)
    assert len(set((order[:4096] // 256).tolist())) == 16


def drawn(item: int, epoch: int) -> tuple[int, ...]:
    """Nothing for a third of the items, another third each epoch."""
    return () if (item + epoch) % 3 == 0 else (item, epoch)


def plan(size: int = 4) -> Plan[int, tuple[int, ...]]:
    return Plan(list(range(10)), drawn, size=size, seed=5)


def test_empty_draws_are_made_up_for() -> None:
    steps = list(islice(plan().steps(), 12))
    assert all(len(step.items) == 4 for step in steps)
    pairs = [planned.content for step in steps for planned in step.items]
    assert pairs == [drawn(item, epoch) for item, epoch in pairs]
    whole = [pair for pair in pairs if pair[1] == 0]
    assert sorted(item for item, _ in whole) == [item for item in range(10) if item % 3]


@given(done=st.integers(0, 20), size=st.integers(1, 7))
def test_resumed_plan_goes_on(done: int, size: int) -> None:
    steps = list(islice(plan(size).steps(), done + 5))
    position = steps[done - 1].after if done else Position()
    assert list(islice(plan(size).steps(position), 5)) == steps[done:]


@given(workers=st.integers(1, 4))
def test_shares_are_the_step(workers: int) -> None:
    step = next(plan(8).steps())
    shares = [step.share(rank, workers) for rank in range(workers)]
    assert sorted(sum(shares, ()), key=lambda p: p.item) == sorted(step.items, key=lambda p: p.item)


def test_nothing_drawn_in_an_epoch_is_an_error() -> None:
    with pytest.raises(DataError, match="drew no question"):
        next(Plan([1, 2], lambda item, epoch: (), size=1, seed=0).steps())
    with pytest.raises(DataError, match="at least 1 group"):
        Plan([], drawn, size=1, seed=0)
