"""Measured intervals against generated hearts, whose own are known, and against bad ECGs."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

from truelead.signal.delineation import FEATURES, delineate
from truelead.signal.delineation.intervals import FLAGS
from truelead.signal.generator import Finding, GeneratedEcg, generate_ecg
from truelead.types import Ecg

PLAIN = Finding(1.0)
SINUS = ("", "1AVB", "CLBBB", "CRBBB", "STACH", "SBRAD", "PVC")
# Largest distance in ms from the heart's own intervals. The generator counts a Gaussian wave from
# 6 % of its height, which is some milliseconds inside of where its slope begins.
NEAR = {
    "rr interval": 12.0,
    "p duration": 22.0,
    "pr interval": 22.0,
    "qrs duration": 28.0,
    "qt interval": 28.0,
}


@cache
def heart(code: str, rate: int, seed: int = 0) -> GeneratedEcg:
    return generate_ecg(seed, {code: PLAIN} if code else {}, sampling_rate=rate)


def truth(made: GeneratedEcg) -> dict[str, float]:
    """Median intervals of the beats in milliseconds."""
    b = made.boundaries

    def between(first: np.ndarray, second: np.ndarray) -> float:
        both = (first >= 0) & (second >= 0)
        return float(np.median((second - first)[both])) / made.ecg.sampling_rate * 1000

    onsets = b.qrs_onset[b.qrs_onset >= 0]
    return {
        "rr interval": float(np.median(np.diff(onsets))) / made.ecg.sampling_rate * 1000,
        "p duration": between(b.p_onset, b.p_offset),
        "pr interval": between(b.p_onset, b.qrs_onset),
        "qrs duration": between(b.qrs_onset, b.qrs_offset),
        "qt interval": between(b.qrs_onset, b.t_offset),
    }


@pytest.mark.parametrize("rate", [100, 500])
@pytest.mark.parametrize("code", SINUS)
def test_intervals_are_those_of_the_heart(code: str, rate: int) -> None:
    found = delineate(heart(code, rate).ecg)
    for feature, value in truth(heart(code, rate)).items():
        assert abs(found.values[feature] - value) <= NEAR[feature], feature


@pytest.mark.parametrize("rate", [100, 500])
def test_what_differs_between_hearts_is_seen(rate: int) -> None:
    values = {code: delineate(heart(code, rate).ecg).values for code in SINUS}
    usual = values[""]
    assert values["1AVB"]["pr interval"] > 200 > usual["pr interval"]
    assert values["CLBBB"]["qrs duration"] > 120 > usual["qrs duration"]
    assert values["CRBBB"]["qrs duration"] > 120
    assert values["STACH"]["heart rate"] > 100 > usual["heart rate"] > 60
    assert values["SBRAD"]["heart rate"] < 60


def test_correction_for_rate() -> None:
    values = delineate(heart("SBRAD", 100).ecg).values
    rr = values["rr interval"] / 1000
    assert values["qt corrected"] == pytest.approx(values["qt interval"] / rr**0.5, abs=0.2)
    fridericia = values["qt corrected fridericia"]
    assert fridericia == pytest.approx(values["qt interval"] / rr ** (1 / 3), abs=0.2)


@pytest.mark.parametrize("seed", range(6))
def test_no_p_wave_is_guessed_in_atrial_fibrillation(seed: int) -> None:
    found = delineate(heart("AFIB", 100, seed).ecg)
    assert "no-p-wave" in found.flags
    assert not {"p duration", "pr interval"} & set(found.values)
    assert "P" not in found.waves
    assert found.values["qrs duration"] > 0


def test_ectopic_beats_stay_out_of_the_measured_beat() -> None:
    made = heart("PVC", 500)
    found = delineate(made.ecg)
    assert {"ectopic-beats", "irregular"} <= set(found.flags)
    assert 0 < found.beats == found.representative.sum() < len(found.r_peaks)
    assert found.values["qrs duration"] < 130


def test_every_beat_is_found_where_it_is() -> None:
    made = heart("", 500)
    r_peaks = delineate(made.ecg).r_peaks
    marked = made.boundaries.qrs_peak / 500
    inside = marked[(marked > 0.3) & (marked < 9.7)]
    assert all(np.abs(r_peaks - place).min() < 0.03 for place in inside)
    assert all(np.abs(marked - peak).min() < 0.03 for peak in r_peaks)


def test_flat_and_missing_leads_are_said_and_the_others_measured() -> None:
    made = heart("", 100)
    signal_LT = made.ecg.signal_LT.copy()
    signal_LT[[2, 7]] = np.nan
    signal_LT[9] = 0.3
    found = delineate(Ecg(signal_LT, 100.0))
    assert "missing-leads" in found.flags
    for feature, value in truth(made).items():
        assert abs(found.values[feature] - value) <= NEAR[feature], feature


def test_ends_and_gaps_that_were_not_recorded() -> None:
    made = heart("", 100)
    signal_LT = made.ecg.signal_LT.copy()
    signal_LT[:, :150] = np.nan
    signal_LT[:, 850:] = np.nan
    signal_LT[3, 400:430] = np.nan
    found = delineate(Ecg(signal_LT, 100.0))
    whole = delineate(made.ecg)
    assert found.r_peaks.min() >= 1.5
    assert abs(whole.r_peaks[:, None] - found.r_peaks).min(axis=0).max() < 0.02
    assert abs(found.values["qt interval"] - whole.values["qt interval"]) < 10


def usual_signal() -> np.ndarray:
    return heart("", 100).ecg.signal_LT


def one_lead() -> np.ndarray:
    signal_LT = np.full_like(usual_signal(), np.nan)
    signal_LT[1] = usual_signal()[1]
    return signal_LT


def drowned() -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 0.12, usual_signal().shape)
    return usual_signal() + noise.astype(np.float32)


@pytest.mark.parametrize(
    ("signal_LT", "flag", "features"),
    [
        (np.full((12, 1000), np.nan), "no-leads", set()),
        (np.zeros((12, 1000)), "no-leads", set()),
        (np.full((12, 1000), 1.7), "no-leads", set()),
        (np.ones((12, 1)), "short", set()),
        (usual_signal()[:, :150], "short", set()),
        (np.sin(np.arange(1000) / 5) + np.zeros((12, 1)), "no-beats", set()),
        (np.random.default_rng(0).normal(0, 0.5, (12, 1000)), "few-beats", set()),
        (one_lead(), "few-leads", {"rr interval", "heart rate"}),
        (drowned(), "noise", {"rr interval", "heart rate"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_ecgs_give_flags(signal_LT: np.ndarray, flag: str, features: set[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = delineate(Ecg(signal_LT.astype(np.float32), 100.0))
    assert flag in found.flags
    assert set(found.values) == features


@pytest.mark.parametrize("rate", [100, 250, 360, 500, 1000])
def test_any_rate_without_warnings(rate: int) -> None:
    made = generate_ecg(4, {}, sampling_rate=rate)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = delineate(made.ecg)
    assert set(found.values) == set(FEATURES)
    assert set(found.flags) <= set(FLAGS)
    for feature, value in truth(made).items():
        assert abs(found.values[feature] - value) <= NEAR[feature], feature


def test_the_same_ecg_gives_the_same() -> None:
    first, second = delineate(heart("", 100).ecg), delineate(heart("", 100).ecg)
    assert first.values == second.values
    assert first.flags == second.flags
