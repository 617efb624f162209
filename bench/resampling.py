"""Resampling: how true a 40 Hz wave stays, and the time it takes beside scipy.signal.resample_poly.

40 Hz is where the ECG's highest useful frequencies lie and 0.8 of the Nyquist frequency at 100 Hz.
The error is against the same sine sampled at the new rate, without the first and last half second,
where no filter knows what came before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.signal import resample_poly

from bench.reported import row
from truelead.signal import resample
from truelead.types import LEADS, Ecg

COMMAND = "make bench SECTION=data"
SOURCE_RATE, SECONDS, FREQUENCY = 500, 10, 40.0
RATES = (100, 250)
LARGEST_ERROR = 0.005
ROUNDS, TURNS = 7, 40


def rows() -> list[dict[str, Any]]:
    """For each rate: error at 40 Hz, and ECGs per CPU second."""
    return [one for rate in RATES for one in (_error_row(rate), _speed_row(rate))]


def _sine(rate: int) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * FREQUENCY * np.arange(SECONDS * rate) / rate + 0.3)


def _ours(signal_LT: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    return resample(Ecg(signal_LT, float(SOURCE_RATE)), float(rate)).signal_LT


def _peer(signal_LT: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    ratio = Fraction(rate, SOURCE_RATE)
    resampled_LU: NDArray[np.float32] = resample_poly(
        signal_LT, ratio.numerator, ratio.denominator, axis=1
    )
    return resampled_LU


def _signal() -> NDArray[np.float32]:
    return np.tile(_sine(SOURCE_RATE).astype(np.float32), (len(LEADS), 1))


def _error(change: Callable[..., NDArray[np.float32]], rate: int) -> float:
    inner = slice(rate // 2, -(rate // 2))
    difference = change(_signal(), rate)[0, inner] - _sine(rate)[inner]
    return float(np.sqrt(np.mean(difference**2)))


def _error_row(rate: int) -> dict[str, Any]:
    value = _error(_ours, rate)
    return row(
        f"{SOURCE_RATE} -> {rate} Hz: RMS error of a unit sine at {FREQUENCY:g} Hz",
        value,
        "of its amplitude",
        COMMAND,
        goal=LARGEST_ERROR,
        holds=value <= LARGEST_ERROR,
        peer=f"scipy {scipy.__version__} resample_poly: {_error(_peer, rate):.4f}",
    )


def _speed_row(rate: int) -> dict[str, Any]:
    ours, peers = [], []
    for _ in range(ROUNDS):
        ours.append(_per_cpu_second(_ours, rate))
        peers.append(_per_cpu_second(_peer, rate))
    ratio = float(np.median(np.divide(ours, peers)))
    return row(
        f"{SOURCE_RATE} -> {rate} Hz: 12-lead ECGs of {SECONDS} s",
        round(float(np.median(ours))),
        "ECGs per CPU second",
        COMMAND,
        peer=f"scipy resample_poly: {np.median(peers):.0f}, {ratio:.2f} times its speed",
        interval=[round(min(ours)), round(max(ours))],
    )


def _per_cpu_second(change: Callable[..., NDArray[np.float32]], rate: int) -> float:
    signal_LT = _signal()
    begun = time.thread_time()
    for _ in range(TURNS):
        change(signal_LT, rate)
    return TURNS / (time.thread_time() - begun)


if __name__ == "__main__":
    for found in rows():
        print(found)
