"""Causal diagnostics of a set of drawn questions: what the question tells of severity and answer.

All information is in bits. A severity-blind draw has I(Q;S) = 0; a draw whose questions cannot
be answered without the ECG has I(Q;A) = 0 and a question-only accuracy of 1 / answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def effective_sample_size(weights: Sequence[float] | NDArray[np.float64]) -> float:
    """Kish's effective sample size (sum w)^2 / sum w^2; 0 where all weights are 0.

    Source: Kish L., Survey Sampling, 1965.
    """
    values = np.asarray(weights, dtype=np.float64)
    squares = float((values**2).sum())
    return float(values.sum()) ** 2 / squares if squares > 0 else 0.0


def mutual_information(
    x: Sequence[Hashable],
    y: Sequence[Hashable],
    weights: Sequence[float] | None = None,
    *,
    corrected: bool = True,
) -> float:
    """I(X;Y) in bits of paired observations, each counted with its weight.

    The plug-in estimate is too high by about (K_xy - K_x - K_y + 1) / 2n nats, where K counts
    the observed values; `corrected` takes that off (Miller & Madow 1955), with n the effective
    sample size of the weights. A corrected estimate of independent variables lies around 0 and
    may fall slightly below it.
    """
    if len(x) != len(y) or not x:
        raise ValueError(f"x, y: expected as many of each, at least 1, found {len(x)}, {len(y)}")
    weight_N = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    joint, k_xy = _entropy(list(zip(x, y, strict=True)), weight_N)
    first, k_x = _entropy(x, weight_N)
    second, k_y = _entropy(y, weight_N)
    information = first + second - joint
    if corrected:
        information -= (k_xy - k_x - k_y + 1) / (2.0 * effective_sample_size(weight_N))
    return information / float(np.log(2.0))


def conditional_mutual_information(
    x: Sequence[Hashable],
    y: Sequence[Hashable],
    z: Sequence[Hashable],
    weights: Sequence[float] | None = None,
    *,
    corrected: bool = True,
) -> float:
    """I(X;Y|Z) in bits: I(X;Y) inside each value of Z, averaged with the weight of Z."""
    weight_N = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    rows_of: dict[Hashable, list[int]] = defaultdict(list)
    for row, value in enumerate(z):
        rows_of[value].append(row)
    total = 0.0
    for rows in rows_of.values():
        inside = weight_N[rows]
        if inside.sum() > 0:
            total += float(inside.sum()) * mutual_information(
                [x[row] for row in rows],
                [y[row] for row in rows],
                inside.tolist(),
                corrected=corrected,
            )
    return total / float(weight_N.sum())


def permutation_baseline(
    x: Sequence[Hashable],
    y: Sequence[Hashable],
    rng: np.random.Generator,
    *,
    permutations: int = 20,
) -> float:
    """Mean plug-in I(X;Y) in bits after shuffling Y: what chance alone gives at this size."""
    values = [
        mutual_information(x, [y[row] for row in rng.permutation(len(y))], corrected=False)
        for _ in range(permutations)
    ]
    return float(np.mean(values))


def question_only_accuracy(
    train: Sequence[tuple[str, str]],
    test: Sequence[tuple[str, str]],
    train_weights: Sequence[float] | None = None,
    test_weights: Sequence[float] | None = None,
) -> float:
    """Share of `test` answered rightly by each question's most frequent answer in `train`.

    Pairs are (question_id, answer). A question unseen in training gets the most frequent answer
    of all. This model never sees an ECG: it is what the question alone is worth.
    """
    if not train or not test:
        raise ValueError("train, test: expected at least 1 pair of each")
    per_question: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    overall: dict[str, float] = defaultdict(float)
    for (question, answer), weight in zip(train, train_weights or [1.0] * len(train), strict=True):
        per_question[question][answer] += weight
        overall[answer] += weight
    usual = {question: _most(counts) for question, counts in per_question.items()}
    fallback = _most(overall)
    weight_N = np.asarray(test_weights or [1.0] * len(test), dtype=np.float64)
    right_N = np.array([usual.get(question, fallback) == answer for question, answer in test])
    return float((right_N * weight_N).sum() / weight_N.sum())


def never_asked(
    asked: Collection[tuple[str, int]], strata: Sequence[str], how: str
) -> tuple[str, ...]:
    """Positivity violations: a line for each question and stratum that are not asked together.

    Args:
        asked: the pairs (question_id, stratum) that are.
        strata: the strata's names.
        how: what never happened to the question there, as "observed".
    """
    return tuple(
        f"{question} is never {how} in stratum {name!r}"
        for question in sorted({question for question, _ in asked})
        for stratum, name in enumerate(strata)
        if (question, stratum) not in asked
    )


def _most(counts: Mapping[str, float]) -> str:
    """The most frequent answer, ties by name, so that the order of the data plays no part."""
    return min(counts, key=lambda answer: (-counts[answer], answer))


def _entropy(values: Sequence[Hashable], weight_N: NDArray[np.float64]) -> tuple[float, int]:
    """Plug-in entropy in nats, and the number of observed values."""
    mass: dict[Hashable, float] = defaultdict(float)
    for value, weight in zip(values, weight_N.tolist(), strict=True):
        if weight > 0:
            mass[value] += weight
    probability = np.fromiter(mass.values(), dtype=np.float64)
    probability /= probability.sum()
    return float(-(probability * np.log(probability)).sum()), len(mass)
