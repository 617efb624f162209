"""One recording: beats and waves summed, seen by the leads, disturbed, and brought to its rate.

Everything is made at 500 Hz with a margin and then filtered down, so nothing aliases.

Shape suffixes: L leads (12), T samples, 3 body axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import signal as filters

from truelead.signal.generator.conditions import apply_findings, rotated_p
from truelead.signal.generator.dipole import Array, limb_leads, project
from truelead.signal.generator.finding import Finding
from truelead.signal.generator.heart import Anatomy, Heart, healthy_heart
from truelead.signal.generator.noise import Disturbance, background, disturb
from truelead.signal.generator.rhythm import Beat, Rhythm, atrial_activity, draw_beats
from truelead.signal.generator.waves import (
    Span,
    Wave,
    WaveBoundaries,
    render,
    span,
    vector,
    vectors_of,
)

SYNTHESIS_RATE = 500
_MARGIN = 2.0
_T_RISE, _T_FALL = 0.060, 0.038
# A Gaussian flank falls to the fraction that marks an offset after 2.4 standard deviations.
_T_TAIL = 2.4 * _T_FALL


@dataclass(frozen=True, eq=False)
class Recording:
    """Leads in mV at the asked rate: with all noise, and the heart alone (identities exact)."""

    signal_LT: NDArray[np.float32]
    clean_LT: NDArray[np.float32]
    boundaries: WaveBoundaries
    heart: Heart
    rhythm: Rhythm
    beats: tuple[Beat, ...]


@dataclass(frozen=True)
class _Complex:
    """The waves of one kind of ventricular beat, from the QRS onset, at a heart rate of 60."""

    qrs: tuple[Wave, ...]
    repolarisation: tuple[Wave, ...]
    qrs_span: Span
    t_span: Span
    qt_corrected: float

    def stretch(self, interval: float) -> float:
        """How much repolarisation is stretched for an RR interval in seconds (Fridericia)."""
        qt = self.qt_corrected * float(np.clip(interval, 0.3, 1.6)) ** (1 / 3)
        pivot = self.qrs_span.offset
        return (qt - pivot) / (self.qt_corrected - pivot)


def make_recording(
    anatomy: Anatomy,
    findings: Mapping[str, Finding],
    disturbances: tuple[Disturbance, ...],
    random: np.random.Generator,
    *,
    sampling_rate: int,
    seconds: float,
) -> Recording:
    """Synthesise one recording of a patient with these findings."""
    heart = healthy_heart(anatomy, random)
    rhythm = Rhythm(
        heart.heart_rate, heart.sinus_arrhythmia, anatomy.respiration_hertz, heart.pr_interval
    )
    apply_findings(heart, rhythm, findings, random)
    rhythm.pr_interval = heart.pr_interval
    beats = draw_beats(rhythm, -_MARGIN, seconds + _MARGIN, (0.6, seconds - 0.9), random)

    samples = round((seconds + 2 * _MARGIN) * SYNTHESIS_RATE)
    time_T = np.arange(samples) / SYNTHESIS_RATE - _MARGIN
    dipole_3T = atrial_activity(rhythm, time_T, random)
    boundaries = _add_beats(dipole_3T, time_T, heart, rhythm, beats, random)
    clean_LT = project(dipole_3T, heart.field_L3)
    noise_LT = disturb(clean_LT, disturbances, SYNTHESIS_RATE, random)
    noise_LT += background(samples, SYNTHESIS_RATE, random)

    clean_LT = _at_rate(clean_LT, sampling_rate, seconds)
    noise_LT = _at_rate(noise_LT, sampling_rate, seconds)
    total = clean_LT.shape[1]
    return Recording(
        (clean_LT + noise_LT).astype(np.float32),
        clean_LT.astype(np.float32),
        _to_samples(boundaries, sampling_rate, total),
        heart,
        rhythm,
        tuple(beat for beat in beats if 0 <= beat.qrs_onset < seconds),
    )


def _at_rate(leads_LT: Array, sampling_rate: int, seconds: float) -> Array:
    """Polyphase filtering down (or up) and the margins cut; limb identities restored exactly."""
    if sampling_rate != SYNTHESIS_RATE:
        ratio = Fraction(sampling_rate, SYNTHESIS_RATE)
        leads_LT = filters.resample_poly(leads_LT, ratio.numerator, ratio.denominator, axis=1)
    first = round(_MARGIN * sampling_rate)
    kept_LT: Array = leads_LT[:, first : first + round(seconds * sampling_rate)].copy()
    kept_LT[:6] = limb_leads(kept_LT[:2])
    return kept_LT


def _complexes(heart: Heart) -> dict[str, _Complex]:
    """The waves of normal and, where there are any, of premature ventricular beats."""
    kinds = {"normal": _complex(heart, heart.qrs, heart.st, heart.t, heart.qt_corrected)}
    kinds["atrial"] = kinds["normal"]
    if heart.ectopic:
        net_3 = vectors_of(heart.ectopic).sum(axis=0)
        kinds["ventricular"] = _complex(
            heart, heart.ectopic, -0.06 * net_3, -0.20 * net_3, heart.qt_corrected + 0.035
        )
    return kinds


def _complex(
    heart: Heart, qrs: tuple[Wave, ...], st: Array, t: Array, qt_corrected: float
) -> _Complex:
    qrs_span = span(qrs, heart.field_L3, "QRS")
    peak = qt_corrected - _T_TAIL
    j_point = qrs_span.offset
    t_wave = Wave(peak, _T_RISE, _T_FALL, vector(t))
    st_wave = Wave(
        centre=j_point,
        rise=0.008,
        fall=0.045,
        vector=vector(st),
        hold=max(peak - 0.06 - j_point, 0.02),
    )
    # A flat T wave has no boundaries of its own in the signal; the waves still have theirs.
    t_span = span((t_wave,), heart.field_L3, "T")
    return _Complex(qrs, (st_wave, t_wave), qrs_span, t_span, qt_corrected)


def _add_beats(
    dipole_3T: Array,
    time_T: Array,
    heart: Heart,
    rhythm: Rhythm,
    beats: Sequence[Beat],
    random: np.random.Generator,
) -> Array:
    """Add every beat to the dipole; returns boundaries in seconds, shape (beats, 9), NaN absent."""
    kinds = _complexes(heart)
    p_kinds = {
        "normal": heart.p,
        "atrial": rotated_p(heart.p, float(random.choice((-1, 1)) * random.uniform(50, 110))),
    }
    p_spans = {kind: span(waves, heart.field_L3, "P") for kind, waves in p_kinds.items()}
    mean_interval = float(np.mean([beat.previous_interval for beat in beats]))
    breath = random.uniform(0, 2 * np.pi)
    boundaries = np.full((len(beats), 9), np.nan)
    for row, beat in zip(boundaries, beats, strict=True):
        gain = 1 + 0.035 * np.sin(2 * np.pi * rhythm.respiration_hertz * beat.qrs_onset + breath)
        gain *= 1 + random.normal(0, 0.012)
        if beat.p_onset is not None:
            p_span = p_spans[beat.kind]
            # The P wave's own onset is what the PR interval is counted from.
            _add(dipole_3T, time_T, p_kinds[beat.kind], beat.p_onset - p_span.onset, 1.0)
            row[0:3] = (
                beat.p_onset - p_span.onset + np.array([p_span.onset, p_span.peak, p_span.offset])
            )
        shape = kinds[beat.kind]
        factor = shape.stretch(0.7 * mean_interval + 0.3 * beat.previous_interval)
        pivot = shape.qrs_span.offset
        later = tuple(wave.stretched(factor, pivot) for wave in shape.repolarisation)
        _add(dipole_3T, time_T, shape.qrs, beat.qrs_onset, gain)
        _add(dipole_3T, time_T, later, beat.qrs_onset, gain)
        row[3:6] = beat.qrs_onset + np.array(
            [shape.qrs_span.onset, shape.qrs_span.peak, shape.qrs_span.offset]
        )
        t_times = np.array([shape.t_span.onset, shape.t_span.peak, shape.t_span.offset])
        row[6:9] = beat.qrs_onset + pivot + (t_times - pivot) * factor
        row[6] = max(row[6], row[5])
    return boundaries


def _add(
    dipole_3T: Array, time_T: Array, waves: tuple[Wave, ...], onset: float, gain: float
) -> None:
    # Six standard deviations out, a Gaussian is below one part in sixty million.
    start = min(wave.centre - 6 * wave.rise for wave in waves)
    end = max(wave.centre + wave.hold + 6 * wave.fall for wave in waves)
    first = max(int((onset + start - time_T[0]) * SYNTHESIS_RATE), 0)
    last = min(int((onset + end - time_T[0]) * SYNTHESIS_RATE) + 1, len(time_T))
    if first < last:
        dipole_3T[:, first:last] += gain * render(waves, time_T[first:last] - onset)


def _to_samples(boundaries: Array, sampling_rate: int, total: int) -> WaveBoundaries:
    """Seconds to sample indices; beats without a QRS inside the recording are left out."""
    samples = np.round(boundaries * sampling_rate)
    outside = ~((samples >= 0) & (samples < total))
    indices = np.where(outside, -1, np.nan_to_num(samples)).astype(np.int64)
    indices = indices[(indices[:, 3:6] >= 0).any(axis=1)]
    return WaveBoundaries(*(indices[:, column].copy() for column in range(9)))
