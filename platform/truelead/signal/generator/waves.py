"""Waves of the heart dipole: Gaussian in time, fixed in direction, and their true boundaries.

The Gaussian kernel follows McSharry, Clifford, Tarassenko and Smith, IEEE Trans Biomed Eng 2003,
here per wave vector, with its own width on either side and an optional flat top (ST segment).

Shape suffixes: T samples, 3 body axes, W waves, L leads (12), B beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from truelead.signal.generator.dipole import Array, project

_GRID_SECONDS = 0.001
_ONSET_FRACTION = 0.06
_ONSET_MILLIVOLTS = {"P": (0.008, 0.03), "QRS": (0.02, 0.05), "T": (0.01, 0.04)}


Vector = tuple[float, float, float]
"""A dipole: x left, y feet, z back."""


def vector(dipole_3: Array) -> Vector:
    """A dipole as the plain numbers a `Wave` holds."""
    x, y, z = (float(part) for part in dipole_3)
    return x, y, z


@dataclass(frozen=True)
class Wave:
    """One wave of the dipole.

    Attributes:
        centre: seconds from the onset of its complex to the peak (start of the flat top).
        rise, fall: standard deviations of the Gaussian flanks in seconds.
        vector: dipole at the peak in mV (x left, y feet, z back).
        hold: length of the flat top in seconds.
    """

    centre: float
    rise: float
    fall: float
    vector: Vector
    hold: float = 0.0

    def at(self, seconds_T: Array) -> Array:
        """Time course, shape (T,), 1 at the peak."""
        before_T = np.minimum(seconds_T - self.centre, 0) / self.rise
        after_T = np.maximum(seconds_T - self.centre - self.hold, 0) / self.fall
        course_T: Array = np.exp(-0.5 * (before_T**2 + after_T**2))
        return course_T

    def stretched(self, factor: float, pivot: float = 0.0) -> Wave:
        """The same wave on a time axis stretched about `pivot`."""
        return replace(
            self,
            centre=pivot + (self.centre - pivot) * factor,
            rise=self.rise * factor,
            fall=self.fall * factor,
            hold=self.hold * factor,
        )

    def scaled(self, *factors: float) -> Wave:
        """The wave times one factor, or times one factor a body axis."""
        factor = np.asarray(factors if len(factors) == 3 else factors[0])
        return replace(self, vector=vector(np.asarray(self.vector) * factor))


def vectors_of(waves: Sequence[Wave]) -> Array:
    """Peak dipoles, shape (W, 3)."""
    return np.array([wave.vector for wave in waves], dtype=np.float64).reshape(-1, 3)


def with_vectors(waves: Sequence[Wave], vectors_W3: Array) -> tuple[Wave, ...]:
    """The waves with other peak dipoles."""
    return tuple(
        replace(wave, vector=vector(vector_3))
        for wave, vector_3 in zip(waves, vectors_W3, strict=True)
    )


def render(waves: Sequence[Wave], seconds_T: Array) -> Array:
    """Sum of the waves, shape (3, T) in mV."""
    if not waves:
        return np.zeros((3, len(seconds_T)))
    dipole_3T: Array = vectors_of(waves).T @ np.stack([wave.at(seconds_T) for wave in waves])
    return dipole_3T


@dataclass(frozen=True)
class Span:
    """Onset, peak and offset of a wave in seconds after the onset of its complex."""

    onset: float
    peak: float
    offset: float

    @property
    def duration(self) -> float:
        return self.offset - self.onset


def lead_course(waves: Sequence[Wave], field_L3: Array) -> tuple[Array, Array]:
    """(seconds (T,), leads (12, T) in mV) of the waves on a grid of one millisecond."""
    start = min((wave.centre - 5 * wave.rise for wave in waves), default=0.0)
    end = max((wave.centre + wave.hold + 5 * wave.fall for wave in waves), default=0.0)
    seconds_T = np.arange(start, end + _GRID_SECONDS, _GRID_SECONDS)
    return seconds_T, project(render(waves, seconds_T), field_L3)


def span(waves: Sequence[Wave], field_L3: Array, kind: str) -> Span:
    """Boundaries over all leads: earliest onset and latest offset in any lead.

    A wave begins where its largest lead first passes 6 % of its peak, kept within the range of
    amplitudes that a reader sees on paper (QRS: 0.02 to 0.05 mV).
    """
    seconds_T, leads_LT = lead_course(waves, field_L3)
    envelope_T = np.abs(leads_LT).max(axis=0)
    threshold = float(np.clip(_ONSET_FRACTION * envelope_T.max(), *_ONSET_MILLIVOLTS[kind]))
    above_T = np.flatnonzero(envelope_T >= min(threshold, 0.5 * float(envelope_T.max())))
    peak = seconds_T[int(envelope_T.argmax())]
    return Span(float(seconds_T[above_T[0]]), float(peak), float(seconds_T[above_T[-1]]))


@dataclass(frozen=True, eq=False)
class WaveBoundaries:
    """True sample indices of the waves of every beat, shape (B,) int64 each; -1 where absent.

    A boundary outside the recording is -1 too. Beats are ordered by time. In atrial fibrillation
    and flutter no beat has a P wave.
    """

    p_onset: NDArray[np.int64]
    p_peak: NDArray[np.int64]
    p_offset: NDArray[np.int64]
    qrs_onset: NDArray[np.int64]
    qrs_peak: NDArray[np.int64]
    qrs_offset: NDArray[np.int64]
    t_onset: NDArray[np.int64]
    t_peak: NDArray[np.int64]
    t_offset: NDArray[np.int64]
