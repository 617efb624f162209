"""How good a recording is: simple measures a lead, each with its definition.

They describe the signal and judge nothing: no threshold here says that an ECG is unusable. The
share of power in the baseline is in the manner of the relative power indices of Clifford et al.,
"Signal quality indices and data fusion for determining clinical acceptability of
electrocardiograms", Physiol Meas 33 (2012); the frequencies and thresholds are our own choice.

Shape suffixes: T samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, periodogram, sosfiltfilt

from truelead.types import LEADS, Ecg

FLAT_MILLIVOLTS = 0.02
"""A lead whose largest and smallest sample differ by less is flat: a fifth of a small P wave."""

CLIPPED_RUN = 4
"""So many equal samples in a row at a lead's largest or smallest value count as clipped."""

WANDER_HZ = 0.5
SIGNAL_HZ = 40.0
SHORTEST_SECONDS = 4.0
"""Two periods of the baseline's fastest wave; measures of a frequency need as much."""

_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class LeadQuality:
    """Measures of one lead. The lower ones are taken on its longest stretch without a gap.

    Attributes:
        lead: its canonical name.
        recorded: whether it has a sample at all; the rest is then None or 0.
        minimum, maximum: in mV.
        missing: samples that were not recorded.
        flat: whether it is `FLAT_MILLIVOLTS` or less from its smallest to its largest sample.
        clipped_share: share of samples in runs of at least `CLIPPED_RUN` at either extreme.
        wander_share: share of the power up to 40 Hz, without the mean, that lies below 0.5 Hz;
            None where the stretch is shorter than `SHORTEST_SECONDS` or the lead is flat.
        noise_millivolts: robust standard deviation (1.4826 times the median absolute deviation) of
            what a Butterworth filter of order 4, run both ways, passes above 40 Hz; between the
            QRS complexes, which the median ignores. None where the rate is 90 Hz or less.
    """

    lead: str
    recorded: bool
    minimum: float | None = None
    maximum: float | None = None
    missing: int = 0
    flat: bool = False
    clipped_share: float = 0.0
    wander_share: float | None = None
    noise_millivolts: float | None = None


def lead_qualities(ecg: Ecg) -> tuple[LeadQuality, ...]:
    """The measures of all 12 leads, in canonical order."""
    return tuple(
        _lead_quality(lead, row_T.astype(np.float64), ecg.sampling_rate)
        for lead, row_T in zip(LEADS, ecg.signal_LT, strict=True)
    )


def _lead_quality(lead: str, row_T: NDArray[np.float64], rate: float) -> LeadQuality:
    known_T = np.isfinite(row_T)
    missing = int(row_T.size - known_T.sum())
    if missing == row_T.size:
        return LeadQuality(lead, recorded=False, missing=missing)
    low, high = float(row_T[known_T].min()), float(row_T[known_T].max())
    flat = high - low <= FLAT_MILLIVOLTS
    stretch_T = _longest_stretch(row_T, known_T)
    return LeadQuality(
        lead,
        recorded=True,
        minimum=low,
        maximum=high,
        missing=missing,
        flat=flat,
        clipped_share=0.0 if flat else float(_clipped_samples(row_T, low, high) / known_T.sum()),
        wander_share=None if flat else _wander_share(stretch_T, rate),
        noise_millivolts=_noise(stretch_T, rate),
    )


def _longest_stretch(row_T: NDArray[np.float64], known_T: NDArray[np.bool_]) -> NDArray[np.float64]:
    edges = np.flatnonzero(np.diff(known_T.astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return row_T[starts[longest] : ends[longest]]


def _clipped_samples(row_T: NDArray[np.float64], low: float, high: float) -> int:
    """Samples in runs of `CLIPPED_RUN` or more at one of the two values."""
    clipped = 0
    for extreme in (low, high):
        edges = np.flatnonzero(np.diff((row_T == extreme).astype(np.int8), prepend=0, append=0))
        runs = edges[1::2] - edges[::2]
        clipped += int(runs[runs >= CLIPPED_RUN].sum())
    return clipped


def _wander_share(stretch_T: NDArray[np.float64], rate: float) -> float | None:
    if stretch_T.size < SHORTEST_SECONDS * rate:
        return None
    frequencies, power = periodogram(stretch_T, rate, window="hann", detrend="constant")
    in_signal = (frequencies > 0) & (frequencies <= SIGNAL_HZ)
    total = float(power[in_signal].sum())
    if total == 0:
        return None
    return float(power[in_signal & (frequencies < WANDER_HZ)].sum()) / total


def _noise(stretch_T: NDArray[np.float64], rate: float) -> float | None:
    # Below 90 Hz hardly anything lies between 40 Hz and the Nyquist frequency.
    if rate <= 90.0 or stretch_T.size < SHORTEST_SECONDS * rate:
        return None
    above = sosfiltfilt(butter(4, SIGNAL_HZ, "highpass", fs=rate, output="sos"), stretch_T)
    return float(_MAD_TO_SIGMA * np.median(np.abs(above - np.median(above))))
