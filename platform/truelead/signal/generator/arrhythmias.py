"""What disorders of impulse formation do to the rhythm: fibrillation, flutter, premature beats.

Body axes: x left, y feet, z back. Amplitudes in mV of dipole.
"""

from __future__ import annotations

import numpy as np

from truelead.signal.generator.finding import Finding
from truelead.signal.generator.heart import Heart
from truelead.signal.generator.rhythm import Rhythm
from truelead.signal.generator.waves import Wave, vector


def fibrillation(_: Heart, rhythm: Rhythm, __: Finding, random: np.random.Generator) -> None:
    rhythm.atria = "fibrillation"
    rhythm.heart_rate = float(np.clip(random.normal(92, 22), 55, 150))


def flutter(_: Heart, rhythm: Rhythm, __: Finding, random: np.random.Generator) -> None:
    rhythm.atria = "flutter"
    rhythm.flutter_hertz = float(random.uniform(4.5, 5.3))
    choices: tuple[tuple[int, ...], ...] = ((2,), (4,), (3, 4), (2, 4))
    rhythm.conduction = choices[int(random.choice(4, p=(0.35, 0.3, 0.2, 0.15)))]


def bradycardia(_: Heart, rhythm: Rhythm, __: Finding, random: np.random.Generator) -> None:
    rhythm.heart_rate = float(random.uniform(42, 57))


def tachycardia(heart: Heart, rhythm: Rhythm, _: Finding, random: np.random.Generator) -> None:
    rhythm.heart_rate = float(random.uniform(103, 138))
    rhythm.sinus_arrhythmia *= 0.4
    heart.pr_interval = min(heart.pr_interval, 0.155)


def sinus_arrhythmia(_: Heart, rhythm: Rhythm, __: Finding, random: np.random.Generator) -> None:
    rhythm.sinus_arrhythmia = float(random.uniform(0.13, 0.22))


def ventricular_beats(
    heart: Heart, rhythm: Rhythm, _: Finding, random: np.random.Generator
) -> None:
    """An ectopic focus: activation runs through muscle, slowly and away from the focus."""
    rhythm.premature = "ventricular"
    rhythm.premature_beats = int(random.choice((1, 2, 3, 4), p=(0.45, 0.3, 0.15, 0.1)))
    right_ventricular = random.random() < 0.6
    away = np.array([0.75, 0.45, 0.75]) if right_ventricular else np.array([-0.75, -0.35, -0.85])
    away = away * (1.0, random.choice((-1.0, 1.0)), 1.0) + random.normal(0, 0.12, 3)
    bend = random.normal(0, 0.25, 3)
    size = random.uniform(1.15, 1.6)
    heart.ectopic = tuple(
        Wave(centre, width, width, vector(size * share * (away + tilt * bend)))
        for centre, width, share, tilt in (
            (0.035, 0.017, 0.35, -1.0),
            (0.075, 0.019, 0.95, 0.2),
            (0.112, 0.021, 0.55, 1.0),
        )
    )


def bigeminy(heart: Heart, rhythm: Rhythm, finding: Finding, random: np.random.Generator) -> None:
    ventricular_beats(heart, rhythm, finding, random)
    rhythm.bigeminal = True
    rhythm.heart_rate = min(rhythm.heart_rate, 84.0)


def atrial_beats(_: Heart, rhythm: Rhythm, __: Finding, random: np.random.Generator) -> None:
    rhythm.premature = "atrial"
    rhythm.premature_beats = int(random.choice((1, 2, 3), p=(0.5, 0.3, 0.2)))
