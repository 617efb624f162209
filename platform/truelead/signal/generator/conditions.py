"""The catalogue of conditions: how common, how they go together, and their mechanism.

Adding one: a mechanism in arrhythmias, conduction or myocardium, and one line in `CONDITIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from truelead.signal.generator.arrhythmias import (
    atrial_beats,
    bigeminy,
    bradycardia,
    fibrillation,
    flutter,
    sinus_arrhythmia,
    tachycardia,
    ventricular_beats,
)
from truelead.signal.generator.conduction import (
    anterior_hemiblock,
    extreme_axis,
    first_degree_block,
    incomplete_right_block,
    left_atrium,
    left_axis,
    left_bundle_block,
    right_axis,
    right_bundle_block,
)
from truelead.signal.generator.dipole import rotate_frontal
from truelead.signal.generator.finding import Apply, Finding
from truelead.signal.generator.heart import Heart, fit_to
from truelead.signal.generator.myocardium import (
    flat_t,
    infarction,
    inverted_t,
    ischaemia,
    left_hypertrophy,
    long_qt,
    low_voltage,
    sokolow_lyon,
)
from truelead.signal.generator.rhythm import Rhythm
from truelead.signal.generator.waves import Wave, lead_course, vectors_of, with_vectors


@dataclass(frozen=True)
class Condition:
    """One condition of the catalogue.

    Attributes:
        prevalence: probability in a recording of a patient of middle risk.
        risk: how much the patient's burden of disease raises its log-odds.
        chronic: once there it stays; else it comes and goes between recordings.
        uncertain: share of the cases that show too little to be sure.
        excludes: conditions that cannot be seen beside it; the earlier in the catalogue wins.
        apply: the mechanism.
    """

    prevalence: float
    risk: float
    chronic: bool
    apply: Apply
    uncertain: float = 0.0
    excludes: tuple[str, ...] = ()


INFARCTIONS = ("IMI", "ILMI", "ASMI", "AMI", "ALMI")
_ISCHAEMIAS = ("ISC_", "ISCAL", "ISCIN", "STD_", "NST_", "NDT", "INVT")
_INFARCTED = (*INFARCTIONS, *_ISCHAEMIAS)
_AXES = ("left-axis", "right-axis", "extreme-axis")

# Names in capitals are SCP codes; the lower-case ones change only the heart axis.
# The order is the order of application: rhythm, conduction, axis, infarction, size, ST-T, voltage.
CONDITIONS: Mapping[str, Condition] = {
    "AFIB": Condition(0.045, 1.0, False, fibrillation, 0, ("AFLT", "SBRAD", "STACH", "SARRH")),
    "AFLT": Condition(0.008, 0.9, False, flutter, 0, ("SBRAD", "STACH", "SARRH", "PVC", "BIGU")),
    "SBRAD": Condition(0.04, -0.1, False, bradycardia, 0, ("STACH",)),
    "STACH": Condition(0.045, 0.3, False, tachycardia, 0, ("SARRH", "BIGU", "LNGQT")),
    "SARRH": Condition(0.045, -0.2, False, sinus_arrhythmia, 0, ("PAC", "PVC", "BIGU")),
    "BIGU": Condition(0.006, 0.5, False, bigeminy, 0, ("PVC", "PAC")),
    "PVC": Condition(0.045, 0.6, False, ventricular_beats, 0, ("PAC",)),
    "PAC": Condition(0.03, 0.3, False, atrial_beats, 0, ()),
    "1AVB": Condition(0.035, 0.7, True, first_degree_block),
    "LAO/LAE": Condition(0.015, 0.7, True, left_atrium, 0.25),
    "CLBBB": Condition(
        0.015,
        1.0,
        True,
        left_bundle_block,
        0,
        ("CRBBB", "IRBBB", "LAFB", "LVH", "LVOLT", *_AXES, *_INFARCTED),
    ),
    "CRBBB": Condition(
        0.022, 0.8, True, right_bundle_block, 0, ("IRBBB", "right-axis", "extreme-axis", "LVH")
    ),
    "IRBBB": Condition(0.05, 0.1, True, incomplete_right_block, 0, ("right-axis", "extreme-axis")),
    "LAFB": Condition(0.06, 0.8, True, anterior_hemiblock, 0, _AXES),
    "left-axis": Condition(0.02, 0.3, True, left_axis, 0, ("right-axis", "extreme-axis")),
    "right-axis": Condition(0.012, 0.2, True, right_axis, 0, ("extreme-axis", "LVH")),
    "extreme-axis": Condition(0.006, 0.4, True, extreme_axis, 0, ("LVH",)),
    "IMI": Condition(0.065, 1.0, True, infarction((-0.08, 1.0, 0.12), 0.40), 0.4, ("ILMI",)),
    "ILMI": Condition(0.009, 1.0, True, infarction((0.62, 0.78, 0.1), 0.42), 0.3, ("AMI", "ALMI")),
    "ASMI": Condition(0.075, 1.0, True, infarction((0.22, 0.02, -1.0), 0.50), 0.3, ("AMI", "ALMI")),
    "AMI": Condition(0.010, 1.0, True, infarction((0.62, 0.1, -0.78), 0.52), 0.4, ("ALMI",)),
    "ALMI": Condition(0.009, 1.0, True, infarction((0.88, -0.25, -0.42), 0.46), 0.3),
    "LVH": Condition(0.07, 0.9, True, left_hypertrophy, 0.45, ("LVOLT",)),
    "ISC_": Condition(0.035, 0.9, False, ischaemia(0.10, 0.9), 0.15, _ISCHAEMIAS[1:]),
    "ISCAL": Condition(
        0.02, 0.9, False, ischaemia(0.09, 1.0, (0.85, -0.15, -0.5)), 0.2, _ISCHAEMIAS[2:]
    ),
    "ISCIN": Condition(0.008, 0.9, False, ischaemia(0.09, 1.0, (0, 1, 0.1)), 0.2, _ISCHAEMIAS[3:]),
    "STD_": Condition(0.025, 0.7, False, ischaemia(0.14, 0.0), 0, _ISCHAEMIAS[4:]),
    "NST_": Condition(0.035, 0.5, False, ischaemia(0.075, 0.2), 0.1, _ISCHAEMIAS[5:]),
    "NDT": Condition(0.055, 0.5, False, flat_t, 0, ("INVT",)),
    "INVT": Condition(0.012, 0.6, False, inverted_t),
    "LNGQT": Condition(0.006, 0.7, False, long_qt),
    "LVOLT": Condition(0.015, 0.4, True, low_voltage),
}


def apply_findings(
    heart: Heart, rhythm: Rhythm, findings: Mapping[str, Finding], random: np.random.Generator
) -> None:
    """Let the conditions change a healthy heart, in the catalogue's order."""
    for code, condition in CONDITIONS.items():
        if code in findings:
            condition.apply(heart, rhythm, findings[code], random)
    if "LVH" not in findings and "CLBBB" not in findings:
        # Without hypertrophy the voltage criterion is not met, so that the label stays true.
        too_large = sokolow_lyon(heart) / 3.3
        heart.qrs = tuple(wave.scaled(1 / max(too_large, 1.0)) for wave in heart.qrs)
    if "LVOLT" not in findings:
        sizes_L = np.ptp(lead_course(heart.qrs, heart.field_L3)[1], axis=1)
        too_small = max(0.6 / sizes_L[:6].max(), 1.0)
        heart.qrs = tuple(wave.scaled(too_small) for wave in heart.qrs)
    heart.fit_duration()
    if heart.ectopic:
        heart.ectopic = _fit_ectopic(heart, random)


def _fit_ectopic(heart: Heart, random: np.random.Generator) -> tuple[Wave, ...]:
    return fit_to(heart.ectopic, heart.field_L3, float(random.uniform(0.138, 0.172)))


def rotated_p(waves: tuple[Wave, ...], degrees: float) -> tuple[Wave, ...]:
    """P waves of an ectopic atrial focus: the same atria from another start."""
    return with_vectors(waves, rotate_frontal(vectors_of(waves), degrees))
