"""Put every suite's questions to every arm, and judge the answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from truelead.errors import DataError
from truelead.evaluate.baselines import BASELINES
from truelead.evaluate.calibration import given_probability
from truelead.evaluate.ecg_baselines import EcgBaseline
from truelead.evaluate.metrics import correct_rows, failed_rows
from truelead.evaluate.predictions import (
    Prediction,
    PredictionRow,
    PredictionWriter,
    Predictor,
    Trial,
)
from truelead.evaluate.results import CellAnswers, CellJudge, CellResult, Comparison
from truelead.evaluate.suites import SUITES, Cells, Measure, Suite, SuiteContext
from truelead.types import Question

PredictorFactory = Callable[[], Predictor]
"""Loads one run of an arm; called when its turn comes, so that one model is in memory at a time."""


@dataclass(frozen=True)
class Examination:
    """Every number of one judging.

    Attributes:
        arms: names of the models, then `baselines`: names of the yardsticks beside them, first
            those that never see the ECG.
        cells: one result for each arm and baseline on each suite's cells; none of a baseline
            where it has no answer to one of the cell's questions.
        comparisons: paired differences, later arms against the first, and all against baselines.
    """

    arms: tuple[str, ...]
    baselines: tuple[str, ...]
    cells: tuple[CellResult, ...]
    comparisons: tuple[Comparison, ...]

    def cell(self, suite: str, cell: str, arm: str) -> CellResult | None:
        """The result of an arm on a cell, None where the setup has no such cell."""
        for result in self.cells:
            if (result.suite, result.cell, result.arm) == (suite, cell, arm):
                return result
        return None

    def comparison(self, suite: str, cell: str, first: str, second: str) -> Comparison | None:
        """The paired difference first minus second, None where it was not taken."""
        for found in self.comparisons:
            if (found.suite, found.cell, found.first, found.second) == (
                suite,
                cell,
                first,
                second,
            ):
                return found
        return None


def examine(
    context: SuiteContext,
    arms: Mapping[str, Sequence[PredictorFactory]],
    train: Sequence[Question],
    *,
    ecg_baselines: Mapping[str, Callable[[], EcgBaseline]] | None = None,
    samples: int = 1000,
    writer: PredictionWriter | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Examination:
    """Run all suites.

    Args:
        context: test sets and the records of their ECGs.
        arms: for each model its runs (one a seed).
        train: questions as the training asks them, for the baselines.
        ecg_baselines: fit the baselines that see the ECG, each when its turn comes.
        samples: bootstrap replicates.
        writer: takes every row's prediction.
        progress: told what is being done.

    Raises:
        DataError: the test sets hold no question.
    """
    suites: dict[str, Suite] = {name: suite() for name, suite in SUITES.items()}
    plan = {name: suite.cells(context) for name, suite in suites.items()}
    plan = {
        name: {cell: trials for cell, trials in cells.items() if trials}
        for name, cells in plan.items()
    }
    if not any(plan.values()):
        raise DataError("evaluate: expected test sets with at least one question, found none")
    everything = list(
        dict.fromkeys(
            trial for cells in plan.values() for trials in cells.values() for trial in trials
        )
    )
    # What a suite compares an answer with: the same question with its own ECG.
    everything = list(
        dict.fromkeys([*everything, *(Trial.of(trial.question) for trial in everything)])
    )
    answers: dict[str, dict[tuple[str, str], CellAnswers]] = {}
    runs: dict[str, Sequence[PredictorFactory]] = dict(arms)
    for name, fit in BASELINES.items() if train else ():
        runs[name] = [_fitted(fit, train)]
    for arm, factories in runs.items():
        answered = []
        for seed, load in enumerate(factories):
            progress(f"{arm}, run {seed + 1} of {len(factories)}: {len(everything)} questions")
            predictions = load().predict(everything)
            answered.append(dict(zip(everything, predictions, strict=True)))
            if writer is not None:
                for name, cells in plan.items():
                    _write(writer, name, cells, arm, seed, answered[-1])
        answers[arm] = _judged(suites, plan, context, answered)
    for name, fit_ecg in (ecg_baselines or {}).items():
        progress(f"{name}: fitting")
        baseline = fit_ecg()
        covered = [trial for trial in everything if baseline.covers(trial.question)]
        found = dict(zip(covered, baseline.predict(covered), strict=True))
        whole = _covered_cells(plan, found.keys())
        left_out = sum(map(len, plan.values())) - sum(map(len, whole.values()))
        progress(f"{name}: {left_out} cells hold questions that it has no answer to")
        if writer is not None:
            for suite_name, cells in whole.items():
                _write(writer, suite_name, cells, name, 0, found)
        answers[name] = _judged(suites, whole, context, [found])
    progress("intervals")
    return _examination(plan, context, answers, tuple(arms), samples)


def _fitted(
    fit: Callable[[Sequence[Question]], Predictor], train: Sequence[Question]
) -> PredictorFactory:
    return lambda: fit(train)


def _covered_cells(plan: Mapping[str, Cells], covered: Collection[Trial]) -> dict[str, Cells]:
    """The cells of which every trial is covered."""
    return {
        name: {
            cell: trials
            for cell, trials in cells.items()
            if all(trial in covered for trial in trials)
        }
        for name, cells in plan.items()
    }


def _judged(
    suites: Mapping[str, Suite],
    plan: Mapping[str, Cells],
    context: SuiteContext,
    answered_S: Sequence[Mapping[Trial, Prediction]],
) -> dict[tuple[str, str], CellAnswers]:
    judged = {}
    for name, cells in plan.items():
        for cell, trials in cells.items():
            predictions_S = [[answered[trial] for trial in trials] for answered in answered_S]
            measures_S: list[Mapping[str, Measure]] = [
                suites[name].measures(context, cell, trials, answered) for answered in answered_S
            ]
            judged[name, cell] = CellAnswers(
                np.stack([correct_rows(trials, predictions) for predictions in predictions_S]),
                np.stack([failed_rows(trials, predictions) for predictions in predictions_S]),
                tuple(measures_S),
                np.array([[given_probability(one) for one in run] for run in predictions_S]),
            )
    return judged


def _examination(
    plan: Mapping[str, Cells],
    context: SuiteContext,
    answers: Mapping[str, Mapping[tuple[str, str], CellAnswers]],
    arms: tuple[str, ...],
    samples: int,
) -> Examination:
    baselines = tuple(name for name in answers if name not in arms)
    pairs = [(arm, arms[0]) for arm in arms[1:]]
    pairs += [(arm, baseline) for arm in arms for baseline in baselines]
    results, comparisons = [], []
    for name, cells in plan.items():
        for cell, trials in cells.items():
            judge = CellJudge(name, cell, trials, context, samples=samples)
            here = [arm for arm in answers if (name, cell) in answers[arm]]
            for arm in here:
                results.append(
                    judge.result(arm, answers[arm][name, cell], baseline=arm in baselines)
                )
            for first, second in pairs:
                if second not in here:
                    continue
                comparisons.append(
                    judge.comparison(
                        first, answers[first][name, cell], second, answers[second][name, cell]
                    )
                )
    return Examination(arms, baselines, tuple(results), tuple(comparisons))


def _write(
    writer: PredictionWriter,
    suite: str,
    cells: Cells,
    arm: str,
    seed: int,
    answered: Mapping[Trial, Prediction],
) -> None:
    for cell, trials in cells.items():
        predictions = [answered[trial] for trial in trials]
        correct = correct_rows(trials, predictions)
        writer.write(
            PredictionRow(suite, cell, arm, seed, trial, prediction, bool(right))
            for trial, prediction, right in zip(trials, predictions, correct, strict=True)
        )
