from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truelead.model.feature_extraction import LEAD_SCALES_MILLIVOLTS, EcgFeatureExtractor
from truelead.types import Ecg


def wave(amplitude: float = 1.0, rate: float = 100.0, seconds: float = 10.0) -> Ecg:
    time = np.arange(round(rate * seconds)) / rate
    signal = np.tile(amplitude * np.sin(2 * np.pi * 1.5 * time), (12, 1))
    return Ecg(signal.astype(np.float32), rate)


def test_amplitude_survives_and_the_offset_does_not() -> None:
    extractor = EcgFeatureExtractor()
    low, high = extractor.standardise(wave(0.2)), extractor.standardise(wave(0.4))
    np.testing.assert_allclose(high, 2 * low, rtol=1e-4, atol=1e-5)
    shifted = Ecg(wave(0.2).signal_LT + np.float32(1.5), 100.0)
    np.testing.assert_allclose(extractor.standardise(shifted), low, atol=1e-4)
    expected = 0.2 / np.array(LEAD_SCALES_MILLIVOLTS)
    np.testing.assert_allclose(low.max(axis=1), expected, rtol=2e-2)


def test_missing_leads_and_gaps_become_zero() -> None:
    signal = wave(0.5).signal_LT.copy()
    signal[4] = np.nan
    signal[7, 200:300] = np.nan
    signal[9] = 0.3
    result = EcgFeatureExtractor().standardise(Ecg(signal, 100.0))
    assert np.isfinite(result).all()
    assert not result[4].any()
    assert not result[7, 200:300].any()
    assert np.abs(result[9]).max() < 1e-5
    assert result[7, :200].any()


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from([100.0, 257.0, 400.0, 500.0]),
    seconds=st.floats(0.5, 15.0),
    amplitude=st.floats(-1e4, 1e4),
)
def test_any_ecg_becomes_the_shape_and_range(rate: float, seconds: float, amplitude: float) -> None:
    extractor = EcgFeatureExtractor(sampling_rate=100.0, seconds=5.0)
    result = extractor.standardise(wave(amplitude, rate, seconds))
    assert result.shape == (12, 500)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= extractor.limit


def test_rates_agree() -> None:
    extractor = EcgFeatureExtractor()
    at_100, at_500 = extractor.standardise(wave()), extractor.standardise(wave(rate=500.0))
    np.testing.assert_allclose(at_100[:, 50:-50], at_500[:, 50:-50], atol=0.1)


def test_a_batch() -> None:
    output = EcgFeatureExtractor()([wave(), wave(2.0)])
    assert output["ecg_NLT"].shape == (2, 12, 1000)


def test_scales_must_be_twelve() -> None:
    with pytest.raises(AssertionError):
        EcgFeatureExtractor(scales=(1.0,) * 8)


def test_many_at_once_are_standardised_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    signal_NLT = rng.normal(0.4, 1.0, (4, 12, 1000)).astype(np.float32)
    signal_NLT[1, 3] = np.nan
    signal_NLT[2, 5, 100:400] = np.nan
    signal_NLT[3, 0, 7] = 30.0
    extractor = EcgFeatureExtractor()
    expected = [extractor.standardise(Ecg(x, 100.0)) for x in signal_NLT]
    recorded = np.isfinite(signal_NLT)
    wide = np.where(recorded, signal_NLT, 0.0).astype(np.float64)
    mean = wide.sum(axis=2) / np.maximum(recorded.sum(axis=2), 1)
    scaled = (wide - mean[..., None]) / np.array(LEAD_SCALES_MILLIVOLTS)[:, None]
    formula = np.where(recorded, np.clip(scaled, -extractor.limit, extractor.limit), 0.0)
    np.testing.assert_allclose(np.stack(expected), formula, rtol=1e-4, atol=1e-4)
    before = signal_NLT.copy()
    assert np.array_equal(extractor.standardise_all(signal_NLT.copy(), 100.0), np.stack(expected))
    assert np.array_equal(signal_NLT, before, equal_nan=True)
    slower = extractor.standardise_all(signal_NLT[:1, :, :500].copy(), 50.0)
    assert np.array_equal(slower[0], extractor.standardise(Ecg(signal_NLT[0, :, :500], 50.0)))
