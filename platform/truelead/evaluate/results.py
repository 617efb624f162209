"""The judge's numbers as typed values, and how one cell's answers become them.

Shape suffixes: S seeds (runs of one arm), Q questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truelead.evaluate.bootstrap import Clusters, Interval, interval, paired_difference
from truelead.evaluate.calibration import Calibration, calibration
from truelead.evaluate.predictions import Trial
from truelead.evaluate.suites.suite import Measure, SuiteContext


@dataclass(frozen=True)
class QuestionScore:
    """One question_id's share of right answers, mean over seeds, over `questions` trials."""

    accuracy: float
    questions: int


@dataclass(frozen=True)
class CellResult:
    """One arm, or baseline, on one list of trials.

    Attributes:
        suite, cell, arm: where in the report it belongs.
        baseline: True where it is no trained model but a yardstick beside the models.
        questions, patients, seeds: what the intervals rest on.
        micro: share of right answers.
        macro: mean over the question types of their shares.
        per_type, per_template, per_severity: the share by question type, by template and by
            severity stratum.
        per_question: question_id -> share.
        failures: share of trials without a usable answer; they are counted wrong.
        measures: the suite's further numbers.
        calibration: of the answers' probabilities, None where the arm gives none.
    """

    suite: str
    cell: str
    arm: str
    baseline: bool
    questions: int
    patients: int
    seeds: int
    micro: Interval
    macro: Interval
    per_type: dict[str, Interval]
    per_template: dict[str, Interval]
    per_severity: dict[str, Interval]
    per_question: dict[str, QuestionScore]
    failures: float
    measures: dict[str, Interval]
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Comparison:
    """Share of right answers of `first` minus that of `second`, on the same questions."""

    suite: str
    cell: str
    first: str
    second: str
    difference: Interval


@dataclass(frozen=True)
class CellAnswers:
    """One arm's judged answers on one list of trials.

    Attributes:
        correct_SQ, failed_SQ: bool for each seed and trial.
        measures_S: for each seed the suite's measures; the same rows in every seed.
        confidence_SQ: probability of the given answer, NaN where the arm gave none; None where
            it gives none at all.
    """

    correct_SQ: NDArray[np.bool_]
    failed_SQ: NDArray[np.bool_]
    measures_S: tuple[Mapping[str, Measure], ...]
    confidence_SQ: NDArray[np.float64] | None = None


class CellJudge:
    """Turns the answers on one cell into numbers with intervals over its patients."""

    def __init__(
        self,
        suite: str,
        cell: str,
        trials: Sequence[Trial],
        context: SuiteContext,
        *,
        samples: int,
        seed: int = 0,
    ) -> None:
        self._suite, self._cell = suite, cell
        self._questions = [trial.question for trial in trials]
        patients = [context.patients(trial) for trial in trials]
        self._clusters = Clusters.of(patients)
        self._types = np.array([question.question_type for question in self._questions])
        self._samples, self._seed = samples, seed

    def result(self, arm: str, answers: CellAnswers, *, baseline: bool) -> CellResult:
        """Every number of one arm on this cell."""
        correct_SQ = answers.correct_SQ.astype(np.float64)
        everything = np.arange(correct_SQ.shape[1])
        severities = np.array([str(question.severity) for question in self._questions])
        templates = np.array([str(question.template_id) for question in self._questions])
        return CellResult(
            suite=self._suite,
            cell=self._cell,
            arm=arm,
            baseline=baseline,
            questions=len(self._questions),
            patients=self._clusters.patients,
            seeds=len(correct_SQ),
            micro=self._share(correct_SQ, everything),
            macro=self._share(correct_SQ, everything, self._types),
            per_type=self._by(correct_SQ, self._types),
            per_template=self._by(correct_SQ, templates),
            per_severity=self._by(correct_SQ, severities, without="-1"),
            per_question=self._per_question(correct_SQ.mean(0)),
            failures=float(answers.failed_SQ.mean()),
            measures=self._measures(answers.measures_S),
            calibration=self._calibration(answers),
        )

    def comparison(
        self, first: str, first_answers: CellAnswers, second: str, second_answers: CellAnswers
    ) -> Comparison:
        """Paired difference of two arms on this cell."""
        difference = paired_difference(
            first_answers.correct_SQ,
            second_answers.correct_SQ,
            self._clusters,
            samples=self._samples,
            seed=self._seed,
        )
        return Comparison(self._suite, self._cell, first, second, difference)

    def _calibration(self, answers: CellAnswers) -> Calibration | None:
        if answers.confidence_SQ is None:
            return None
        return calibration(
            answers.confidence_SQ,
            answers.correct_SQ,
            self._clusters,
            samples=self._samples,
            seed=self._seed,
        )

    def _interval(
        self,
        values_SQ: NDArray[np.float64],
        rows_Q: NDArray[np.int64],
        groups_Q: NDArray[np.str_] | None = None,
    ) -> Interval:
        return interval(
            values_SQ,
            self._clusters.take(rows_Q),
            samples=self._samples,
            seed=self._seed,
            groups_Q=groups_Q,
        )

    def _share(
        self,
        correct_SQ: NDArray[np.float64],
        rows_Q: NDArray[np.int64],
        groups_Q: NDArray[np.str_] | None = None,
    ) -> Interval:
        """Of a share; Student's interval may reach beyond 0 and 1, where no share is."""
        found = self._interval(correct_SQ, rows_Q, groups_Q)
        low, high = np.clip([found.low, found.high], 0.0, 1.0)
        return Interval(found.estimate, float(low), float(high))

    def _by(
        self, correct_SQ: NDArray[np.float64], labels_Q: NDArray[np.str_], without: str = ""
    ) -> dict[str, Interval]:
        found = {}
        for label in np.unique(labels_Q):
            if label != without:
                rows_Q = np.flatnonzero(labels_Q == label)
                found[str(label)] = self._share(correct_SQ[:, rows_Q], rows_Q)
        return found

    def _per_question(self, correct_Q: NDArray[np.float64]) -> dict[str, QuestionScore]:
        ids = np.array([question.question_id for question in self._questions])
        names, number_Q, sizes = np.unique(ids, return_inverse=True, return_counts=True)
        sums = np.bincount(number_Q, correct_Q, len(names))
        return {
            str(name): QuestionScore(float(total / size), int(size))
            for name, total, size in zip(names, sums, sizes, strict=True)
        }

    def _measures(self, measures_S: Sequence[Mapping[str, Measure]]) -> dict[str, Interval]:
        found = {}
        for name, first in measures_S[0].items():
            assert all(np.array_equal(m[name].rows_Q, first.rows_Q) for m in measures_S)
            values_SQ = np.stack([measures[name].values_Q for measures in measures_S])
            found[name] = self._interval(values_SQ, first.rows_Q)
        return found
