"""Disturbances of the recording, made where they arise: at the electrodes.

A disturbance of a limb electrode reaches the limb leads through the same wiring as the heart, so
Einthoven's and Goldberger's identities survive it. Its third in Wilson's central terminal is left
out of the chest leads, so that the leads named in the annotation are exactly the disturbed ones.

Shape suffixes: L leads (12), T samples, E electrodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal as filters

from truelead.signal.generator.dipole import Array, limb_leads

KINDS = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
"""PTB-XL's columns of signal quality."""

_PREVALENCE = {
    "baseline_drift": 0.10,
    "static_noise": 0.13,
    "burst_noise": 0.05,
    "electrodes_problems": 0.012,
}
_LIMB_ELECTRODES = {"RA": (-1.0, -1.0), "LA": (1.0, 0.0), "LL": (0.0, 1.0)}
"""What one millivolt at the electrode adds to leads I and II."""

# The disturbed electrodes, their annotation in PTB-XL's manner, and how common each is.
_PLACES: dict[tuple[str, ...], tuple[str, float]] = {
    ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6"): ("alles", 0.26),
    ("RA", "LA", "LL"): ("I-AVF", 0.17),
    ("LL",): ("II-AVF", 0.07),
    ("RA",): ("I,II,AVR,AVL,AVF", 0.05),
    ("LA",): ("I,III,AVR,AVL,AVF", 0.05),
    ("V6",): ("V6", 0.13),
    ("V1",): ("V1", 0.09),
    ("V2",): ("V2", 0.04),
    ("V3",): ("V3", 0.04),
    ("V4",): ("V4", 0.03),
    ("V5",): ("V5", 0.03),
    ("V5", "V6"): ("V5,V6", 0.02),
    ("V1", "V2"): ("V1,V2", 0.02),
}
_STYLES = {
    "baseline_drift": " , {}",
    "static_noise": " , {},  ",
    "burst_noise": "{}",
    "electrodes_problems": "{}",
}
_CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True)
class Disturbance:
    """One kind of noise at some electrodes.

    Attributes:
        kind: one of `KINDS`.
        electrodes: names of the disturbed electrodes.
    """

    kind: str
    electrodes: tuple[str, ...]

    @property
    def annotation(self) -> str:
        """The leads in PTB-XL's manner, such as ' , I-AVF,  '."""
        return _STYLES[self.kind].format(_PLACES[self.electrodes][0])

    @property
    def lead_mask_L(self) -> np.ndarray:
        """bool (12,): the leads that the electrodes reach."""
        mask_L = np.zeros(12, dtype=bool)
        for electrode in self.electrodes:
            mask_L |= np.abs(_reach(electrode)) > 0
        return mask_L


def draw_disturbances(random: np.random.Generator) -> tuple[Disturbance, ...]:
    """Which kinds of noise a recording has, and where."""
    found = []
    for kind in KINDS:
        if random.random() >= _PREVALENCE[kind]:
            continue
        places = [
            place
            for place in _PLACES
            if kind != "electrodes_problems" or (len(place) == 1 and place[0] in _CHEST)
        ]
        weights = np.array([_PLACES[place][1] for place in places])
        choice = int(random.choice(len(places), p=weights / weights.sum()))
        found.append(Disturbance(kind, places[choice]))
    return tuple(found)


def background(samples: int, rate: float, random: np.random.Generator) -> Array:
    """What every recording has, shape (12, T) in mV: slight drift and muscle noise, some 10 uV."""
    seconds_T = np.arange(samples) / rate
    electrodes = ("RA", "LA", "LL", *_CHEST)
    courses_ET = random.normal(0, random.uniform(0.002, 0.007), (len(electrodes), samples))
    for course_T in courses_ET:
        course_T += random.uniform(0.003, 0.02) * np.sin(
            2 * np.pi * random.uniform(0.15, 0.35) * seconds_T + random.uniform(0, 2 * np.pi)
        )
    noise_LT: Array = np.stack([_reach(name) for name in electrodes], axis=1) @ courses_ET
    return noise_LT


def disturb(
    clean_LT: Array, disturbances: tuple[Disturbance, ...], rate: float, random: np.random.Generator
) -> Array:
    """The named disturbances, shape (12, T) in mV, to be added to the clean leads."""
    noise_LT = np.zeros_like(clean_LT)
    for disturbance in disturbances:
        shared_T = _course(disturbance.kind, clean_LT.shape[1], rate, random)
        for electrode in disturbance.electrodes:
            reach_L = _reach(electrode)
            if disturbance.kind == "electrodes_problems":
                lead = int(np.flatnonzero(reach_L)[0])
                noise_LT[lead] += _lost_contact(clean_LT[lead], rate, random)
                continue
            course_T = _course(disturbance.kind, clean_LT.shape[1], rate, random)
            noise_LT += reach_L[:, None] * (0.9 * course_T + 0.3 * shared_T)
    return noise_LT


def _reach(electrode: str) -> Array:
    """What one millivolt at the electrode adds to each lead, shape (12,)."""
    reach_L = np.zeros(12)
    if electrode in _LIMB_ELECTRODES:
        reach_L[:6] = limb_leads(np.array(_LIMB_ELECTRODES[electrode])[:, None])[:, 0]
    else:
        reach_L[6 + _CHEST.index(electrode)] = 1.0
    return reach_L


def _course(kind: str, samples: int, rate: float, random: np.random.Generator) -> Array:
    if kind == "baseline_drift":
        return _drift(samples, rate, random)
    if kind == "static_noise":
        return _muscle(samples, rate, random, float(random.uniform(0.05, 0.10)))
    seconds_T = np.arange(samples) / rate
    course_T = np.zeros(samples)
    for _ in range(int(random.integers(1, 3))):
        centre, width = random.uniform(0.15, 0.85) * seconds_T[-1], random.uniform(0.3, 0.9)
        window_T = np.exp(-(((seconds_T - centre) / width) ** 4))
        course_T += window_T * _muscle(samples, rate, random, float(random.uniform(0.18, 0.4)))
    return course_T


def _drift(samples: int, rate: float, random: np.random.Generator) -> Array:
    """Breathing and moving skin: a wandering of 0.05 to 0.6 Hz of some tenths of a millivolt."""
    seconds_T = np.arange(samples) / rate
    course_T = np.zeros(samples)
    for _ in range(5):
        course_T += random.normal(0, 1) * np.sin(
            2 * np.pi * random.uniform(0.06, 0.6) * seconds_T + random.uniform(0, 2 * np.pi)
        )
    scaled_T: Array = course_T / course_T.std() * random.uniform(0.14, 0.30)
    return scaled_T


def _muscle(samples: int, rate: float, random: np.random.Generator, size: float) -> Array:
    """Muscle noise between 15 and 45 Hz with a little mains hum at 50 Hz; `size` is its RMS."""
    sections = filters.butter(2, (15, 45), "bandpass", fs=rate, output="sos")
    course_T = np.asarray(filters.sosfilt(sections, random.normal(0, 1, samples + 200))[200:])
    course_T = course_T / course_T.std()
    hum_T = np.sin(2 * np.pi * 50 * np.arange(samples) / rate + random.uniform(0, 2 * np.pi))
    noise_T: Array = size * (course_T + random.uniform(0, 0.4) * hum_T)
    return noise_T


def _lost_contact(clean_T: Array, rate: float, random: np.random.Generator) -> Array:
    """The electrode comes off for a while: no heart, a jump, and slow polarisation."""
    samples = len(clean_T)
    noise_T = np.zeros(samples)
    for _ in range(int(random.integers(1, 4))):
        start = int(random.uniform(0.1, 0.8) * samples)
        end = min(start + int(random.uniform(0.6, 2.5) * rate), samples)
        decay_T = np.exp(-np.arange(end - start) / (0.8 * rate))
        jump = random.choice((-1.0, 1.0)) * random.uniform(0.6, 1.6)
        noise_T[start:end] = -clean_T[start:end] + jump * decay_T
    return noise_T
