"""Sampling rates: how often a group is asked a question, so that its answers come out even."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

CellKey = tuple[str, str, int]
"""Question_id, pooled answer, stratum (-1 where strata are not told apart)."""


@dataclass(frozen=True)
class Rates:
    """Expected draws an epoch of each (question, answer, stratum) for one group that has it.

    Attributes:
        rate: by cell; a cell that is not listed is never drawn.
        expected: questions an epoch over all groups.
        violations: (question, stratum) where only one answer occurs, so that it cannot be asked.
    """

    rate: dict[CellKey, float]
    expected: float
    violations: tuple[tuple[str, int], ...]


def balanced_rates(
    counts: Mapping[CellKey, int],
    total: float,
    *,
    question_weight: Callable[[str], float] = lambda _: 1.0,
    stratum_prior: str,
    frequency_exponent: float,
    maximum_repeats: float,
) -> Rates:
    """Rates under which every answer of a question is as likely, in each stratum it is asked in.

    Args:
        counts: how many train groups hold each cell.
        total: questions an epoch to reach.
        stratum_prior: P*(s given q): "marginal", in proportion to the stratum's groups;
            "minority", to the question's rarest answer in the stratum.
        question_weight: P(q) is in proportion to it, times
        frequency_exponent: the count of the question's rarest answer to this power.
        maximum_repeats: no rate above this. A question whose rare answer would need more is
            asked less often (all its answers alike), and the others more often instead.
    """
    answers_of: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for (question, answer, stratum), count in counts.items():
        answers_of[question, stratum][answer] = count
    violations = tuple(sorted(key for key, answers in answers_of.items() if len(answers) < 2))
    strata_of: dict[str, list[int]] = defaultdict(list)
    for question, stratum in sorted(answers_of):
        if len(answers_of[question, stratum]) > 1:
            strata_of[question].append(stratum)
    groups_of = {
        stratum: max(
            sum(answers.values()) for (_, other), answers in answers_of.items() if other == stratum
        )
        for stratum in {stratum for _, stratum in answers_of}
    }
    share: dict[CellKey, float] = {}
    rarest: dict[str, int] = {}
    for question, strata in strata_of.items():
        minority = {s: min(answers_of[question, s].values()) for s in strata}
        prior = minority if stratum_prior == "minority" else {s: groups_of[s] for s in strata}
        rarest[question] = sum(minority.values())
        for stratum in strata:
            answers = answers_of[question, stratum]
            for answer in answers:
                share[question, answer, stratum] = (
                    prior[stratum] / sum(prior.values()) / len(answers)
                )
    limit: dict[str, float] = {}
    for (question, answer, stratum), part in share.items():
        reach = maximum_repeats * counts[question, answer, stratum] / part
        limit[question] = min(limit.get(question, reach), reach)
    questions = list(strata_of)
    budget = _water_fill(
        np.array([question_weight(q) * rarest[q] ** frequency_exponent for q in questions]),
        np.array([limit[q] for q in questions]),
        total,
    )
    per_question = dict(zip(questions, budget, strict=True))
    rate = {key: per_question[key[0]] * part / counts[key] for key, part in share.items()}
    return Rates(rate, float(sum(budget)), violations)


def _water_fill(weight_Q: np.ndarray, limit_Q: np.ndarray, total: float) -> list[float]:
    """min(t * weight, limit) with t such that the sum is `total`, or all limits if they fall short.

    Q questions.
    """
    if limit_Q.sum() <= total:
        return [float(value) for value in limit_Q]
    budget_Q = np.zeros(len(weight_Q))
    free_Q = np.ones(len(weight_Q), dtype=bool)
    while True:
        left = total - budget_Q[~free_Q].sum()
        budget_Q[free_Q] = left * weight_Q[free_Q] / weight_Q[free_Q].sum()
        over_Q = free_Q & (budget_Q > limit_Q)
        if not over_Q.any():
            return [float(value) for value in budget_Q]
        budget_Q[over_Q] = limit_Q[over_Q]
        free_Q &= ~over_Q
