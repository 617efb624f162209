"""Generated 12-lead ECGs: a heart dipole with the anatomy of the conditions it is labelled with."""

from truelead.signal.generator.conditions import CONDITIONS, Condition
from truelead.signal.generator.finding import STAGES, Finding
from truelead.signal.generator.noise import Disturbance
from truelead.signal.generator.patient import (
    GeneratedEcg,
    ecg_count,
    generate_ecg,
    generate_patient,
)
from truelead.signal.generator.waves import WaveBoundaries

__all__ = [
    "CONDITIONS",
    "STAGES",
    "Condition",
    "Disturbance",
    "Finding",
    "GeneratedEcg",
    "WaveBoundaries",
    "ecg_count",
    "generate_ecg",
    "generate_patient",
]
