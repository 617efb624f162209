"""How far a model's answers are from P(A | do(Q), E).

Shape suffixes: N ECGs, C questions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from truelead.debias.planted.model import Floats
from truelead.errors import QuestionError

_SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1, so that one certain error cannot be infinite."""


@dataclass(frozen=True)
class InterventionalError:
    """Means over ECGs and questions, each question asked as often: do(Q).

    Attributes:
        divergence: Kullback-Leibler divergence of the model from the truth, in nats.
        difference: absolute difference of the probabilities of "yes".
    """

    divergence: float
    difference: float


def interventional_error(truth_NC: Floats, answered_NC: Floats) -> InterventionalError:
    """Compare probabilities of "yes" with the truth of `interventional`.

    Raises:
        QuestionError: the shapes differ, or a probability is not within 0..1.
    """
    if truth_NC.shape != answered_NC.shape or not truth_NC.size:
        raise QuestionError(
            f"interventional error: expected as many answers as truths, at least one, "
            f"found {answered_NC.shape} and {truth_NC.shape}"
        )
    for values in (truth_NC, answered_NC):
        if not ((values >= 0) & (values <= 1)).all():
            raise QuestionError("interventional error: expected probabilities from 0 to 1")
    return InterventionalError(
        float(divergence(truth_NC, answered_NC).mean()),
        float(np.abs(truth_NC - answered_NC).mean()),
    )


def divergence(truth: Floats, answered: Floats) -> Floats:
    """Kullback-Leibler divergence of each answered P(yes) from the true one, in nats.

    Args:
        truth, answered: probabilities of one shape, of which none counts as quite certain.
    """
    truth = np.clip(truth, _SMALLEST, 1 - _SMALLEST)
    answered = np.clip(answered, _SMALLEST, 1 - _SMALLEST)
    found: Floats = truth * np.log(truth / answered) + (1 - truth) * np.log(
        (1 - truth) / (1 - answered)
    )
    return found
