"""What disorders of conduction and the heart's position do to P, PR and QRS.

Criteria: Surawicz et al., AHA/ACCF/HRS recommendations part III, 2009.

Body axes: x left, y feet, z back. Amplitudes in mV of dipole.
"""

from __future__ import annotations

import numpy as np

from truelead.signal.generator.finding import Finding
from truelead.signal.generator.heart import Heart
from truelead.signal.generator.rhythm import Rhythm
from truelead.signal.generator.waves import Wave


def first_degree_block(
    heart: Heart, rhythm: Rhythm, finding: Finding, random: np.random.Generator
) -> None:
    heart.pr_interval = 0.213 + 0.09 * float(random.beta(1.3, 2.5)) + 0.01 * finding.strength
    rhythm.heart_rate = min(rhythm.heart_rate, 105.0)


def left_atrium(heart: Heart, _: Rhythm, finding: Finding, __: np.random.Generator) -> None:
    """The left atrium is activated later and longer: P over 120 ms, notched, negative end in V1."""
    right, left = heart.p
    heart.p = (
        right,
        Wave(0.092, 0.0165, 0.0165, left.scaled(1.25, 1.1, 1.2 + 1.8 * finding.strength).vector),
    )


def left_bundle_block(
    heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator
) -> None:
    """The septum is activated from the right: all forces go left and back, slowly, with a notch."""
    gain = heart.anatomy.qrs_gain * float(random.uniform(0.9, 1.15))
    heart.qrs = tuple(
        wave.scaled(gain)
        for wave in (
            Wave(0.030, 0.013, 0.013, (0.30, 0.12, 0.16)),
            Wave(0.058, 0.013, 0.013, (0.82, 0.25, 0.75)),
            Wave(0.078, 0.011, 0.011, (-0.08, 0.00, 0.50)),
            Wave(0.098, 0.014, 0.014, (0.92, 0.15, 0.75)),
            Wave(0.126, 0.012, 0.013, (0.35, -0.02, 0.38)),
        )
    )
    heart.turn_to_axis(float(np.clip(heart.axis - 25, -42, 55)))
    heart.qrs_duration = float(random.uniform(0.130, 0.162))
    _discordant(heart, 0.16, 0.42)


def right_bundle_block(
    heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator
) -> None:
    """The right ventricle is activated last and alone: a slow force to the right and the front."""
    gain = heart.anatomy.qrs_gain * float(random.uniform(0.85, 1.2))
    *early, basal = heart.qrs
    late = Wave(0.098, 0.0170, 0.0165, (-0.55 * gain, 0.05 * gain, -0.55 * gain))
    heart.qrs = (*early, basal.scaled(0.5), late)
    heart.qrs_duration = float(random.uniform(0.126, 0.152))
    heart.t = heart.t + np.array([0.10, 0.0, 0.20]) * gain
    heart.st = heart.st + np.array([0.01, 0.0, 0.03])


def incomplete_right_block(
    heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator
) -> None:
    gain = heart.anatomy.qrs_gain * float(random.uniform(0.9, 1.1))
    *early, basal = heart.qrs
    late = Wave(0.084, 0.0085, 0.0095, (-0.26 * gain, -0.02 * gain, -0.32 * gain))
    heart.qrs = (*early, basal.scaled(0.75), late)
    heart.qrs_duration = float(random.uniform(0.108, 0.117))
    heart.t = heart.t + np.array([0.02, 0.0, 0.05])


def anterior_hemiblock(
    heart: Heart, _: Rhythm, finding: Finding, random: np.random.Generator
) -> None:
    """Activation starts down and right, then all of the free wall is activated upwards."""
    gain = heart.anatomy.qrs_gain
    tail = heart.qrs[4:]
    waves = tuple(
        wave.scaled(gain)
        for wave in (
            Wave(0.017, 0.0075, 0.0075, (-0.14, 0.26, -0.18)),
            Wave(0.038, 0.0085, 0.0085, (0.60, 0.00, -0.10)),
            Wave(0.054, 0.0100, 0.0100, (0.62, -0.62, 0.40)),
            Wave(0.073, 0.0085, 0.0090, (0.02, -0.34, 0.36)),
        )
    )
    heart.qrs = waves
    heart.turn_to_axis(float(random.uniform(-68, -49)))
    heart.qrs = (*heart.qrs, *tail)
    heart.qrs_duration = max(heart.qrs_duration, float(random.uniform(0.098, 0.114)))


def left_axis(heart: Heart, _: Rhythm, __: Finding, random: np.random.Generator) -> None:
    heart.turn_to_axis(float(random.uniform(-44, -33)))


def right_axis(heart: Heart, _: Rhythm, __: Finding, random: np.random.Generator) -> None:
    heart.turn_to_axis(float(random.uniform(94, 132)))


def extreme_axis(heart: Heart, _: Rhythm, __: Finding, random: np.random.Generator) -> None:
    heart.turn_to_axis(float(random.uniform(-172, -108)))


def _discordant(heart: Heart, st: float, t: float) -> None:
    """Repolarisation after a block runs against the net QRS."""
    net_3 = heart.net_qrs()
    net_3 = net_3 / np.linalg.norm(net_3)
    heart.st = -st * heart.anatomy.qrs_gain * net_3
    heart.t = -t * heart.anatomy.qrs_gain * net_3
