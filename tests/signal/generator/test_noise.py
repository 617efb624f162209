"""Noise stands where the annotation says and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from truelead.signal.generator import Disturbance, generate_ecg
from truelead.signal.generator.noise import KINDS, draw_disturbances
from truelead.types import LEADS

PLACES = {
    ("V6",): ("V6",),
    ("V1",): ("V1",),
    ("RA",): ("I", "II", "aVR", "aVL", "aVF"),
    ("LA",): ("I", "III", "aVR", "aVL", "aVF"),
    ("LL",): ("II", "III", "aVR", "aVL", "aVF"),
    ("RA", "LA", "LL"): LEADS[:6],
    ("V5", "V6"): ("V5", "V6"),
    ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6"): LEADS,
}


@pytest.mark.parametrize("electrodes", PLACES, ids="-".join)
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_named_leads_are_disturbed(kind: str, electrodes: tuple[str, ...]) -> None:
    if kind == "electrodes_problems" and not (len(electrodes) == 1 and electrodes[0][0] == "V"):
        pytest.skip("a lost contact is annotated for one chest electrode at a time")
    disturbance = Disturbance(kind, electrodes)
    generated = generate_ecg(4, {}, disturbances=(disturbance,), sampling_rate=500)
    quiet = generate_ecg(4, {}, sampling_rate=500)
    noise_L = (generated.ecg.signal_LT - generated.clean.signal_LT).std(axis=1)
    quiet_L = (quiet.ecg.signal_LT - quiet.clean.signal_LT).std(axis=1)
    expected_L = np.array([name in PLACES[electrodes] for name in LEADS])
    assert (noise_L[expected_L] > 2 * quiet_L[expected_L].max()).all()
    assert noise_L[~expected_L].max(initial=0) < 0.05
    np.testing.assert_array_equal(disturbance.lead_mask_L, expected_L)
    text = getattr(generated.record, kind)
    assert text.strip(" ,") == disturbance.annotation.strip(" ,") != ""


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("baseline_drift", 0.0, 1.0), ("static_noise", 10.0, 60.0)]
)
def test_noise_has_its_own_band(kind: str, low: float, high: float) -> None:
    generated = generate_ecg(4, {}, disturbances=(Disturbance(kind, ("V6",)),), sampling_rate=500)
    noise_T = (generated.ecg.signal_LT - generated.clean.signal_LT)[11]
    power = np.abs(np.fft.rfft(noise_T - noise_T.mean())) ** 2
    hertz = np.fft.rfftfreq(len(noise_T), 1 / 500)
    assert power[(hertz >= low) & (hertz <= high)].sum() > 0.75 * power.sum()


def test_bursts_are_short() -> None:
    generated = generate_ecg(
        4, {}, disturbances=(Disturbance("burst_noise", ("V6",)),), sampling_rate=500
    )
    noise_T = (generated.ecg.signal_LT - generated.clean.signal_LT)[11]
    loud = np.array([part.std() > 0.08 for part in np.array_split(noise_T, 20)])
    assert 1 <= loud.sum() <= 12


def test_all_four_kinds_occur_in_a_population() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_disturbances(random) for _ in range(3000)]
    for kind, prevalence in zip(KINDS, (0.10, 0.13, 0.05, 0.012), strict=True):
        share = np.mean([any(d.kind == kind for d in found) for found in drawn])
        assert share == pytest.approx(prevalence, abs=0.02), kind
    clean = np.mean([not found for found in drawn])
    assert 0.65 < clean < 0.8
