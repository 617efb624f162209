"""Change an ECG's sampling rate without folding high frequencies into the signal.

Polyphase filtering with a Kaiser-windowed low-pass (Crochiere & Rabiner, Multirate Digital Signal
Processing, 1983): flat to 0.88 of the lower Nyquist frequency, at least 60 dB down from that
Nyquist frequency on. For the common rates the filter is applied in the frequency domain, which is
many times faster than tap by tap.

Shape suffixes: L leads (12), T samples before, U samples after.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin, upfirdn

from truelead.errors import InvalidEcg
from truelead.types import Ecg

_HALF_LENGTH = 36
"""Filter taps on each side per sample of the slower rate: a transition band of 0.12 Nyquist."""

_KAISER_BETA = 6.8
"""About 70 dB of stop-band attenuation."""

_LARGEST_DENOMINATOR = 2000
"""Rates are matched as a fraction; at this size 10 s are off by less than 3 microseconds."""


_LARGEST_STUFFING = 8
"""Zeros put between the samples, up to which the whole stuffed signal is filtered at once."""


def resample(ecg: Ecg, sampling_rate: float) -> Ecg:
    """The ECG at another sampling rate.

    Args:
        ecg: any rate; returned itself when it already has `sampling_rate`.
        sampling_rate: wanted rate in Hz, within a factor of 1000 of the ECG's.

    Returns:
        an ECG of round(T * new / old) samples, at least 1. A sample is NaN where one of the
        samples it stands for was NaN; gaps are bridged by straight lines while filtering, so that
        they do not spread.

    Raises:
        InvalidEcg: the rate is not positive, or too far from the ECG's.
    """
    if sampling_rate == ecg.sampling_rate:
        return ecg
    if not (np.isfinite(sampling_rate) and sampling_rate > 0):
        raise InvalidEcg(
            ecg.record_id or "ecg",
            field="sampling_rate",
            expected="a rate above 0 Hz",
            found=f"{sampling_rate}",
        )
    quotient = sampling_rate / ecg.sampling_rate
    if not 1e-3 <= quotient <= 1e3:
        raise InvalidEcg(
            ecg.record_id or "ecg",
            field="sampling_rate",
            expected=f"within a factor of 1000 of {ecg.sampling_rate:g} Hz",
            found=f"{sampling_rate:g} Hz",
        )
    ratio = Fraction(quotient).limit_denominator(_LARGEST_DENOMINATOR)
    samples = max(1, round(ecg.signal_LT.shape[1] * quotient))
    resampled_LU = np.full((ecg.signal_LT.shape[0], samples), np.nan, dtype=np.float32)
    valid_LT = np.isfinite(ecg.signal_LT)
    rows = np.flatnonzero(valid_LT.any(axis=1))
    if rows.size:
        bridged_RT = _bridge_gaps(ecg.signal_LT[rows], valid_LT[rows])
        resampled_LU[rows] = _filter(bridged_RT, ratio, samples)
        for row in rows[~valid_LT[rows].all(axis=1)]:
            resampled_LU[row, _touches_gap(valid_LT[row], ratio, samples)] = np.nan
    return Ecg(
        signal_LT=resampled_LU,
        sampling_rate=float(sampling_rate),
        record_id=ecg.record_id,
        patient_id=ecg.patient_id,
    )


def fit_duration(ecg: Ecg, seconds: float) -> Ecg:
    """The first `seconds` of the ECG, with NaN behind its end where it is shorter.

    Args:
        ecg: returned itself when it already has round(seconds * rate) samples.
        seconds: wanted length, above 0.

    Raises:
        InvalidEcg: the length is not a positive number of samples.
    """
    samples = round(seconds * ecg.sampling_rate) if np.isfinite(seconds) else 0
    if samples < 1:
        raise InvalidEcg(
            ecg.record_id or "ecg",
            field="seconds",
            expected=f"at least 1 sample at {ecg.sampling_rate:g} Hz",
            found=f"{seconds}",
        )
    present = ecg.signal_LT.shape[1]
    if present == samples:
        return ecg
    fitted_LT = np.full((ecg.signal_LT.shape[0], samples), np.nan, dtype=np.float32)
    kept = min(present, samples)
    fitted_LT[:, :kept] = ecg.signal_LT[:, :kept]
    return Ecg(
        signal_LT=fitted_LT,
        sampling_rate=ecg.sampling_rate,
        record_id=ecg.record_id,
        patient_id=ecg.patient_id,
    )


@lru_cache(maxsize=16)
def _low_pass(up: int, down: int) -> NDArray[np.float32]:
    """Filter at `up` times the input rate, of gain `up`, with an odd number of taps."""
    slower = max(up, down)
    taps = 2 * _HALF_LENGTH * slower + 1
    # The -6 dB point lies in the middle of the transition band, whose end is the Nyquist frequency.
    low_pass = firwin(taps, 0.94 / slower, window=("kaiser", _KAISER_BETA)) * up
    return np.asarray(low_pass, dtype=np.float32)


def _filter(signal_RT: NDArray[np.float32], ratio: Fraction, samples: int) -> NDArray[np.float32]:
    up, down = ratio.numerator, ratio.denominator
    low_pass = _low_pass(up, down)
    half = len(low_pass) // 2
    # Padding by a multiple of `down` inputs is a whole number of outputs. The signal is continued
    # by its own point reflection: a step to 0 would ring through the first beats.
    blocks = half // (up * down) + 2
    padded = np.pad(signal_RT, ((0, 0), (blocks * down,) * 2), mode="reflect", reflect_type="odd")
    # Leading zeros make the filter's delay a whole number of outputs.
    zeros = -half % down
    filtered = _convolve(padded, np.concatenate([np.zeros(zeros, np.float32), low_pass]), up, down)
    start = (half + zeros) // down + blocks * up
    cut: NDArray[np.float32] = filtered[:, start : start + samples].astype(np.float32, copy=False)
    assert cut.shape[1] == samples
    return cut


def _convolve(
    signal_RT: NDArray[np.float32], low_pass: NDArray[np.float32], up: int, down: int
) -> NDArray[np.float32]:
    """Zeros between the inputs, the filter, and every `down`-th output."""
    if up > _LARGEST_STUFFING:
        return np.asarray(upfirdn(low_pass, signal_RT, up, down), np.float32)
    stuffed_RT = signal_RT
    if up > 1:
        rows, inputs = signal_RT.shape
        stuffed_RT = np.zeros((rows, (inputs - 1) * up + 1), np.float32)
        stuffed_RT[:, ::up] = signal_RT
    filtered_RT = fftconvolve(stuffed_RT, low_pass[None], mode="full", axes=1)
    return np.asarray(filtered_RT[:, ::down], np.float32)


def _bridge_gaps(
    signal_RT: NDArray[np.float32], valid_RT: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Replace NaN by straight lines between the samples around it."""
    if valid_RT.all():
        return signal_RT
    bridged_RT = signal_RT.copy()
    for row_T, valid_T in zip(bridged_RT, valid_RT, strict=True):
        gaps = np.flatnonzero(~valid_T)
        known = np.flatnonzero(valid_T)
        row_T[gaps] = np.interp(gaps, known, row_T[known])
    return bridged_RT


def _touches_gap(valid_T: NDArray[np.bool_], ratio: Fraction, samples: int) -> NDArray[np.bool_]:
    """bool (U,): True where any input within half an output sample, or the nearest, is NaN."""
    step = ratio.denominator / ratio.numerator
    centre_U = np.arange(samples) * step
    last = valid_T.size - 1
    nearest_U = np.clip(np.rint(centre_U).astype(np.int64), 0, last)
    low_U = np.minimum(np.clip(np.ceil(centre_U - step / 2).astype(np.int64), 0, last), nearest_U)
    high_U = np.maximum(np.clip(np.floor(centre_U + step / 2).astype(np.int64), 0, last), nearest_U)
    gaps_before = np.concatenate([[0], np.cumsum(~valid_T)])
    touches_U: NDArray[np.bool_] = gaps_before[high_U + 1] > gaps_before[low_U]
    return touches_U
