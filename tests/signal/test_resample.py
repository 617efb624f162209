from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truelead.errors import InvalidEcg
from truelead.signal import fit_duration, resample
from truelead.types import Ecg


def tone(frequency: float, rate: float, seconds: float = 10.0, offset: float = 0.0) -> Ecg:
    times = np.arange(round(seconds * rate)) / rate
    row = np.sin(2 * np.pi * frequency * times + 0.3) + offset
    return Ecg(np.tile(row.astype(np.float32), (12, 1)), rate)


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@pytest.mark.parametrize("old", [500.0, 400.0, 1000.0, 360.0, 257.0, 977.0])
@pytest.mark.parametrize("frequency", [0.5, 10.0, 40.0])
def test_tones_of_an_ecg_survive_the_way_to_100_hz(old: float, frequency: float) -> None:
    resampled = resample(tone(frequency, old), 100.0)
    ideal = tone(frequency, 100.0)
    # Half a second at each end rests on samples outside the recording.
    error = (resampled.signal_LT - ideal.signal_LT)[:, 50:-50]
    assert root_mean_square(error) < 0.005


@pytest.mark.parametrize("frequency", [50.5, 60.0, 75.0, 100.0, 140.0, 230.0])
def test_tones_above_the_new_nyquist_frequency_do_not_fold_back(frequency: float) -> None:
    resampled = resample(tone(frequency, 500.0), 100.0)
    assert root_mean_square(resampled.signal_LT[:, 50:-50]) < 0.001


def test_the_ends_do_not_ring_with_an_offset() -> None:
    resampled = resample(tone(1.0, 500.0, offset=5.0), 100.0)
    ideal = tone(1.0, 100.0, offset=5.0)
    assert np.abs(resampled.signal_LT - ideal.signal_LT).max() < 0.02


def test_up_and_down_again_is_the_same() -> None:
    slow = tone(17.0, 100.0)
    again = resample(resample(slow, 500.0), 100.0)
    assert root_mean_square((again.signal_LT - slow.signal_LT)[:, 50:-50]) < 1e-3


def test_the_same_rate_is_the_same_object() -> None:
    ecg = tone(10.0, 100.0)
    assert resample(ecg, 100) is ecg


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 700),
    old=st.floats(40, 1100),
    new=st.floats(40, 1100),
    gap=st.tuples(st.integers(0, 699), st.integers(1, 300)),
)
def test_length_rate_and_gaps(samples: int, old: float, new: float, gap: tuple[int, int]) -> None:
    signal_LT = np.ones((12, samples), dtype=np.float32)
    signal_LT[1] = np.nan
    signal_LT[2, gap[0] : gap[0] + gap[1]] = np.nan
    ecg = Ecg(signal_LT, old, record_id="r", patient_id="p")
    resampled = resample(ecg, new)
    assert resampled.signal_LT.shape[1] == max(1, round(samples * (new / old)))
    assert (resampled.record_id, resampled.patient_id) == ("r", "p")
    known = np.isfinite(resampled.signal_LT)
    assert known[0].all()
    assert not known[1].any()
    np.testing.assert_allclose(resampled.signal_LT[known], 1.0, atol=2e-3)


def test_a_gap_stays_where_it_was_and_nothing_spreads() -> None:
    ecg = tone(5.0, 500.0)
    signal_LT = ecg.signal_LT.copy()
    signal_LT[2, 1000:2000] = np.nan
    resampled = resample(Ecg(signal_LT, 500.0), 100.0)
    gap = np.flatnonzero(np.isnan(resampled.signal_LT[2]))
    assert (gap[0], gap[-1]) == (200, 400)
    whole = resample(ecg, 100.0)
    far = np.r_[0:150, 450:1000]
    np.testing.assert_allclose(resampled.signal_LT[2, far], whole.signal_LT[2, far], atol=1e-5)
    np.testing.assert_array_equal(resampled.signal_LT[3], whole.signal_LT[3])


@pytest.mark.parametrize("rate", [0.0, -5.0, float("nan"), float("inf"), 0.01, 1e7])
def test_impossible_rates(rate: float) -> None:
    with pytest.raises(InvalidEcg, match="sampling_rate: expected"):
        resample(tone(1.0, 100.0), rate)


def test_fit_duration_keeps_the_beginning_and_pads_with_nan() -> None:
    ecg = tone(1.0, 100.0)
    assert fit_duration(ecg, 10.0) is ecg
    short = fit_duration(ecg, 2.5)
    np.testing.assert_array_equal(short.signal_LT, ecg.signal_LT[:, :250])
    long = fit_duration(ecg, 12.0)
    np.testing.assert_array_equal(long.signal_LT[:, :1000], ecg.signal_LT)
    assert np.isnan(long.signal_LT[:, 1000:]).all()
    assert long.signal_LT.shape == (12, 1200)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_durations(seconds: float) -> None:
    with pytest.raises(InvalidEcg, match="seconds: expected at least 1 sample"):
        fit_duration(tone(1.0, 100.0), seconds)


@pytest.mark.parametrize(("old", "new"), [(500, 100), (250, 100), (128, 500), (1000, 100)])
def test_the_filter_in_the_frequency_domain_is_the_one_tap_by_tap(
    old: int, new: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(7)
    signal_LT = (5.0 + np.cumsum(rng.normal(0, 0.05, (12, 4 * old)), axis=1)).astype(np.float32)
    fast = resample(Ecg(signal_LT, float(old)), float(new)).signal_LT
    monkeypatch.setattr(importlib.import_module("truelead.signal.resample"), "_LARGEST_STUFFING", 0)
    slow = resample(Ecg(signal_LT, float(old)), float(new)).signal_LT
    assert fast.dtype == slow.dtype == np.float32
    np.testing.assert_allclose(fast, slow, rtol=0, atol=2e-5)
