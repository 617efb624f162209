"""When the atria and the ventricles are activated, and the activity of diseased atria.

Shape suffixes: T samples, 3 body axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from truelead.signal.generator.dipole import Array

BeatKind = Literal["normal", "ventricular", "atrial"]


@dataclass(frozen=True)
class Beat:
    """One ventricular activation.

    Attributes:
        qrs_onset: seconds from the start of the recording.
        p_onset: onset of the P wave that led to it, None without one.
        kind: conducted normally, premature ventricular, or premature atrial.
        previous_interval: seconds since the QRS before; the QT interval adapts to it.
    """

    qrs_onset: float
    p_onset: float | None
    kind: BeatKind
    previous_interval: float


@dataclass
class Rhythm:
    """What the conditions ask of the rhythm.

    Attributes:
        atria: sinus rhythm, fibrillation or flutter.
        heart_rate: mean ventricular rate in sinus rhythm and fibrillation, beats a minute.
        sinus_arrhythmia: relative depth of the respiratory change of the sinus interval.
        premature: kind of the premature beats.
        premature_beats: how many a recording, 0 none.
        bigeminal: every second beat is premature.
        conduction: flutter waves a conducted beat; several are mixed irregularly.
    """

    heart_rate: float
    sinus_arrhythmia: float
    respiration_hertz: float
    pr_interval: float
    atria: Literal["sinus", "fibrillation", "flutter"] = "sinus"
    premature: Literal["ventricular", "atrial"] = "ventricular"
    premature_beats: int = 0
    bigeminal: bool = False
    flutter_hertz: float = 5.0
    conduction: tuple[int, ...] = (2,)


def draw_beats(
    rhythm: Rhythm,
    start: float,
    end: float,
    shown: tuple[float, float],
    random: np.random.Generator,
) -> list[Beat]:
    """The beats from `start` to `end` seconds; premature ones lie where they are `shown`."""
    if rhythm.atria == "fibrillation":
        beats = _fibrillation_beats(rhythm, start, end, random)
    elif rhythm.atria == "flutter":
        beats = _flutter_beats(rhythm, start, end, random)
    else:
        return _sinus_beats(rhythm, start, end, shown, random)
    if rhythm.premature_beats:
        beats = _insert_ventricular(beats, rhythm.premature_beats, shown, random)
    return beats


def _sinus_beats(
    rhythm: Rhythm,
    start: float,
    end: float,
    shown: tuple[float, float],
    random: np.random.Generator,
) -> list[Beat]:
    interval = 60.0 / rhythm.heart_rate
    phase = random.uniform(0, 2 * np.pi)
    early = _premature_positions(rhythm, interval, start, shown, random)
    beats: list[Beat] = []
    p_onset = start + random.uniform(0, interval)
    last_qrs = p_onset + rhythm.pr_interval - interval
    position = 0
    while p_onset < end:
        sinus = interval * (
            1
            + rhythm.sinus_arrhythmia
            * np.sin(2 * np.pi * rhythm.respiration_hertz * p_onset + phase)
            + random.normal(0, 0.006)
        )
        qrs = p_onset + rhythm.pr_interval
        beats.append(Beat(qrs, p_onset, "normal", qrs - last_qrs))
        last_qrs, position = qrs, position + 1
        if position in early and rhythm.premature == "ventricular":
            # The sinus node is not disturbed: its next beat finds the ventricles refractory,
            # so that the pause after the premature beat is compensatory.
            coupling = max(0.40, random.uniform(0.54, 0.64) * interval)
            if coupling < 0.85 * interval:
                beats.append(Beat(qrs + coupling, None, "ventricular", coupling))
                last_qrs, position = qrs + coupling, position + 1
                sinus *= 2
        elif position in early:
            # The premature atrial wave resets the sinus node: the pause is not compensatory.
            coupling = random.uniform(0.56, 0.68) * interval
            p_early = p_onset + max(coupling, 0.36)
            qrs_early = p_early + rhythm.pr_interval + 0.01
            beats.append(Beat(qrs_early, p_early, "atrial", qrs_early - last_qrs))
            last_qrs, position = qrs_early, position + 1
            sinus = p_early - p_onset + interval * random.uniform(1.02, 1.15)
        p_onset += sinus
    return beats


def _premature_positions(
    rhythm: Rhythm,
    interval: float,
    start: float,
    shown: tuple[float, float],
    random: np.random.Generator,
) -> set[int]:
    """After which beats (counted from 1) a premature one comes, never two in a row."""
    if rhythm.bigeminal:
        return set(range(1, 200, 2))
    if rhythm.premature_beats == 0:
        return set()
    first = int(np.ceil((shown[0] - start) / interval)) + 1
    last = int((shown[1] - start) / interval) - 2
    slots = np.arange(first, max(last, first + 1), 3)
    count = min(rhythm.premature_beats, len(slots))
    return {int(slot) for slot in random.choice(slots, count, replace=False)}


def _fibrillation_beats(
    rhythm: Rhythm, start: float, end: float, random: np.random.Generator
) -> list[Beat]:
    """Irregularly irregular: log-normal intervals without memory, bounded by refractoriness."""
    mean, spread = 60.0 / rhythm.heart_rate, random.uniform(0.19, 0.27)
    beats: list[Beat] = []
    qrs = start + random.uniform(0, mean)
    while qrs < end:
        interval = mean * float(np.exp(random.normal(-0.5 * spread**2, spread)))
        interval = max(interval, 0.34)
        qrs += interval
        beats.append(Beat(qrs, None, "normal", interval))
    return beats


def _flutter_beats(
    rhythm: Rhythm, start: float, end: float, random: np.random.Generator
) -> list[Beat]:
    """Every second, third or fourth flutter wave is conducted, at a fixed delay."""
    cycle = 1.0 / rhythm.flutter_hertz
    beats: list[Beat] = []
    qrs = start + random.uniform(0, cycle)
    while qrs < end:
        interval = cycle * int(random.choice(rhythm.conduction))
        qrs += interval
        beats.append(Beat(qrs, None, "normal", interval))
    return beats


def _insert_ventricular(
    beats: list[Beat], count: int, shown: tuple[float, float], random: np.random.Generator
) -> list[Beat]:
    """Replace beats by premature ventricular ones: earlier, with the pause kept after them."""
    places = [
        i
        for i in range(1, len(beats) - 1)
        if shown[0] < beats[i - 1].qrs_onset and beats[i].qrs_onset < shown[1]
        if beats[i].previous_interval > 0.5
    ][::2]
    result = list(beats)
    for i in random.permutation(places)[:count].astype(int):
        before = result[i - 1].qrs_onset
        onset = before + max(0.4, 0.8 * beats[i].previous_interval)
        result[i] = Beat(onset, None, "ventricular", onset - before)
        after = result[i + 1]
        result[i + 1] = Beat(after.qrs_onset, after.p_onset, after.kind, after.qrs_onset - onset)
    return result


def atrial_activity(rhythm: Rhythm, seconds_T: Array, random: np.random.Generator) -> Array:
    """Dipole of fibrillating or fluttering atria, shape (3, T) in mV; zero in sinus rhythm."""
    if rhythm.atria == "fibrillation":
        return _fibrillatory_waves(seconds_T, random)
    if rhythm.atria == "flutter":
        return _flutter_waves(rhythm.flutter_hertz, seconds_T, random)
    return np.zeros((3, len(seconds_T)))


def _fibrillatory_waves(seconds_T: Array, random: np.random.Generator) -> Array:
    """Wavelets of 4 to 9 Hz whose frequency and size wander; largest to the front right (V1)."""
    dipole_3T = np.zeros((3, len(seconds_T)))
    step = seconds_T[1] - seconds_T[0]
    size = random.uniform(0.03, 0.075)
    for share in (1.0, 0.6, 0.4):
        knots = np.arange(seconds_T[0], seconds_T[-1] + 1.0, 0.4)
        hertz_T = np.interp(
            seconds_T,
            knots,
            np.clip(random.uniform(5.0, 7.5) + random.normal(0, 0.7, len(knots)), 4.2, 8.8),
        )
        size_T = np.interp(seconds_T, knots, np.abs(random.normal(1, 0.35, len(knots))))
        phase_T = 2 * np.pi * np.cumsum(hertz_T) * step + random.uniform(0, 2 * np.pi)
        course_T = np.sin(phase_T) + 0.25 * np.sin(2 * phase_T + 0.8)
        direction_3 = np.array([-0.3, 0.45, -0.8]) + random.normal(0, 0.3, 3)
        direction_3 /= np.linalg.norm(direction_3)
        dipole_3T += share * size * direction_3[:, None] * (size_T * course_T)
    return dipole_3T


def _flutter_waves(hertz: float, seconds_T: Array, random: np.random.Generator) -> Array:
    """Sawtooth of typical (counterclockwise) flutter: down in II, III, aVF, up in V1.

    Five harmonics, tapered by Lanczos factors so that they do not ring: nothing above 30 Hz.
    """
    phase_T = 2 * np.pi * hertz * seconds_T + random.uniform(0, 2 * np.pi)
    harmonics = np.arange(1, 6)
    sizes = np.sinc(harmonics / 6) / harmonics
    course_T = sizes @ np.sin(harmonics[:, None] * phase_T)
    size = random.uniform(0.10, 0.17)
    direction_3 = np.array([-0.05, -0.9, -0.45]) + random.normal(0, 0.06, 3)
    return size * direction_3[:, None] * course_T[None, :]
