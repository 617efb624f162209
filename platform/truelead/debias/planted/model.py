"""A structural causal model of confounded questions, small enough that its truth is exact.

    S ──> C ──> D        S severity, C conditions, D traces of conditions that the ECG shows,
    S ──> M     │        M a marker of severity in the ECG, Q the condition asked about,
    S ──> Q ──> A <── C  A "yes" if the patient has it

The ECG is drawn from (D, M) alone, so whoever reads D and M perfectly knows all that the ECG tells.
A trace may be missing though the condition is there (noise hides it), and may be there without the
condition; then severity says how to bet, and that is where a confounded question misleads.

Source of the construction: Pearl, Causality (2nd edition, 2009), section 3.3 (backdoor criterion).

Shape suffixes: N ECGs, A severity strata, C conditions (each is also a question).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truelead.errors import ConfigError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PlantedEcgs:
    """What was drawn for N ECGs.

    Attributes:
        severity_N: stratum of each.
        condition_NC: what the patient has.
        trace_NC: what the ECG shows.
        marker_N: the stratum that the ECG's marker tells.
    """

    severity_N: Indices
    condition_NC: Flags
    trace_NC: Flags
    marker_N: Indices


@dataclass(frozen=True, eq=False)
class PlantedModel:
    """The tables of the structural model.

    Attributes:
        severity_A: P(s).
        condition_AC: P(condition c | s); conditions are independent given s.
        question_AC: P(question c | s), rows sum to 1.
        sensitivity: P(trace | condition), 1 - sensitivity is what noise hides.
        false_trace: P(trace | no condition).
        marker_AA: P(marker | s), rows sum to 1.
    """

    severity_A: Floats
    condition_AC: Floats
    question_AC: Floats
    sensitivity: float
    false_trace: float
    marker_AA: Floats

    @property
    def strata(self) -> int:
        """A."""
        return len(self.severity_A)

    @property
    def conditions(self) -> int:
        """C."""
        return self.condition_AC.shape[1]

    def draw(self, count: int, rng: np.random.Generator) -> PlantedEcgs:
        """`count` ECGs with what is behind them."""
        severity_N = rng.choice(self.strata, size=count, p=self.severity_A)
        condition_NC = rng.random((count, self.conditions)) < self.condition_AC[severity_N]
        shown_NC = np.where(condition_NC, self.sensitivity, self.false_trace)
        return PlantedEcgs(
            severity_N=severity_N,
            condition_NC=condition_NC,
            trace_NC=rng.random((count, self.conditions)) < shown_NC,
            marker_N=_pick(self.marker_AA[severity_N], rng),
        )

    def ask(self, severity_N: Indices, rng: np.random.Generator) -> Indices:
        """One observed (confounded) question for each severity: question_N."""
        return _pick(self.question_AC[severity_N], rng)

    def question_severity_bits(self) -> float:
        """I(Q;S) of the observed questions, in bits."""
        joint_AC = self.severity_A[:, None] * self.question_AC
        independent_AC = self.severity_A[:, None] * joint_AC.sum(axis=0)
        asked_AC = joint_AC > 0
        ratio = joint_AC[asked_AC] / independent_AC[asked_AC]
        return float((joint_AC[asked_AC] * np.log2(ratio)).sum())


def planted_model(
    *,
    conditions: int = 6,
    strata: int = 3,
    confounding: float = 1.0,
    positivity: float = 0.1,
    noise: float = 0.4,
    severity_readable: float = 0.0,
    false_trace: float = 0.05,
) -> PlantedModel:
    """A model from its dials.

    A condition is rare in the healthy and common in the ill; each is typical of its own stratum.
    A confounded question asks about what is typical of the patient's stratum: four times as often
    for each step that a condition's typical stratum is nearer, but for what `positivity` keeps.

    Args:
        confounding: 0: what is asked has nothing to do with severity; 1: as described above.
        positivity: smallest P(q | s) under full confounding, as a share of asking evenly; at 0 a
            question that is not of the patient's stratum is never asked there.
        noise: P(no trace | condition).
        severity_readable: probability that the ECG's marker tells the true severity; otherwise it
            tells a stratum drawn from P(s), so at 0 it tells nothing.
        false_trace: P(trace | no condition).

    Raises:
        ConfigError: a dial is outside 0..1, or there are fewer than 2 conditions or strata.
    """
    dials = {
        "confounding": confounding,
        "positivity": positivity,
        "noise": noise,
        "severity_readable": severity_readable,
        "false_trace": false_trace,
    }
    for name, value in dials.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"planted: {name}: expected a value from 0 to 1, found {value}")
    if conditions < 2 or strata < 2:
        raise ConfigError(
            f"planted: expected at least 2 conditions and 2 strata, found {conditions} and {strata}"
        )
    severity_A = np.full(strata, 1.0 / strata)
    place_A = np.arange(strata)
    typical_C = np.arange(conditions) % strata
    distance_AC = np.abs(place_A[:, None] - typical_C)
    illness_A = 0.1 + 0.5 * place_A / (strata - 1)
    condition_AC = np.clip(illness_A[:, None] + 0.25 * (distance_AC == 0), 0.02, 0.95)
    if positivity > 0:
        leaning_AC = positivity + (1 - positivity) * (0.25**distance_AC)
    else:
        leaning_AC = (distance_AC == 0).astype(np.float64)
    leaning_AC = leaning_AC / leaning_AC.sum(axis=1, keepdims=True)
    question_AC = (1 - confounding) / conditions + confounding * leaning_AC
    marker_AA = severity_readable * np.eye(strata) + (1 - severity_readable) * severity_A
    return PlantedModel(severity_A, condition_AC, question_AC, 1.0 - noise, false_trace, marker_AA)


def _pick(probability_NK: Floats, rng: np.random.Generator) -> Indices:
    """One index a row, with the row's probabilities."""
    edge_NK = np.cumsum(probability_NK, axis=1)
    place_N = rng.random(len(probability_NK)) * edge_NK[:, -1]
    picked: Indices = (edge_NK <= place_N[:, None]).sum(axis=1)
    return picked
