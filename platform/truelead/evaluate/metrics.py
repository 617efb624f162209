"""Exact match by set equality, as ECG-QA defines it (Oh et al., NeurIPS 2023).

A row that the model failed to answer is a wrong row: skipping it would flatter the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from truelead.evaluate.predictions import Prediction, Trial
from truelead.types import ANSWER_SEPARATOR


def normalise(answers: Sequence[str]) -> frozenset[str]:
    """Answers as a set, without case, outer white space and empty texts."""
    return _normalised(tuple(answers))


@lru_cache(maxsize=65536)
def _normalised(answers: tuple[str, ...]) -> frozenset[str]:
    return frozenset(text for answer in answers if (text := answer.strip().casefold()))


def is_correct(true: Sequence[str], predicted: Sequence[str]) -> bool:
    """True where both are the same non-empty set; order, case and repeats do not count."""
    found = normalise(predicted)
    return bool(found) and found == normalise(true)


def is_failure(predicted: Sequence[str], options: Sequence[str] = ()) -> bool:
    """True where nothing usable was answered: no text, or a text outside a closed set."""
    found = normalise(predicted)
    return not found or bool(options and not found <= normalise(options))


@dataclass(frozen=True)
class Scores:
    """Point values of one model on one list of trials.

    Attributes:
        questions: number of trials, failures among them.
        micro: share of right answers.
        macro: mean over the question types of their shares of right answers.
        per_type: question type -> share of right answers.
        failures: share of trials with no usable answer (all of them counted wrong).
    """

    questions: int
    micro: float
    macro: float
    per_type: dict[str, float]
    failures: float


def correct_rows(trials: Sequence[Trial], predictions: Sequence[Prediction]) -> NDArray[np.bool_]:
    """bool, one for each trial, against the answers that are true of the question's own ECGs."""
    return np.array(
        [
            is_correct(trial.question.answers, prediction.answers)
            for trial, prediction in zip(trials, predictions, strict=True)
        ],
        dtype=np.bool_,
    )


def right_probability_rows(
    trials: Sequence[Trial], predictions: Sequence[Prediction]
) -> NDArray[np.float64]:
    """Probability of a right answer, one for each trial: of the options that are right together.

    A generated answer, which has no probability, counts 1 where it is right and 0 where it is not.
    """
    return np.array(
        [
            sum(
                probability
                for option, probability in prediction.option_probabilities.items()
                if is_correct(trial.question.answers, option.split(ANSWER_SEPARATOR))
            )
            if prediction.option_probabilities
            else float(is_correct(trial.question.answers, prediction.answers))
            for trial, prediction in zip(trials, predictions, strict=True)
        ],
        dtype=np.float64,
    )


def failed_rows(trials: Sequence[Trial], predictions: Sequence[Prediction]) -> NDArray[np.bool_]:
    """bool, one for each trial: no usable answer."""
    return np.array(
        [
            is_failure(prediction.answers, trial.question.options)
            for trial, prediction in zip(trials, predictions, strict=True)
        ],
        dtype=np.bool_,
    )


def score(trials: Sequence[Trial], predictions: Sequence[Prediction]) -> Scores:
    """Exact match of one model over trials; at least one trial."""
    assert trials, "at least one trial"
    correct = correct_rows(trials, predictions)
    types = np.array([trial.question.question_type for trial in trials])
    per_type = {str(kind): float(correct[types == kind].mean()) for kind in np.unique(types)}
    return Scores(
        questions=len(trials),
        micro=float(correct.mean()),
        macro=float(np.mean(list(per_type.values()))),
        per_type=per_type,
        failures=float(failed_rows(trials, predictions).mean()),
    )
