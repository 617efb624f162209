"""Each measure of quality on signals of which its value is known."""

from __future__ import annotations

import numpy as np
import pytest

from truelead.signal.generator import generate_patient
from truelead.signal.quality import LeadQuality, lead_qualities
from truelead.types import LEADS, Ecg

RATE = 500.0
TIME = np.arange(5000) / RATE


def quality_of(row_T: np.ndarray, rate: float = RATE) -> LeadQuality:
    """The measures of lead II."""
    signal_LT = np.full((12, row_T.size), np.nan, dtype=np.float32)
    signal_LT[1] = row_T
    return lead_qualities(Ecg(signal_LT, rate))[1]


def beats(rate: float = RATE, samples: int = 5000) -> np.ndarray:
    """One narrow wave of 1 mV a second, of which little lies above 40 Hz."""
    time_T = np.arange(samples) / rate
    return np.exp(-(((time_T % 1.0) - 0.5) ** 2) / (2 * 0.015**2))


def test_leads_come_in_their_order_and_say_what_is_missing() -> None:
    signal_LT = np.zeros((12, 3000), dtype=np.float32)
    signal_LT[5] = np.nan
    signal_LT[0, 10:30] = np.nan
    signal_LT[0, 100] = -1.25
    found = lead_qualities(Ecg(signal_LT, 100.0))
    assert tuple(quality.lead for quality in found) == LEADS
    assert not found[5].recorded
    assert (found[5].minimum, found[5].missing) == (None, 3000)
    assert (found[0].minimum, found[0].maximum, found[0].missing) == (-1.25, 0.0, 20)


@pytest.mark.parametrize(("millivolts", "flat"), [(0.0, True), (0.018, True), (0.03, False)])
def test_a_lead_is_flat_below_a_fiftieth_millivolt(millivolts: float, flat: bool) -> None:
    quality = quality_of(0.7 + millivolts * beats())
    assert quality.flat is flat
    assert (quality.wander_share is None) is flat
    assert quality.clipped_share == 0.0 or not flat


def test_clipped_samples_are_those_that_stay_at_an_extreme() -> None:
    row_T = np.sin(2 * np.pi * TIME)
    assert quality_of(row_T).clipped_share == 0.0
    clipped_T = np.clip(row_T, -2.0, 0.5)
    expected = (row_T >= 0.5).mean()
    assert quality_of(clipped_T).clipped_share == pytest.approx(expected, abs=0.002)
    both = quality_of(np.clip(row_T, -0.5, 0.5)).clipped_share
    assert both == pytest.approx(2 * expected, abs=0.004)
    short_T = row_T.copy()
    short_T[1000:1003] = 5.0
    assert quality_of(short_T).clipped_share == 0.0
    short_T[1000:1004] = 5.0
    assert quality_of(short_T).clipped_share == pytest.approx(4 / 5000)


@pytest.mark.parametrize("amplitude", [0.5, 1.0, 2.0])
def test_wander_is_a_share_of_power(amplitude: float) -> None:
    row_T = amplitude * np.sin(2 * np.pi * 0.3 * TIME) + np.sin(2 * np.pi * 5 * TIME)
    expected = amplitude**2 / (amplitude**2 + 1)
    assert quality_of(3.0 + row_T).wander_share == pytest.approx(expected, abs=0.03)
    # Mains hum is outside the band of the signal.
    hum_T = row_T + 4 * np.sin(2 * np.pi * 60 * TIME)
    assert quality_of(hum_T).wander_share == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("sigma", [0.01, 0.05])
@pytest.mark.parametrize("rate", [250.0, 500.0, 1000.0])
def test_noise_is_what_lies_above_40_hz(sigma: float, rate: float) -> None:
    samples = int(10 * rate)
    white_T = sigma * np.random.default_rng(0).normal(size=samples)
    expected = sigma * np.sqrt(1 - 40 / (rate / 2))
    quality = quality_of(beats(rate, samples) + white_T, rate)
    assert quality.noise_millivolts == pytest.approx(expected, rel=0.1)
    assert quality_of(beats(rate, samples), rate).noise_millivolts < 0.001


def test_short_or_slow_recordings_have_no_measures_of_frequency() -> None:
    short = quality_of(beats()[:1500])
    assert (short.wander_share, short.noise_millivolts) == (None, None)
    slow = quality_of(beats(80.0, 800), 80.0)
    assert slow.noise_millivolts is None
    assert slow.wander_share is not None


def test_measures_are_taken_between_gaps() -> None:
    row_T = beats() + 0.02 * np.random.default_rng(1).normal(size=5000)
    gap_T = row_T.copy()
    gap_T[:1000] = np.nan
    gap_T[4900:] = np.nan
    quality, whole = quality_of(gap_T), quality_of(row_T[1000:4900])
    assert quality.missing == 1100
    assert quality.noise_millivolts == pytest.approx(whole.noise_millivolts)
    assert quality.wander_share == pytest.approx(whole.wander_share)


def test_a_noisier_recording_of_the_same_heart_measures_worse() -> None:
    (found,) = generate_patient(3, 2, ecgs=1, sampling_rate=500)
    clean = found.clean.signal_LT
    noise = np.random.default_rng(4).normal(0, 0.05, size=clean.shape)
    drift = 0.5 * np.sin(2 * np.pi * 0.2 * np.arange(clean.shape[1]) / 500)
    worse = lead_qualities(Ecg((clean + noise + drift).astype(np.float32), 500.0))
    for before, after in zip(lead_qualities(found.clean), worse, strict=True):
        assert after.noise_millivolts > before.noise_millivolts
        assert after.wander_share > before.wander_share
