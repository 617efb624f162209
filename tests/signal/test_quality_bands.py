"""Many leads at once give what one lead at a time gives."""

from __future__ import annotations

import numpy as np
import pytest

from truelead.signal.quality import lead_qualities
from truelead.signal.quality_bands import noise_levels, wander_shares
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
    np.testing.assert_allclose(wander_shares(one.signal_LT, rate), wander, rtol=1e-3)
    # The medians over about a thousand samples are some percent off those over all.
    np.testing.assert_allclose(noise_levels(one.signal_LT, rate), noise, rtol=0.15)
    assert np.mean(noise_levels(one.signal_LT, rate)) == pytest.approx(np.mean(noise), rel=0.03)


def test_where_nothing_can_be_measured() -> None:
    short = ecg(500, seconds=3.9).signal_LT
    assert np.isnan(wander_shares(short, 500)).all()
    assert np.isnan(noise_levels(short, 500)).all()
    slow = ecg(90)
    assert np.isnan(noise_levels(slow.signal_LT, 90)).all()
    assert np.isfinite(wander_shares(slow.signal_LT, 90)).all()
    flat = np.ones((2, 5000), np.float32)
    assert np.isnan(wander_shares(flat, 500)).all()
    np.testing.assert_allclose(noise_levels(flat, 500), 0, atol=1e-6)


def test_a_pure_baseline_and_a_pure_wave() -> None:
    times = np.arange(5000) / 500
    waves = np.stack([np.sin(2 * np.pi * 0.2 * times), np.sin(2 * np.pi * 5 * times)])
    low, high = wander_shares(waves.astype(np.float32), 500)
    assert low > 0.99
    assert high < 0.01
