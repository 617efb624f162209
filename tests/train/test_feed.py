"""The Ray Data feed gives each step the ECGs it asked for, in order, whatever the timing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.train.stand_in import LengthReader
from truelead.train.feed import stream

pytestmark = pytest.mark.ray


def names(step: int) -> list[str]:
    """One to four names; the letter and length tell them apart."""
    return [chr(97 + (step * 7 + place) % 26) * (1 + step % 5) for place in range(1 + step % 4)]


ORDER = {
    name: len(name) * 100 + ord(name[0])
    for name in {chr(97 + letter) * length for letter in range(26) for length in range(1, 6)}
}


@pytest.mark.parametrize(
    ("window", "order", "in_process"),
    [(64, None, False), (15, ORDER, False), (15, ORDER, True), (7, None, True)],
)
def test_steps_arrive_in_order_with_their_ecgs(
    ray_cluster: Any, window: int, order: dict[str, int] | None, in_process: bool
) -> None:
    limit = 30
    found = list(
        stream(
            iter(range(1000)),
            names,
            LengthReader(0.05),
            limit=limit,
            window=window,
            storage_order=order,
            in_process=in_process,
        )
    )
    assert [step for step, _ in found] == list(range(limit))
    for step, values in found:
        assert np.array_equal(values, LengthReader()(names(step)))
