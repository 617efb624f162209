"""95 % intervals that know that questions of one patient hang together, and so do seeds.

A bootstrap replicate draws patients, not questions, with replacement (Field and Welsh,
"Bootstrapping clustered data", JRSS B 2007). A question about two patients counts in a replicate as
often as the product of both patients' draws (the pigeonhole bootstrap; Owen, Annals of Applied
Statistics 2007).

Several trainings (seeds) of one arm answer the same questions. Three to five seeds are too few to
be resampled: percentiles of so few values are too narrow. The variance is therefore the sum of the
patients' (bootstrap) and the seeds' (sample variance of the seeds' means over their number), and
the interval is Student's, with Satterthwaite's degrees of freedom (Biometrics Bulletin 1946).

Shape suffixes: S seeds, Q questions, R replicates, C patients (clusters), G groups, U distinct
combinations of patients and group.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_CHUNK = 4_000_000  # numbers in one block of replicate weights: 32 MB


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval; bounds are NaN where fewer than 2 patients are."""

    estimate: float
    low: float
    high: float

    def above(self, value: float) -> bool:
        """True where the whole interval lies above the value."""
        return self.low > value

    def below(self, value: float) -> bool:
        """True where the whole interval lies below the value."""
        return self.high < value


@dataclass(frozen=True)
class Clusters:
    """Which patients each question is about.

    Attributes:
        first_Q, second_Q: patient numbers; equal where the question is about one patient.
        patients: number of distinct patients.
    """

    first_Q: Integers
    second_Q: Integers
    patients: int

    @classmethod
    def of(cls, patients: Sequence[Sequence[Hashable]]) -> Clusters:
        """From the patient or two patients of each question."""
        numbers: dict[Hashable, int] = {}
        first, second = [], []
        for row in patients:
            assert 1 <= len(row) <= 2, "one or two patients a question"
            first.append(numbers.setdefault(row[0], len(numbers)))
            second.append(numbers.setdefault(row[-1], len(numbers)))
        return cls(np.array(first, np.int64), np.array(second, np.int64), len(numbers))

    def take(self, rows_Q: Integers) -> Clusters:
        """Some of the questions; a replicate still draws from all the patients."""
        return Clusters(self.first_Q[rows_Q], self.second_Q[rows_Q], self.patients)

    @property
    def asked(self) -> int:
        """Number of distinct patients that the questions are about."""
        return len(np.union1d(self.first_Q, self.second_Q))


def replicate_means(
    values_Q: ArrayLike,
    clusters: Clusters,
    *,
    samples: int,
    seed: int,
    groups_Q: ArrayLike | None = None,
) -> Floats:
    """Means of `samples` bootstrap replicates over patients.

    Args:
        values_Q: a number for each question.
        groups_Q: a label for each question (its type); given, the replicate's value is the mean
            over the groups of the groups' means.

    Returns:
        float64 [R]; NaN for a replicate that happens to hold no question.
    """
    values_Q = np.asarray(values_Q, np.float64)
    group_Q, groups = _numbered(groups_Q, len(values_Q))
    key_Q = (clusters.first_Q * clusters.patients + clusters.second_Q) * groups + group_Q
    unique_U, inverse_Q = np.unique(key_Q, return_inverse=True)
    sums_U = np.bincount(inverse_Q, values_Q, len(unique_U))
    sizes_U = np.bincount(inverse_Q, minlength=len(unique_U)).astype(np.float64)
    group_U = unique_U % groups
    first_U, second_U = np.divmod(unique_U // groups, clusters.patients)
    member_UG = np.zeros((len(unique_U), groups))
    member_UG[np.arange(len(unique_U)), group_U] = 1.0

    draws_RC = _draws(clusters.patients, samples, seed)
    rows = max(1, _CHUNK // len(unique_U))
    means = []
    for start in range(0, samples, rows):
        weight_RU = draws_RC[start : start + rows, first_U]
        weight_RU *= np.where(first_U == second_U, 1.0, draws_RC[start : start + rows, second_U])
        with np.errstate(invalid="ignore"):
            mean_RG = (weight_RU @ (sums_U[:, None] * member_UG)) / (
                weight_RU @ (sizes_U[:, None] * member_UG)
            )
            present_RG = np.isfinite(mean_RG)
            means.append(np.where(present_RG, mean_RG, 0.0).sum(1) / present_RG.sum(1))
    return np.concatenate(means)


def replicate_sums(values_QK: ArrayLike, clusters: Clusters, *, samples: int, seed: int) -> Floats:
    """Sums over the questions of K numbers at once, in the replicates of `replicate_means`.

    Args:
        values_QK: K numbers for each question.

    Returns:
        float64 [R, K].
    """
    values_QK = np.asarray(values_QK, np.float64)
    key_Q = clusters.first_Q * clusters.patients + clusters.second_Q
    unique_U, inverse_Q = np.unique(key_Q, return_inverse=True)
    sums_UK = np.zeros((len(unique_U), values_QK.shape[1]))
    np.add.at(sums_UK, inverse_Q, values_QK)
    first_U, second_U = np.divmod(unique_U, clusters.patients)
    draws_RC = _draws(clusters.patients, samples, seed)
    rows = max(1, _CHUNK // len(unique_U))
    sums = []
    for start in range(0, samples, rows):
        weight_RU = draws_RC[start : start + rows, first_U]
        weight_RU *= np.where(first_U == second_U, 1.0, draws_RC[start : start + rows, second_U])
        sums.append(weight_RU @ sums_UK)
    return np.concatenate(sums)


@lru_cache(maxsize=2)
def _draws(patients: int, samples: int, seed: int) -> Floats:
    """How often each replicate draws each patient, [R, C]; kept, since a cell asks many times."""
    drawn_RC = np.random.default_rng(seed).integers(patients, size=(samples, patients))
    drawn_RC += np.arange(samples)[:, None] * patients
    counts_RC = np.bincount(drawn_RC.ravel(), minlength=samples * patients)
    draws_RC = counts_RC.reshape(samples, patients).astype(np.float64)
    draws_RC.setflags(write=False)
    return draws_RC


def interval(
    values_SQ: ArrayLike,
    clusters: Clusters,
    *,
    samples: int = 1000,
    seed: int = 0,
    groups_Q: ArrayLike | None = None,
) -> Interval:
    """Mean over seeds and questions with its 95 % interval over patients, and seeds if several.

    Args:
        values_SQ: a number for each seed and question ([Q] is taken as one seed).
        groups_Q: question labels for the mean over groups, as in `replicate_means`.
    """
    values_SQ = np.atleast_2d(np.asarray(values_SQ, np.float64))
    means_S = np.array([_mean(values_Q, groups_Q) for values_Q in values_SQ])
    estimate = float(means_S.mean())
    patients = clusters.asked
    if patients < 2:
        return Interval(estimate, math.nan, math.nan)
    replicates_R = replicate_means(
        values_SQ.mean(0), clusters, samples=samples, seed=seed, groups_Q=groups_Q
    )
    if len(means_S) == 1:
        low, high = np.nanpercentile(replicates_R, [2.5, 97.5])
        return Interval(estimate, float(low), float(high))
    return student_interval(means_S, replicates_R, patients=patients)


def student_interval(means_S: Floats, replicates_R: Floats, *, patients: int) -> Interval:
    """Student's interval about the mean over seeds, from the replicates' spread and the seeds'.

    Args:
        means_S: each seed's estimate.
        replicates_R: bootstrap replicates over patients of the mean over seeds; only their
            variance is used.
        patients: how many the replicates draw from; below 2 there is no interval.
    """
    estimate = float(means_S.mean())
    if patients < 2:
        return Interval(estimate, math.nan, math.nan)
    parts = [(float(np.nanvar(replicates_R, ddof=1)), patients - 1)]
    if len(means_S) > 1:
        parts.append((float(means_S.var(ddof=1)) / len(means_S), len(means_S) - 1))
    return _student(estimate, parts)


def paired_difference(
    first_SQ: ArrayLike,
    second_SQ: ArrayLike,
    clusters: Clusters,
    *,
    samples: int = 1000,
    seed: int = 0,
    groups_Q: ArrayLike | None = None,
) -> Interval:
    """Mean of first minus second on the same questions, with its 95 % interval.

    With equally many seeds, seed i of the one is paired with seed i of the other; with unequal
    numbers the seeds are two independent samples. A baseline counts as one run, paired with all.
    """
    first_SQ = np.atleast_2d(np.asarray(first_SQ, np.float64))
    second_SQ = np.atleast_2d(np.asarray(second_SQ, np.float64))
    assert first_SQ.shape[1] == second_SQ.shape[1], "the same questions"
    if len(first_SQ) == len(second_SQ) or 1 in (len(first_SQ), len(second_SQ)):
        return interval(
            first_SQ - second_SQ, clusters, samples=samples, seed=seed, groups_Q=groups_Q
        )
    difference_Q = first_SQ.mean(0) - second_SQ.mean(0)
    estimate = _mean(difference_Q, groups_Q)
    patients = clusters.asked
    if patients < 2:
        return Interval(estimate, math.nan, math.nan)
    replicates_R = replicate_means(
        difference_Q, clusters, samples=samples, seed=seed, groups_Q=groups_Q
    )
    parts = [(float(np.nanvar(replicates_R, ddof=1)), patients - 1)]
    for values_SQ in (first_SQ, second_SQ):
        means_S = np.array([_mean(values_Q, groups_Q) for values_Q in values_SQ])
        parts.append((float(means_S.var(ddof=1)) / len(means_S), len(means_S) - 1))
    return _student(estimate, parts)


def _student(estimate: float, parts: Sequence[tuple[float, int]]) -> Interval:
    """Interval from independent variances, each with its degrees of freedom."""
    variance = sum(part for part, _ in parts)
    if variance == 0.0:
        return Interval(estimate, estimate, estimate)
    freedom = 1.0 / sum((part / variance) ** 2 / degrees for part, degrees in parts)
    reach = float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
    return Interval(estimate, estimate - reach, estimate + reach)


def _mean(values_Q: Floats, groups_Q: ArrayLike | None) -> float:
    group_Q, groups = _numbered(groups_Q, len(values_Q))
    sizes_G = np.bincount(group_Q, minlength=groups)
    return float((np.bincount(group_Q, values_Q, groups) / sizes_G).mean())


def _numbered(groups_Q: ArrayLike | None, questions: int) -> tuple[Integers, int]:
    if groups_Q is None:
        return np.zeros(questions, np.int64), 1
    labels, number_Q = np.unique(np.asarray(groups_Q), return_inverse=True)
    return number_Q.astype(np.int64), len(labels)
