"""What a test suite is: named lists of trials, and what to measure on the answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from truelead.evaluate.metrics import correct_rows, normalise
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.subset import stratified_subset
from truelead.types import Question, Record

Cells = dict[str, tuple[Trial, ...]]


@dataclass(frozen=True)
class SuiteContext:
    """What suites are planned from.

    Attributes:
        test_sets: the setup's test sets by name ("balanced/test-wordings").
        records: record id -> record of every ECG that may be shown.
        true_answers: the answers to the same question about other ECGs; None where the question
            cannot be put to them.
        seed: of the suite's own random choices.
        truth: (P(yes | do(question), ECG), P(yes | question, ECG)) of a question, exact; None
            where no planted model stands behind the ECGs.
        strata: record id -> severity stratum, from least to most ill; empty where not known.
        further_questions: most questions of a test set that are asked again of changed ECGs.
    """

    test_sets: Mapping[str, tuple[Question, ...]]
    records: Mapping[str, Record]
    true_answers: Callable[[Question, tuple[str, ...]], tuple[str, ...] | None]
    seed: int = 0
    truth: Callable[[Question], tuple[float, float]] | None = None
    strata: Mapping[str, int] = field(default_factory=dict)
    further_questions: int | None = None

    def patients(self, trial: Trial) -> tuple[str, ...]:
        """Patients of the question's own ECGs, whose labels the answers are."""
        return tuple(self.records[ecg_id].patient_id for ecg_id in trial.question.ecg_ids)

    def further(self, name: str) -> tuple[Question, ...]:
        """The part of a test set that is asked again, the same for every suite."""
        questions = self.test_sets[name]
        if self.further_questions is None:
            return questions
        return stratified_subset(questions, self.further_questions, self.seed)


@dataclass(frozen=True)
class Measure:
    """A further number of a suite, on some or all of a cell's trials.

    Attributes:
        rows_Q: int, numbers of the trials that it is taken over.
        values_Q: float, a value for each of them; its mean is the measure.
    """

    rows_Q: NDArray[np.int64]
    values_Q: NDArray[np.float64]


class Suite(ABC):
    """One kind of test. Without state: everything comes from the context."""

    title: ClassVar[str]
    explanation: ClassVar[str]

    @abstractmethod
    def cells(self, context: SuiteContext) -> Cells:
        """Lists of trials by name, in the order of the report; none where the setup lacks them."""

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """Further numbers on one run's answers; `answered` holds the trials of all suites."""
        return {}


def with_own_ecgs(questions: Sequence[Question]) -> tuple[Trial, ...]:
    """Trials that show each question's own ECGs."""
    return tuple(Trial.of(question) for question in questions)


def drop_and_flips(
    before: Sequence[Trial],
    after: Sequence[Trial],
    answered: Mapping[Trial, Prediction],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each pair of trials the right answer lost (1, 0 or -1), and whether the answer changed.

    Each trial is judged by its own question's answers.
    """
    old, new = ([answered[trial] for trial in trials] for trials in (before, after))
    drop = correct_rows(before, old).astype(np.float64) - correct_rows(after, new)
    flips = [
        normalise(first.answers) != normalise(second.answers)
        for first, second in zip(old, new, strict=True)
    ]
    return drop, np.array(flips, np.float64)
