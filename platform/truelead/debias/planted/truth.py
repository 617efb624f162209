"""The exact answer distributions of a planted model, by enumeration over severity.

Both hold for a reader who sees everything the ECG tells (traces and marker):

    observational   P(yes | q, e)     = sum over s of  P(yes | q, e, s) P(s | q, e)
    interventional  P(yes | do(q), e) = sum over s of  P(yes | q, e, s) P(s | e)

They differ by what the question betrays of the severity: P(s | q, e) is in proportion to
P(s | e) P(q | s). P(s | e), not P(s), stands in the second, because the ECG itself may tell how ill
the patient is, and that is no bias.

Shape suffixes: N ECGs, A severity strata, C conditions (each is also a question).
"""

from __future__ import annotations

import numpy as np

from truelead.debias.planted.model import Floats, PlantedEcgs, PlantedModel


def severity_posterior(model: PlantedModel, ecgs: PlantedEcgs) -> Floats:
    """P(s | e): float64 [N, A]."""
    trace_AC = model.condition_AC * model.sensitivity + (1 - model.condition_AC) * model.false_trace
    with np.errstate(divide="ignore"):
        present_AC, absent_AC = np.log(trace_AC), np.log1p(-trace_AC)
        marker_AA = np.log(model.marker_AA)
        prior_A = np.log(model.severity_A)
    evidence_NAC = np.where(ecgs.trace_NC[:, None, :], present_AC, absent_AC)
    return _normalised(prior_A + evidence_NAC.sum(axis=2) + marker_AA.T[ecgs.marker_N])


def condition_posterior(model: PlantedModel, ecgs: PlantedEcgs) -> Floats:
    """P(condition c | e, s): float64 [N, A, C]."""
    hit_AC = model.condition_AC * model.sensitivity
    false_AC = (1 - model.condition_AC) * model.false_trace
    missed_AC = model.condition_AC * (1 - model.sensitivity)
    clear_AC = (1 - model.condition_AC) * (1 - model.false_trace)
    given_trace_AC = _share(hit_AC, false_AC)
    given_none_AC = _share(missed_AC, clear_AC)
    return np.where(ecgs.trace_NC[:, None, :], given_trace_AC, given_none_AC)


def interventional(model: PlantedModel, ecgs: PlantedEcgs) -> Floats:
    """P(yes | do(question c), e): float64 [N, C]."""
    severity_NA = severity_posterior(model, ecgs)
    return np.einsum("na,nac->nc", severity_NA, condition_posterior(model, ecgs))


def observational(model: PlantedModel, ecgs: PlantedEcgs) -> Floats:
    """P(yes | question c, e) where questions are asked as observed: float64 [N, C].

    NaN where the question is never asked of any severity that the ECG allows.
    """
    severity_NAC = severity_posterior(model, ecgs)[:, :, None] * model.question_AC
    with np.errstate(invalid="ignore"):
        severity_NAC /= severity_NAC.sum(axis=1, keepdims=True)
    answer_NC: Floats = (severity_NAC * condition_posterior(model, ecgs)).sum(axis=1)
    return answer_NC


def _share(one: Floats, other: Floats) -> Floats:
    """one / (one + other); 0 where neither can happen."""
    total = one + other
    return np.divide(one, total, out=np.zeros_like(one), where=total > 0)


def _normalised(log_NA: Floats) -> Floats:
    weight_NA = np.exp(log_NA - log_NA.max(axis=1, keepdims=True))
    result: Floats = weight_NA / weight_NA.sum(axis=1, keepdims=True)
    return result
