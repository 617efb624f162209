"""The error against planted truth: how far the answers' probabilities are from P(A | do(Q), E).

Only a set with planted truth knows it; see `truelead.debias.planted`.

Shape suffixes: Q questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from truelead.debias.planted import divergence
from truelead.evaluate.metrics import normalise
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites.suite import Cells, Measure, Suite, SuiteContext, with_own_ecgs

_SET = "interventional/test-wordings"
_YES, _NO = "yes", "no"


class Interventional(Suite):
    """Every question of every test ECG, its P(yes) against both of the exact ones."""

    title: ClassVar[str] = "Interventional error (planted truth)"
    explanation: ClassVar[str] = (
        "These ECGs were drawn from a known causal model, so the exact probability of 'yes' is "
        "known for a question that we set, P(A | do(Q), E), and for one that is asked as observed, "
        "P(A | Q, E). Each question is put to each ECG once. The Kullback-Leibler divergence (in "
        "hundredths of a nat) and the absolute difference of the model's probability are given "
        "from both: a de-biased model is near the first, a confounded one near the second. "
        "Answers without probabilities count as certain."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """The setup's interventional test, where its truth is known."""
        if context.truth is None or _SET not in context.test_sets:
            return {}
        return {_SET: with_own_ecgs(context.test_sets[_SET])}

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """Divergence in nats and absolute difference, from do(Q) and from the observed."""
        assert context.truth is not None, "cells without a truth"
        truth_Q2 = np.array([context.truth(trial.question) for trial in trials])
        yes_Q = np.array(
            [
                probability_of_yes(answered[trial], truth)
                for trial, truth in zip(trials, truth_Q2[:, 0], strict=True)
            ]
        )
        found = {}
        for name, truth_Q in zip(("do(Q)", "observed Q"), truth_Q2.T, strict=True):
            # Not asked of anybody: there is no observed answer to be near to.
            rows_Q = np.flatnonzero(np.isfinite(truth_Q))
            if not len(rows_Q):
                continue
            truth_Q, given_Q = truth_Q[rows_Q], yes_Q[rows_Q]
            found[f"divergence from {name}"] = Measure(rows_Q, divergence(truth_Q, given_Q))
            found[f"difference from {name}"] = Measure(rows_Q, np.abs(truth_Q - given_Q))
        return found


def probability_of_yes(prediction: Prediction, truth: float) -> float:
    """The answer's P(yes); 1 or 0 where it comes without probabilities.

    What is neither yes nor no counts as certain of the less likely answer, so that silence is
    never better than an answer.

    Args:
        truth: the true P(yes).
    """
    given = prediction.option_probabilities
    total = given.get(_YES, 0.0) + given.get(_NO, 0.0)
    if total > 0:
        return given.get(_YES, 0.0) / total
    answers = normalise(prediction.answers)
    if answers == normalise((_YES,)):
        return 1.0
    if answers == normalise((_NO,)):
        return 0.0
    return float(truth < 0.5)
