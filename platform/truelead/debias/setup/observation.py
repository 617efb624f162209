"""The confounded process: how ill a patient is decides what is asked and so what is answered.

It models the selection seen in clinical question-answering sets: a severely ill patient is asked
about what the patient has, a healthy one about what the patient does not have.

Shape suffixes: A severity strata, C cells (questions that can be asked about one group).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from truelead.debias.setup.base import NEGATIVE_ANSWERS, Cell

LEAST_ILL = 0.10
MOST_ILL = 0.90
"""Probability of asking about something present, in the first and in the last stratum."""


class Process(Protocol):
    """Says what is asked of a group when nothing is adjusted."""

    def draw(
        self, cells: Sequence[Cell], stratum: int, count: int, rng: np.random.Generator
    ) -> list[int]:
        """Indices into `cells` of `count` questions asked of a group of this stratum."""
        ...


class ObservedProcess:
    """Draws questions in dependence on severity: Q <- S -> A.

    With probability 0.10 .. 0.90, evenly spaced over the strata (0.10, 0.50, 0.90 for three), a
    question is asked whose answer is positive (not "no" or "none"), each positive one as likely.
    Otherwise a negative one, with probability in proportion to how often that question's answer
    is positive among the train groups of the same stratum: the absent things that are asked look
    like what is asked about such patients. Draws are independent, with repeats.

    Args:
        train: stratum and cells of every train group.
        strata: number of strata.
        question_weight: how often a question is asked beside the others, whatever the severity;
            all alike if None.
    """

    def __init__(
        self,
        train: Iterable[tuple[int, Sequence[Cell]]],
        strata: int,
        question_weight: Callable[[str], float] | None = None,
    ) -> None:
        self._question_weight = question_weight
        self.present_probability_A = np.linspace(LEAST_ILL, MOST_ILL, strata)
        counts: dict[tuple[int, str], int] = defaultdict(int)
        groups = [0] * strata
        for stratum, cells in train:
            groups[stratum] += 1
            for cell in cells:
                if cell.answer not in NEGATIVE_ANSWERS:
                    counts[stratum, cell.question_id] += 1
        self._frequency = {key: count / groups[key[0]] for key, count in counts.items()}

    def frequency(self, stratum: int, question_id: str) -> float:
        """Share of the stratum's train groups for which the question's answer is positive."""
        return self._frequency.get((stratum, question_id), 0.0)

    def draw(
        self, cells: Sequence[Cell], stratum: int, count: int, rng: np.random.Generator
    ) -> list[int]:
        """Indices into `cells` of `count` observed questions; empty where there are no cells.

        Where nothing is positive a negative question is asked, and the reverse. Where no negative
        one was ever positive in the stratum, all of them are as likely.
        """
        if not cells:
            return []
        positive_C = np.array([cell.answer not in NEGATIVE_ANSWERS for cell in cells])
        weight_C = np.array([self.frequency(stratum, cell.question_id) for cell in cells])
        if self._question_weight is None:
            even_C = np.ones(len(cells))
        else:
            even_C = np.array([self._question_weight(cell.question_id) for cell in cells])
        present_C = np.where(positive_C, even_C, 0.0)
        absent_C = np.where(positive_C, 0.0, weight_C * even_C)
        if absent_C.sum() == 0:
            absent_C = even_C - present_C
        if present_C.sum() == 0:
            present_C = absent_C
        elif absent_C.sum() == 0:
            absent_C = present_C
        present = rng.random(count) < self.present_probability_A[stratum]
        place = rng.random(count)
        return np.where(present, _indices(present_C, place), _indices(absent_C, place)).tolist()


def _indices(weight_C: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each place in [0, 1) the index whose share of the weights covers it."""
    edge_C = np.cumsum(weight_C)
    return np.searchsorted(edge_C, place * edge_C[-1], side="right")
