"""Do the probabilities that a model gives mean what they say?

The confidence of an answer is the probability that the model gave it. The expected calibration
error (ECE) sorts the answers into bins by confidence and is the mean over the answers of the gap
between their bin's share of right answers and its mean confidence:

    ECE = sum_b (n_b / n) |accuracy_b - confidence_b|

Sources: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
Binning", AAAI 2015; Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks",
ICML 2017, whose 15 bins of equal width over 0 to 1 are used here. Bins of equal mass hold as many
answers each, so that no bin rests on a few.

Even a perfectly calibrated model has an ECE above 0, since each bin's accuracy is a finite sample.
What chance leaves is therefore given beside it (the question of Bröcker and Smith, "Increasing the
Reliability of Reliability Diagrams", Weather and Forecasting 2007), from the confidences alone:
a bin's gap is then about normal with variance sum c (1 - c) / n_b^2, and its mean size is
sqrt(2 / pi) of its standard deviation. Questions of one patient are taken as independent there, so
that the true value is somewhat higher.

Shape suffixes: S seeds (runs of one arm), Q questions, B bins, R replicates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truelead.evaluate.bootstrap import Clusters, Interval, replicate_sums, student_interval
from truelead.evaluate.metrics import normalise
from truelead.evaluate.predictions import Prediction
from truelead.types import ANSWER_SEPARATOR

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Answers of like confidence.

    Attributes:
        low, high: the bin's bounds of confidence.
        answers: how many lie in it, over all runs.
        confidence: their mean confidence.
        accuracy: their share of right answers, with its 95 % interval over patients.
    """

    low: float
    high: float
    answers: int
    confidence: float
    accuracy: Interval


@dataclass(frozen=True)
class Binned:
    """ECE under one way of binning.

    Attributes:
        error: mean over the runs of their ECE, with its 95 % interval over patients and runs.
        chance: the ECE that a perfectly calibrated model of these confidences would have.
        bins: all runs together, empty bins left out.
    """

    error: Interval
    chance: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Calibration:
    """One arm's calibration on one list of trials.

    Attributes:
        answers: answers with a probability, over all runs; others (generated ones) do not count.
        confidence, accuracy: their mean confidence and share of right answers; a confidence
            above the accuracy is overconfidence.
        equal_mass, equal_width: the ECE by either binning.
    """

    answers: int
    confidence: float
    accuracy: float
    equal_mass: Binned
    equal_width: Binned


def given_probability(prediction: Prediction) -> float:
    """The probability that the model gave to its own answer; NaN where it gave none."""
    given = normalise(prediction.answers)
    for option, probability in prediction.option_probabilities.items():
        if normalise(option.split(ANSWER_SEPARATOR)) == given:
            return float(probability)
    return float("nan")


def calibration(
    confidence_SQ: Floats,
    correct_SQ: NDArray[np.bool_],
    clusters: Clusters,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Calibration | None:
    """Calibration of one arm's answers, None where no run's answers have probabilities.

    Args:
        confidence_SQ: probability of the given answer, NaN where there is none.
        correct_SQ: whether it was right.
    """
    known_SQ = np.isfinite(confidence_SQ)
    if not known_SQ.any(axis=1).all():
        return None
    confidence, correct = confidence_SQ[known_SQ], correct_SQ[known_SQ].astype(np.float64)
    edges = {
        "mass": _mass_edges(confidence),
        "width": np.linspace(0.0, 1.0, BINS + 1),
    }
    mass, width = (
        _binned(confidence_SQ, correct_SQ, edges[name], name, clusters, samples, seed)
        for name in ("mass", "width")
    )
    return Calibration(
        len(confidence), float(confidence.mean()), float(correct.mean()), mass, width
    )


def _binned(
    confidence_SQ: Floats,
    correct_SQ: NDArray[np.bool_],
    pooled_edges: Floats,
    name: str,
    clusters: Clusters,
    samples: int,
    seed: int,
) -> Binned:
    estimates, chances, replicates = [], [], []
    for confidence_Q, correct_Q in zip(confidence_SQ, correct_SQ, strict=True):
        rows_Q = np.flatnonzero(np.isfinite(confidence_Q))
        own_Q = confidence_Q[rows_Q]
        edges = _mass_edges(own_Q) if name == "mass" else pooled_edges
        bin_Q = _bin_numbers(own_Q, edges)
        member_QB = np.eye(len(edges) - 1)[bin_Q]
        gap_QB = member_QB * (correct_Q[rows_Q] - own_Q)[:, None]
        estimates.append(float(np.abs(gap_QB.sum(0)).sum()) / len(rows_Q))
        spread_B = np.sqrt((member_QB * (own_Q * (1.0 - own_Q))[:, None]).sum(0))
        chances.append(float(np.sqrt(2.0 / np.pi) * spread_B.sum()) / len(rows_Q))
        columns_QK = np.concatenate([gap_QB, np.ones((len(rows_Q), 1))], axis=1)
        sums_RK = replicate_sums(columns_QK, clusters.take(rows_Q), samples=samples, seed=seed)
        with np.errstate(invalid="ignore"):
            replicates.append(np.abs(sums_RK[:, :-1]).sum(1) / sums_RK[:, -1])
    error = student_interval(
        np.array(estimates), np.mean(replicates, axis=0), patients=clusters.asked
    )
    # A bootstrap adds noise to every gap, so that its mean lies too high; only its spread is used.
    error = Interval(error.estimate, max(0.0, error.low), min(1.0, error.high))
    bins = _bins(confidence_SQ, correct_SQ, pooled_edges, clusters, samples, seed)
    return Binned(error, float(np.mean(chances)), bins)


def _bins(
    confidence_SQ: Floats,
    correct_SQ: NDArray[np.bool_],
    edges: Floats,
    clusters: Clusters,
    samples: int,
    seed: int,
) -> tuple[Bin, ...]:
    """The bins of all runs together; a replicate draws a patient's questions in every run."""
    runs, rows = np.nonzero(np.isfinite(confidence_SQ))
    own, right = confidence_SQ[runs, rows], correct_SQ[runs, rows].astype(np.float64)
    member_QB = np.eye(len(edges) - 1)[_bin_numbers(own, edges)]
    counts_B = member_QB.sum(0)
    columns_QK = np.concatenate([member_QB, member_QB * right[:, None]], axis=1)
    sums_RK = replicate_sums(columns_QK, clusters.take(rows), samples=samples, seed=seed)
    found = []
    for b in np.flatnonzero(counts_B):
        inside = member_QB[:, b] > 0
        held_R = sums_RK[:, b] > 0
        shares_R = sums_RK[held_R, len(counts_B) + b] / sums_RK[held_R, b]
        low, high = np.percentile(shares_R, [2.5, 97.5])
        found.append(
            Bin(
                float(edges[b]),
                float(edges[b + 1]),
                int(counts_B[b]),
                float(own[inside].mean()),
                Interval(float(right[inside].mean()), float(low), float(high)),
            )
        )
    return tuple(found)


def _mass_edges(confidences: Floats) -> Floats:
    """Bounds between which equally many lie; equal confidences stay in one bin."""
    edges = np.unique(np.quantile(confidences, np.linspace(0.0, 1.0, BINS + 1)))
    return edges if len(edges) > 1 else np.array([edges[0], edges[0]])


def _bin_numbers(confidences: Floats, edges: Floats) -> Integers:
    """Each lies above its bin's lower bound, up to and with the upper; the first has both."""
    numbers = np.searchsorted(edges, confidences, side="left") - 1
    return np.clip(numbers, 0, len(edges) - 2).astype(np.int64)
