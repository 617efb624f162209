"""Baseline wander and high-frequency noise of many leads at once, for whole sets of records.

The definitions are those of `truelead.signal.quality`; here both are computed by Fourier
transforms over all leads together, which costs about a tenth of filtering lead by lead. The
high-pass is the square of a Butterworth filter's magnitude, which is what running it both ways
amounts to; the two differ only within some tenths of a second of the ends.

Shape suffixes: R rows: leads without a gap, T samples, F frequencies.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.signal import get_window

from truelead.signal.quality import SHORTEST_SECONDS, SIGNAL_HZ, WANDER_HZ

SAMPLES_ORDERED = 1000
"""The medians of the noise are over every so many-th sample that about a thousand of a lead are
left: ordering all of them would cost more than all the rest, for some 2 % of the level."""

_ORDER = 4
_MAD_TO_SIGMA = np.float32(1.4826)
_PADDING_SECONDS = 0.25


def wander_shares(signal_RT: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """Share of each lead's power up to 40 Hz, without its mean, that lies below 0.5 Hz.

    Returns:
        float32 (R,), NaN where the lead has no power there or is shorter than 4 s.
    """
    shares_R = np.full(len(signal_RT), np.nan, dtype=np.float32)
    samples = signal_RT.shape[1]
    if samples < SHORTEST_SECONDS * rate:
        return shares_R
    means_R1 = signal_RT.mean(axis=1, keepdims=True, dtype=np.float64)
    centred_RT = (signal_RT - means_R1).astype(np.float32) * _hann(samples)
    highest = int(np.floor(SIGNAL_HZ * samples / rate))
    spectrum_RF = scipy.fft.rfft(centred_RT, axis=1)[:, 1 : highest + 1]
    power_RF = spectrum_RF.real**2 + spectrum_RF.imag**2
    if samples % 2 == 0 and highest >= samples // 2:
        power_RF[:, -1] /= 2  # the Nyquist frequency has no twin among the negative ones
    below = int(np.ceil(WANDER_HZ * samples / rate)) - 1
    total_R = power_RF.sum(axis=1)
    np.divide(power_RF[:, :below].sum(axis=1), total_R, out=shares_R, where=total_R > 0)
    return shares_R


def noise_levels(signal_RT: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """Robust standard deviation of each lead above 40 Hz, in the unit of the signal.

    Returns:
        float32 (R,), NaN where the rate is 90 Hz or less or the lead is shorter than 4 s.
    """
    samples = signal_RT.shape[1]
    if rate <= 90.0 or samples < SHORTEST_SECONDS * rate:
        return np.full(len(signal_RT), np.nan, dtype=np.float32)
    padding = round(_PADDING_SECONDS * rate)
    length = scipy.fft.next_fast_len(samples + 2 * padding, real=True)
    # Continued by its own point reflection, so that the ends are no steps.
    ends = (padding, length - samples - padding)
    padded_RT = np.pad(signal_RT, ((0, 0), ends), mode="reflect", reflect_type="odd")
    spectrum_RF = scipy.fft.rfft(padded_RT, axis=1)
    spectrum_RF *= _high_pass(length, rate)
    filtered_RT: NDArray[np.float32] = scipy.fft.irfft(spectrum_RF, length, axis=1)
    every = max(1, samples // SAMPLES_ORDERED)
    above_RT = filtered_RT[:, padding : padding + samples : every]
    away_RT = np.abs(above_RT - _medians(above_RT)[:, None])
    return np.asarray(_MAD_TO_SIGMA * _medians(away_RT), dtype=np.float32)


def _medians(values_RT: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each row; half the time of `numpy.median`, which looks for NaN as well."""
    upper = values_RT.shape[1] // 2
    lower = upper - 1 + values_RT.shape[1] % 2
    ordered_RT = np.partition(values_RT, (lower, upper), axis=1)
    return np.asarray((ordered_RT[:, lower] + ordered_RT[:, upper]) / 2, dtype=np.float32)


@lru_cache(maxsize=16)
def _hann(samples: int) -> NDArray[np.float32]:
    return np.asarray(get_window("hann", samples), dtype=np.float32)


@lru_cache(maxsize=16)
def _high_pass(length: int, rate: float) -> NDArray[np.float32]:
    """Squared magnitude of the digital Butterworth high-pass at the transform's frequencies."""
    # The bilinear transform maps a digital frequency to tan(pi f / rate) of the analogue one.
    frequencies_F = np.fft.rfftfreq(length, 1 / rate)
    with np.errstate(divide="ignore"):
        ratio_F = np.tan(np.pi * SIGNAL_HZ / rate) / np.tan(np.pi * frequencies_F / rate)
    return np.asarray(1 / (1 + ratio_F ** (2 * _ORDER)), dtype=np.float32)
