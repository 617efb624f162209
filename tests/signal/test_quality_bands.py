"""Many leads at once give what one lead at a time gives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from truelead.signal.quality import lead_qualities
from truelead.signal.quality_bands import _every_sample, measure_bands
from truelead.types import LEADS, Ecg


def ecg(rate: int, seconds: float = 10.0) -> Ecg:
    """Waves of 1 and 7 Hz, a baseline of 0.2 Hz and noise, all of another size in each lead."""
    rng = np.random.default_rng(rate)
    times = np.arange(round(rate * seconds)) / rate
    size = np.linspace(0.2, 1.5, len(LEADS))[:, None]
    wave = np.sin(2 * np.pi * times) + 0.3 * np.sin(2 * np.pi * 7 * times)
    noise = rng.normal(0, 0.02, size=(len(LEADS), times.size))
    signal = size * (wave + 0.4 * np.sin(2 * np.pi * 0.2 * times)) + size[::-1] * noise + 0.1
    return Ecg(signal.astype(np.float32), float(rate))


@pytest.mark.parametrize("rate", [100, 250, 500])
def test_the_definitions_are_those_of_one_lead(rate: int) -> None:
    one = ecg(rate)
    expected = lead_qualities(one)
    wander = [lead.wander_share for lead in expected]
    noise = [lead.noise_millivolts for lead in expected]
    noise_R, wander_R = measure_bands(one.signal_LT, rate)
    np.testing.assert_allclose(wander_R, wander, rtol=1e-3)
    # The medians over about a thousand samples are some percent off those over all.
    np.testing.assert_allclose(noise_R, noise, rtol=0.15)
    assert np.mean(noise_R) == pytest.approx(np.mean(noise), rel=0.03)


def test_where_nothing_can_be_measured() -> None:
    short = ecg(500, seconds=3.9).signal_LT
    for measure_R in measure_bands(short, 500):
        assert np.isnan(measure_R).all()
    slow = measure_bands(ecg(90).signal_LT, 90)
    assert np.isnan(slow.noise_R).all()
    assert np.isfinite(slow.wander_R).all()
    flat = measure_bands(np.ones((2, 5000), np.float32), 500)
    assert np.isnan(flat.wander_R).all()
    np.testing.assert_allclose(flat.noise_R, 0, atol=1e-6)


@pytest.mark.parametrize(("rate", "samples"), [(91, 401), (81, 400), (80, 400), (79, 401)])
def test_rates_whose_nyquist_frequency_is_near_40_hz(rate: int, samples: int) -> None:
    one = ecg(rate, seconds=samples / rate)
    assert one.signal_LT.shape[1] == samples
    wander = [lead.wander_share for lead in lead_qualities(one)]
    np.testing.assert_allclose(measure_bands(one.signal_LT, rate).wander_R, wander, rtol=1e-3)


def test_leads_that_end_far_from_where_they_start() -> None:
    rng = np.random.default_rng(0)
    drift = np.linspace(-2, 2, 5000) + rng.normal(0, 0.02, size=(12, 5000))
    one = Ecg(drift.astype(np.float32), 500.0)
    expected = [lead.noise_millivolts for lead in lead_qualities(one)]
    noise_R = measure_bands(one.signal_LT, 500).noise_R
    assert np.mean(noise_R) == pytest.approx(np.mean(expected), rel=0.05)


def test_a_pure_baseline_and_a_pure_wave() -> None:
    times = np.arange(5000) / 500
    waves = np.stack([np.sin(2 * np.pi * 0.2 * times), np.sin(2 * np.pi * 5 * times)])
    low, high = measure_bands(waves.astype(np.float32), 500).wander_R
    assert low > 0.99
    assert high < 0.01


@pytest.mark.parametrize("samples", [1000, 2400, 2500, 5000, 5001])
@pytest.mark.parametrize("every", [1, 2, 3, 4, 5])
def test_every_so_many_th_sample_out_of_the_spectrum(samples: int, every: int) -> None:
    signal_RT = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    kept_RU = _every_sample(scipy.fft.rfft(signal_RT, axis=1), samples, every)
    np.testing.assert_allclose(kept_RU, signal_RT[:, ::every], atol=1e-5)
