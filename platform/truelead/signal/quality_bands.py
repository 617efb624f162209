"""Baseline wander and high-frequency noise of many leads at once, for whole sets of records.

The definitions are those of `truelead.signal.quality`; here both are read off one Fourier transform
of all leads together, which costs a small part of filtering lead by lead. What is left out for it:
the ends are not padded, and the noise is measured about zero, where a high-pass leaves its level.

Shape suffixes: R rows: leads without a gap, T samples, U samples kept of them, F frequencies of
the transform.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from truelead.signal.quality import SHORTEST_SECONDS, SIGNAL_HZ, WANDER_HZ

SAMPLES_ORDERED = 1000
"""The median of the noise is over every so many-th sample that about a thousand of a lead are
left: ordering all of them would cost more than all the rest, for some 2 % of the level."""

_ORDER = 4
_MAD_TO_SIGMA = np.float32(1.4826)


class Bands(NamedTuple):
    """Both measures of each lead, float32.

    Attributes:
        noise_R: robust standard deviation above 40 Hz in the unit of the signal, NaN where the
            rate is 90 Hz or less or the lead is shorter than 4 s.
        wander_R: share of the power up to 40 Hz, without the mean, that lies below 0.5 Hz; NaN
            where there is no power up to 40 Hz or the lead is shorter than 4 s.
    """

    noise_R: NDArray[np.float32]
    wander_R: NDArray[np.float32]


def measure_bands(signal_RT: NDArray[np.float32], rate: float) -> Bands:
    """Noise and wander of the leads `signal_RT` at `rate` Hz."""
    samples = signal_RT.shape[1]
    unknown_R = np.full(len(signal_RT), np.nan, dtype=np.float32)
    if samples < SHORTEST_SECONDS * rate or not len(signal_RT):
        return Bands(unknown_R, unknown_R)
    level_R1 = signal_RT.mean(axis=1, keepdims=True, dtype=np.float64)
    spectrum_RF = scipy.fft.rfft(signal_RT - level_R1.astype(np.float32), axis=1)
    wander_R = _wander_shares(spectrum_RF, samples, rate)
    return Bands(_noise_levels(spectrum_RF, samples, rate) if rate > 90 else unknown_R, wander_R)


def _wander_shares(
    spectrum_RF: NDArray[np.complex64], samples: int, rate: float
) -> NDArray[np.float32]:
    """Shares of the power under a Hann window, which in the spectrum is a sum of neighbours."""
    highest = min(int(np.floor(SIGNAL_HZ * samples / rate)), samples // 2)
    around_RF = spectrum_RF[:, : highest + 2]
    if around_RF.shape[1] < highest + 2:
        # Beyond the last frequency the spectrum of a real signal comes back mirrored.
        beyond_R1 = spectrum_RF[:, (samples - 1) // 2, None].conj()
        around_RF = np.concatenate([around_RF, beyond_R1], axis=1)
    windowed_RF = around_RF[:, 1:-1] / 2 - (around_RF[:, :-2] + around_RF[:, 2:]) / 4
    power_RF = windowed_RF.real**2 + windowed_RF.imag**2
    if 2 * highest == samples:
        power_RF[:, -1] /= 2  # the Nyquist frequency has no twin among the negative ones
    below = int(np.ceil(WANDER_HZ * samples / rate)) - 1
    total_R = power_RF.sum(axis=1)
    shares_R = np.full(len(power_RF), np.nan, dtype=np.float32)
    np.divide(power_RF[:, :below].sum(axis=1), total_R, out=shares_R, where=total_R > 0)
    return shares_R


def _noise_levels(
    spectrum_RF: NDArray[np.complex64], samples: int, rate: float
) -> NDArray[np.float32]:
    every = max(1, samples // SAMPLES_ORDERED)
    kept_RU = _every_sample(spectrum_RF * _high_pass(samples, rate), samples, every)
    sizes_RU = np.abs(kept_RU)
    middle = sizes_RU.shape[1] // 2
    # One of two middle values will do: `numpy.median` takes twice as long to average them.
    medians_R = np.partition(sizes_RU, middle, axis=1)[:, middle]
    return np.asarray(_MAD_TO_SIGMA * medians_R, dtype=np.float32)


def _every_sample(
    spectrum_RF: NDArray[np.complex64], samples: int, every: int
) -> NDArray[np.float32]:
    """The signal's samples 0, `every`, 2 `every`, ... out of its spectrum."""
    kept, rest = divmod(samples, every)
    if every == 1 or rest or kept % 2:
        whole_RT: NDArray[np.float32] = scipy.fft.irfft(spectrum_RF, samples, axis=1)
        return whole_RT[:, ::every]
    # Sampled more slowly, frequency f falls on f modulo `kept`: adding up what falls together
    # leaves a transform of `kept` samples. Above half of `samples` a frequency is the mirrored
    # one's conjugate, and so `turn` * `kept` +- f lie to the right and the left of each multiple.
    half = kept // 2
    folded_RF = spectrum_RF[:, : half + 1].copy()
    for turn in range(1, every // 2 + 1):
        middle = turn * kept
        folded_RF += spectrum_RF[:, middle - half : middle + 1][:, ::-1].conj()
        if 2 * turn < every:
            folded_RF += spectrum_RF[:, middle : middle + half + 1]
    folded_RF /= every
    fewer_RU: NDArray[np.float32] = scipy.fft.irfft(folded_RF, kept, axis=1)
    return fewer_RU


@lru_cache(maxsize=16)
def _high_pass(samples: int, rate: float) -> NDArray[np.float32]:
    """Magnitude of the digital Butterworth high-pass, run both ways, at each frequency."""
    # The bilinear transform maps a digital frequency to tan(pi f / rate) of the analogue one.
    frequencies_F = np.fft.rfftfreq(samples, 1 / rate)
    with np.errstate(divide="ignore"):
        ratio_F = np.tan(np.pi * SIGNAL_HZ / rate) / np.tan(np.pi * frequencies_F / rate)
    return np.asarray(1 / (1 + ratio_F ** (2 * _ORDER)), dtype=np.float32)
