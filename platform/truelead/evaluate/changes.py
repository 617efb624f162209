"""Changes of the shown ECG whose effect on a right answer is known.

Some destroy the ECG (noise, flat), some leave its meaning (gain, wander, shift), some move one
thing in a known direction (heart rate, voltage). A change is applied to millivolts, before the
model's own standardisation, so that it goes the way of every ECG.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]
Change = Callable[[Signal, float, np.random.Generator], Signal]
"""(signal_LT in mV with NaN where not recorded, Hz, generator) -> changed copy of the same form."""

NO_ECG = "none"
"""The question is asked without any ECG in the prompt. Not a change of signals."""

WANDER_MILLIVOLTS = 0.1
WANDER_HERTZ = 0.3
SHIFT_SECONDS = 0.5
RATE_FACTOR = 1.5
VOLTAGE_FACTOR = 2.0


def gaussian_noise(signal_LT: Signal, rate: float, random: np.random.Generator) -> Signal:
    """White Gaussian noise with each lead's own mean and standard deviation, instead of the ECG."""
    recorded_LT = np.isfinite(signal_LT)
    filled_LT = np.where(recorded_LT, signal_LT, 0.0)
    count_L1 = np.maximum(recorded_LT.sum(1, keepdims=True), 1)
    mean_L1 = filled_LT.sum(1, keepdims=True) / count_L1
    square_LT = np.where(recorded_LT, (filled_LT - mean_L1) ** 2, 0.0)
    deviation_L1 = np.sqrt(square_LT.sum(1, keepdims=True) / count_L1)
    noise_LT = mean_L1 + deviation_L1 * random.standard_normal(signal_LT.shape)
    return np.where(recorded_LT, noise_LT, np.nan).astype(np.float32)


def flat(signal_LT: Signal, rate: float, random: np.random.Generator) -> Signal:
    """0 mV wherever something was recorded."""
    return np.where(np.isfinite(signal_LT), 0.0, np.nan).astype(np.float32)


def baseline_wander(signal_LT: Signal, rate: float, random: np.random.Generator) -> Signal:
    """A sine of 0.3 Hz (breathing) and at most 0.1 mV in I, II and V1 to V6, phases at random.

    The other limb leads follow from I and II (Einthoven, Goldberger), as they would in a patient.
    """
    seconds_T = np.arange(signal_LT.shape[1]) / rate
    phase_81 = random.uniform(0, 2 * np.pi, (8, 1))
    size_81 = random.uniform(0.5, 1.0, (8, 1)) * WANDER_MILLIVOLTS
    wave_8T = size_81 * np.sin(2 * np.pi * WANDER_HERTZ * seconds_T + phase_81)
    one_T, two_T = wave_8T[:2]
    limb_6T = np.stack(
        [one_T, two_T, two_T - one_T, -(one_T + two_T) / 2, one_T - two_T / 2, two_T - one_T / 2]
    )
    return (signal_LT + np.concatenate([limb_6T, wave_8T[2:]])).astype(np.float32)


def time_shift(signal_LT: Signal, rate: float, random: np.random.Generator) -> Signal:
    """The same ECG recorded from half a second later: its end, not recorded, is missing (NaN)."""
    samples = min(round(SHIFT_SECONDS * rate), signal_LT.shape[1] - 1)
    shifted_LT = np.full_like(signal_LT, np.nan)
    shifted_LT[:, : signal_LT.shape[1] - samples] = signal_LT[:, samples:]
    return shifted_LT


def limb_leads_inverted(signal_LT: Signal, rate: float, random: np.random.Generator) -> Signal:
    """I, II, III, aVR, aVL and aVF turned over: the frontal axis points the other way."""
    turned_LT = signal_LT.copy()
    turned_LT[:6] *= -1
    return turned_LT


def _gain(factor: float) -> Change:
    def change(signal_LT: Signal, rate: float, random: np.random.Generator) -> Signal:
        return (factor * signal_LT).astype(np.float32)

    return change


def _rate(factor: float) -> Change:
    """All intervals divided by `factor`; a recording that grows too short begins again."""

    def change(signal_LT: Signal, rate: float, random: np.random.Generator) -> Signal:
        samples = signal_LT.shape[1]
        whole = max(1, int(samples / factor)) if factor > 1 else samples
        place_T = (np.arange(samples) % whole) * factor
        lower_T = np.minimum(place_T.astype(np.int64), samples - 1)
        upper_T = np.minimum(lower_T + 1, samples - 1)
        share_T = place_T - lower_T
        mixed_LT = signal_LT[:, lower_T] * (1 - share_T) + signal_LT[:, upper_T] * share_T
        return mixed_LT.astype(np.float32)

    return change


CHANGES: dict[str, Change] = {
    "gaussian-noise": gaussian_noise,
    "flat": flat,
    "gain-plus-20": _gain(1.2),
    "gain-minus-20": _gain(0.8),
    "baseline-wander": baseline_wander,
    "time-shift": time_shift,
    "faster": _rate(RATE_FACTOR),
    "slower": _rate(1 / RATE_FACTOR),
    "voltage-doubled": _gain(VOLTAGE_FACTOR),
    "voltage-halved": _gain(1 / VOLTAGE_FACTOR),
    "limb-leads-inverted": limb_leads_inverted,
}


def changed(signal_LT: Signal, rate: float, change: str, record_id: str) -> Signal:
    """The signal after a change of `CHANGES`; the same each time for a record ("" changes nothing).

    Args:
        rate: samples a second (Hz).
        record_id: seeds what the change draws.
    """
    if not change:
        return signal_LT
    seed = [zlib.crc32(change.encode()), zlib.crc32(record_id.encode())]
    return CHANGES[change](signal_LT, rate, np.random.default_rng(seed))
