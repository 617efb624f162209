"""One patient's heart and chest, and the waves they make while nothing is ill.

Typical values follow the description of the normal ventricular activation (septum, anterior
wall and apex, left free wall, base) by Durrer et al., Circulation 1970, and normal limits from
Macfarlane et al., Comprehensive Electrocardiology 2010.

Shape suffixes: L leads (12), 3 body axes, 6 precordial electrodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from truelead.signal.generator.dipole import (
    Array,
    axis_degrees,
    lead_field,
    rotate_frontal,
    rotate_horizontal,
)
from truelead.signal.generator.waves import Wave, lead_course, span, vectors_of, with_vectors

_T_VECTOR = (0.30, 0.19, -0.16)
_T_AXIS = 62.0
"""Typical T dipole in mV and its axis in degrees."""

MALE, FEMALE = 0, 1
"""PTB-XL's coding of sex."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What makes one patient's ECG differ from another's for life.

    Attributes:
        axis: electrical axis of the healthy QRS in degrees.
        horizontal_turn: rotation of the heart about the body's long axis in degrees.
        qrs_gain, t_gain, p_gain, septal_gain, basal_gain: factors on the typical amplitudes.
        qrs_duration, pr_interval, qt_corrected: seconds.
        heart_rate: beats a minute at rest.
        t_turn: angle of the T wave from the QRS in degrees, beyond the typical one.
        electrode_shift_6: habitual misplacement of V1..V6 (obese, breast tissue).
    """

    sex: int
    axis: float
    horizontal_turn: float
    qrs_gain: float
    t_gain: float
    p_gain: float
    septal_gain: float
    basal_gain: float
    qrs_duration: float
    pr_interval: float
    qt_corrected: float
    heart_rate: float
    respiration_hertz: float
    sinus_arrhythmia: float
    t_turn: float
    electrode_shift_6: Array


def draw_anatomy(random: np.random.Generator, age: float, sex: int) -> Anatomy:
    """A chest and heart; the axis turns left and voltages fall with age."""

    def factor(spread: float) -> float:
        return float(np.exp(random.normal(0, spread)))

    return Anatomy(
        sex=sex,
        axis=float(np.clip(random.normal(62 - 0.55 * (age - 25), 22), -25, 85)),
        horizontal_turn=float(random.normal(0, 11)),
        qrs_gain=factor(0.17) * (0.9 if sex == FEMALE else 1.0) * (1.12 - 0.002 * age),
        t_gain=max(factor(0.25), 0.6) * (0.85 if sex == FEMALE else 1.0) * (1.2 - 0.004 * age),
        p_gain=factor(0.2),
        septal_gain=factor(0.35),
        basal_gain=factor(0.3),
        qrs_duration=float(np.clip(random.normal(0.091, 0.007), 0.074, 0.106)),
        pr_interval=float(np.clip(random.normal(0.148 + 0.0003 * age, 0.018), 0.118, 0.196)),
        qt_corrected=float(np.clip(random.normal(0.405 + 0.01 * sex, 0.015), 0.37, 0.445)),
        heart_rate=float(np.clip(random.normal(71, 9), 61, 95)),
        respiration_hertz=float(random.uniform(0.18, 0.33)),
        sinus_arrhythmia=float(random.uniform(0.008, 0.03) * np.clip(1.6 - age / 60, 0.3, 1.3)),
        t_turn=float(random.normal(0, 12)),
        electrode_shift_6=random.normal(0, 0.12) + random.normal(0, 0.08, 6),
    )


@dataclass
class Heart:
    """The waves of one recording; conditions change them in place before they are rendered.

    Attributes:
        p: P waves from the P onset; qrs: QRS waves from the QRS onset.
        st: dipole of the ST segment in mV; t: dipole of the T wave in mV.
        qrs_duration, pr_interval, qt_corrected: seconds that the waves are fitted to.
        ectopic: QRS waves of a premature ventricular beat, empty without one.
    """

    anatomy: Anatomy
    field_L3: Array
    p: tuple[Wave, ...]
    qrs: tuple[Wave, ...]
    st: Array
    t: Array
    axis: float
    qrs_duration: float
    pr_interval: float
    qt_corrected: float
    heart_rate: float
    sinus_arrhythmia: float
    ectopic: tuple[Wave, ...] = field(default=())

    def net_qrs(self) -> Array:
        """Net area of the QRS as a dipole, shape (3,): the direction that a block makes T leave."""
        area_W = np.array([wave.rise + wave.fall for wave in self.qrs])
        net_3: Array = area_W @ vectors_of(self.qrs)
        return net_3

    def measured_axis(self) -> float:
        """Electrical axis of the QRS in degrees, as a reader measures it."""
        return axis_degrees(lead_course(self.qrs, self.field_L3)[1])

    def turn_to_axis(self, degrees: float) -> None:
        """Turn the QRS in the frontal plane until its measured axis is `degrees`."""
        for _ in range(4):
            difference = (degrees - self.measured_axis() + 180) % 360 - 180
            self.qrs = with_vectors(self.qrs, rotate_frontal(vectors_of(self.qrs), difference))
        self.axis = degrees

    def fit_duration(self) -> None:
        """Stretch the QRS in time until its true boundaries lie at 0 and `qrs_duration`."""
        self.qrs = fit_to(self.qrs, self.field_L3, self.qrs_duration)


def fit_to(waves: tuple[Wave, ...], field_L3: Array, duration: float) -> tuple[Wave, ...]:
    """QRS waves moved and stretched so that onset is 0 and offset is `duration` seconds."""
    for _ in range(3):
        now = span(waves, field_L3, "QRS")
        factor = duration / now.duration
        waves = tuple(
            Wave(
                (wave.centre - now.onset) * factor,
                wave.rise * factor,
                wave.fall * factor,
                wave.vector,
            )
            for wave in waves
        )
    return waves


def healthy_heart(anatomy: Anatomy, random: np.random.Generator) -> Heart:
    """The undiseased waves, with what varies from one recording of a patient to the next."""
    shift_6 = anatomy.electrode_shift_6 + random.normal(0, 0.05, 6)
    gain = anatomy.qrs_gain * float(np.exp(random.normal(0, 0.05)))
    septal, basal = anatomy.septal_gain, anatomy.basal_gain
    activation = (
        Wave(0.018, 0.0060, 0.0060, (-0.12 * septal, -0.03 * septal, -0.20 * septal)),
        Wave(0.032, 0.0075, 0.0075, (0.42, 0.33, -0.28)),
        Wave(0.045, 0.0095, 0.0095, (0.88, 0.66, 0.40)),
        Wave(0.064, 0.0085, 0.0090, (-0.08 * basal, -0.20 * basal, 0.46 * basal)),
    )
    qrs = tuple(wave.scaled(gain) for wave in activation)
    heart = Heart(
        anatomy=anatomy,
        field_L3=lead_field(shift_6),
        p=tuple(
            wave.scaled(anatomy.p_gain * float(np.exp(random.normal(0, 0.06))))
            for wave in (
                Wave(0.036, 0.0135, 0.0150, (0.030, 0.070, -0.050)),
                Wave(0.062, 0.0150, 0.0145, (0.060, 0.050, 0.038)),
            )
        ),
        qrs=with_vectors(qrs, rotate_horizontal(vectors_of(qrs), anatomy.horizontal_turn)),
        st=np.zeros(3),
        t=np.zeros(3),
        axis=anatomy.axis,
        qrs_duration=anatomy.qrs_duration + float(random.normal(0, 0.002)),
        pr_interval=min(anatomy.pr_interval + float(random.normal(0, 0.004)), 0.195),
        qt_corrected=anatomy.qt_corrected + float(random.normal(0, 0.006)),
        heart_rate=float(np.clip(anatomy.heart_rate + random.normal(0, 5), 60.5, 98)),
        sinus_arrhythmia=anatomy.sinus_arrhythmia,
    )
    heart.turn_to_axis(anatomy.axis + float(random.normal(0, 3)))
    # The T wave lies near the QRS axis but nearer to the middle of the frontal plane.
    t_axis = 45 + 0.45 * (heart.axis - 45) + anatomy.t_turn
    t_gain = anatomy.t_gain * float(np.exp(random.normal(0, 0.08)))
    t_13 = np.array([_T_VECTOR]) * t_gain
    heart.t = rotate_frontal(t_13, float(np.clip(t_axis, 10, 72)) - _T_AXIS)[0]
    heart.st = 0.05 * heart.t
    return heart
