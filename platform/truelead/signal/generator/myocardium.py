"""What infarction, ischaemia, hypertrophy and a badly conducting chest do to QRS, ST and T.

Criteria: Thygesen et al., fourth universal definition of myocardial infarction, 2018; Hancock et
al., AHA/ACCF/HRS recommendations part V (hypertrophy), 2009; Sokolow and Lyon 1949.

Body axes: x left, y feet, z back. Amplitudes in mV of dipole.
"""

from __future__ import annotations

import numpy as np

from truelead.signal.generator.dipole import Array
from truelead.signal.generator.finding import Apply, Finding
from truelead.signal.generator.heart import Heart
from truelead.signal.generator.rhythm import Rhythm
from truelead.signal.generator.waves import Wave, lead_course, vector, vectors_of, with_vectors


def infarction(wall: tuple[float, float, float], early: float) -> Apply:
    """Death of a wall: its early forces are lost, so the first 40 ms point away from it.

    Args:
        wall: direction of the wall seen from the heart's centre.
        early: size of the early force away from it in mV.
    """
    wall_3 = np.array(wall) / np.linalg.norm(wall)

    def apply(heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator) -> None:
        gain = heart.anatomy.qrs_gain
        stage = finding.stage or "unknown"
        size = finding.strength * (0.45 if stage == "Stadium I" else 1.0)
        vectors_W3 = vectors_of(heart.qrs)
        towards_W = np.maximum(vectors_W3 @ wall_3, 0)
        centre_W = np.array([wave.centre for wave in heart.qrs])
        lost_W = np.where(centre_W < 0.04, 0.95, np.where(centre_W < 0.06, 0.45, 0.1)) * size
        vectors_W3 = vectors_W3 - (lost_W * towards_W)[:, None] * wall_3
        away_3 = -early * gain * size * float(random.uniform(0.9, 1.2)) * wall_3
        scar = Wave(0.023, 0.0095, 0.0095, vector(away_3))
        heart.qrs = (scar, *with_vectors(heart.qrs, vectors_W3))
        heart.qrs_duration += 0.004
        _infarct_repolarisation(heart, wall_3, stage, finding.strength, random)

    return apply


def _infarct_repolarisation(
    heart: Heart, wall_3: Array, stage: str, strength: float, random: np.random.Generator
) -> None:
    """Injury points at the wall while it is acute; T turns away from it in the weeks after."""
    towards = float(heart.t @ wall_3)
    if stage == "Stadium I":
        heart.st = heart.st + wall_3 * float(random.uniform(0.22, 0.38)) * strength
        heart.t = heart.t + wall_3 * 0.18 * strength
    elif stage == "Stadium II":
        heart.st = heart.st + wall_3 * float(random.uniform(0.07, 0.12)) * strength
        heart.t = heart.t - wall_3 * (towards + 0.18) * strength
    elif stage == "Stadium II-III":
        size = float(random.uniform(0.20, 0.32))
        heart.t = heart.t * (1 - 0.6 * strength) - wall_3 * (0.4 * towards + size) * strength
    else:
        heart.t = heart.t - wall_3 * 0.5 * max(towards, 0.0) * strength


def sokolow_lyon(heart: Heart) -> float:
    """S in V1 plus the larger R of V5 and V6, in mV (Sokolow and Lyon 1949; LVH above 3.5)."""
    leads_LT = lead_course(heart.qrs, heart.field_L3)[1]
    return float(-leads_LT[6].min() + leads_LT[10:12].max())


_LARGEST_GROWTH = 3.2
"""A fascicular block turns the force away from V5: the voltage there need not pass the limit."""


def left_hypertrophy(
    heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator
) -> None:
    """More muscle to the left and back; strain turns ST and T away from it when it is plain."""
    aim = float(random.uniform(3.75, 4.8))
    room = _LARGEST_GROWTH
    for _attempt in range(4):
        # The forces that face the chest's front come before the thick wall and stay as they are.
        scale = min(max(aim / sokolow_lyon(heart), 1.0) ** 1.1, room)
        room /= scale
        heart.qrs = tuple(
            wave.scaled(scale, scale**0.6, scale) if wave.vector[2] > 0 else wave
            for wave in heart.qrs
        )
    heart.qrs_duration = max(heart.qrs_duration, float(random.uniform(0.096, 0.112)))
    if finding.strength > 0.55:
        strain = float(random.uniform(0.7, 1.2)) * finding.strength
        heart.st = heart.st + strain * np.array([-0.10, -0.03, -0.09])
        heart.t = heart.t * (1 - 0.6 * strain) + strain * np.array([-0.26, -0.08, -0.14])


_APEX_3 = np.array([0.80, 0.55, -0.20]) / np.linalg.norm([0.80, 0.55, -0.20])
"""Direction of the left ventricle's apex; subendocardial injury points away from it."""


def ischaemia(
    depression: float, inversion: float, wall: tuple[float, float, float] | None = None
) -> Apply:
    """Subendocardial ischaemia: ST points away from the wall, T turns away from it.

    Args:
        depression: ST dipole in mV. inversion: share of the T dipole that turns.
        wall: direction of the wall, the left ventricle's apex where None.
    """
    wall_3 = _APEX_3 if wall is None else np.array(wall) / np.linalg.norm(wall)

    def apply(heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator) -> None:
        size = finding.strength * float(random.uniform(0.85, 1.25))
        heart.st = heart.st - wall_3 * depression * size
        towards = max(float(heart.t @ wall_3), 0.0) * min(1.1 * finding.strength, 1.0)
        heart.t = heart.t - wall_3 * inversion * (towards + 0.2 * size)

    return apply


def flat_t(heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator) -> None:
    heart.t = heart.t * float(random.uniform(0.08, 0.3)) / max(finding.strength, 0.5)


def inverted_t(heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator) -> None:
    heart.t = -heart.t * float(random.uniform(0.6, 1.0))


def long_qt(heart: Heart, rhythm: Rhythm, _: Finding, random: np.random.Generator) -> None:
    heart.qt_corrected = float(random.uniform(0.485, 0.545))
    rhythm.heart_rate = min(rhythm.heart_rate, 85.0)


def low_voltage(heart: Heart, _: Rhythm, __: Finding, random: np.random.Generator) -> None:
    """Fluid, fat or air round the heart: below 0.5 mV in all limb, 1 mV in all chest leads."""
    leads_LT = lead_course(heart.qrs, heart.field_L3)[1]
    size_L = np.ptp(leads_LT, axis=1)
    factor = min(0.45 / size_L[:6].max(), 0.92 / size_L[6:].max(), 1.0)
    factor *= float(random.uniform(0.8, 1.0))
    heart.qrs = tuple(wave.scaled(factor) for wave in heart.qrs)
    heart.st, heart.t = heart.st * max(factor, 0.5), heart.t * max(factor, 0.45)
