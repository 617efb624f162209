"""Patients: determinism, the leads' identities, labels that agree, prevalence, serial ECGs."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truelead.signal.generator import GeneratedEcg, ecg_count, generate_ecg, generate_patient
from truelead.signal.generator.statements import STATEMENTS
from truelead.types import LEADS

BOUNDARY_NAMES = (
    "p_onset",
    "p_peak",
    "p_offset",
    "qrs_onset",
    "qrs_peak",
    "qrs_offset",
    "t_onset",
    "t_peak",
    "t_offset",
)


@pytest.fixture(scope="module")
def population() -> list[GeneratedEcg]:
    """Two ECGs each of 200 patients, short for speed."""
    return [ecg for index in range(200) for ecg in generate_patient(11, index, ecgs=2, seconds=3.0)]


@given(
    seed=st.integers(0, 2**32), index=st.integers(0, 10**6), rate=st.sampled_from((100, 250, 500))
)
@settings(max_examples=10, deadline=None)
def test_limb_leads_obey_einthoven_and_goldberger(seed: int, index: int, rate: int) -> None:
    (generated,) = generate_patient(seed, index, ecgs=1, sampling_rate=rate, seconds=4.0)
    for ecg, tolerance in ((generated.clean, 1e-6), (generated.ecg, 2e-6)):
        one, two, three, avr, avl, avf = ecg.signal_LT[:6].astype(np.float64)
        np.testing.assert_allclose(two, one + three, atol=tolerance)
        np.testing.assert_allclose(avr, -(one + two) / 2, atol=tolerance)
        np.testing.assert_allclose(avl, one - two / 2, atol=tolerance)
        np.testing.assert_allclose(avf, two - one / 2, atol=tolerance)
    assert generated.ecg.signal_LT.shape == (12, 4 * rate)
    assert np.abs(generated.ecg.signal_LT).max() < 8


def test_the_same_arguments_give_the_same_bits_in_any_order() -> None:
    first = [generate_patient(5, index) for index in (0, 1, 2)]
    second = [generate_patient(5, index) for index in (2, 1, 0)][::-1]
    for left, right in zip(first, second, strict=True):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a.ecg.signal_LT, b.ecg.signal_LT)
            assert a.record == b.record
            for name in BOUNDARY_NAMES:
                np.testing.assert_array_equal(
                    getattr(a.boundaries, name), getattr(b.boundaries, name)
                )


def test_seeds_and_indices_give_other_hearts() -> None:
    signals = [
        generate_patient(seed, index, ecgs=1)[0].ecg.signal_LT
        for seed, index in ((0, 1), (1, 0), (0, 0), (1, 1))
    ]
    for i, left in enumerate(signals):
        for right in signals[:i]:
            assert np.abs(left - right).max() > 0.05


def test_one_more_ecg_does_not_change_who_the_patient_is() -> None:
    (alone,) = generate_patient(5, 9, ecgs=1)
    first, second = generate_patient(5, 9, ecgs=2)
    assert alone.record.sex == first.record.sex == second.record.sex
    assert alone.record.age == first.record.age
    assert first.record.recorded_at < second.record.recorded_at
    assert (first.record.age or 0) <= (second.record.age or 0)


def test_another_rate_is_the_same_heart_without_aliasing() -> None:
    from scipy.signal import resample_poly

    (low,) = generate_patient(5, 3, ecgs=1, sampling_rate=100)
    (high,) = generate_patient(5, 3, ecgs=1, sampling_rate=500)
    assert low.record == high.record
    filtered = resample_poly(high.clean.signal_LT.astype(float), 1, 5, axis=1)
    difference = np.abs(filtered - low.clean.signal_LT)[:, 20:-20]
    assert difference.max() < 1e-4
    # What lies above the Nyquist frequency of 50 Hz is nearly nothing to begin with.
    power_L = np.abs(np.fft.rfft(high.clean.signal_LT, axis=1)) ** 2
    hertz = np.fft.rfftfreq(high.clean.signal_LT.shape[1], 1 / 500)
    assert power_L[:, hertz > 50].sum() / power_L[:, hertz > 0.5].sum() < 0.02


def test_boundaries_are_ordered_and_inside(population: list[GeneratedEcg]) -> None:
    for generated in population:
        bounds = generated.boundaries
        total = generated.ecg.signal_LT.shape[1]
        rows = np.stack([getattr(bounds, name) for name in BOUNDARY_NAMES], axis=1)
        assert rows.dtype == np.int64
        assert ((rows >= -1) & (rows < total)).all()
        for row in rows:
            present = row[row >= 0]
            assert (np.diff(present) >= 0).all(), row
        onsets = bounds.qrs_onset[bounds.qrs_onset >= 0]
        assert (np.diff(onsets) > 20).all()


def test_the_qrs_boundaries_hold_the_qrs() -> None:
    generated = generate_ecg(1, {}, sampling_rate=500)
    bounds = generated.boundaries
    slope_T = np.abs(np.diff(generated.clean.signal_LT, axis=1)).sum(axis=0)
    inside = np.zeros(len(slope_T), dtype=bool)
    for onset, offset in zip(bounds.qrs_onset, bounds.qrs_offset, strict=True):
        if onset >= 0 and offset >= 0:
            inside[onset:offset] = True
    steep = slope_T > 0.3 * slope_T.max()
    edge = np.zeros_like(steep)
    edge[100:-100] = True
    assert (inside[steep & edge]).mean() > 0.99


def test_prevalence_is_near_a_clinic_s(population: list[GeneratedEcg]) -> None:
    total = len(population)
    counts = Counter(code for ecg in population for code in ecg.record.scp_codes)
    severities = Counter(ecg.severity for ecg in population)
    assert 0.35 < counts["NORM"] / total < 0.58
    assert 0.65 < counts["SR"] / total < 0.9
    for code, low in (("ASMI", 0.05), ("IMI", 0.05), ("LVH", 0.05), ("AFIB", 0.03), ("PVC", 0.02)):
        assert low < counts[code] / total < 0.2, code
    for stratum in (0, 1, 2):
        assert severities[stratum] / total > 0.12
    assert len(counts) >= 25


def test_diseases_come_together(population: list[GeneratedEcg]) -> None:
    def has(ecg: GeneratedEcg, *codes: str) -> bool:
        return any(code in ecg.record.scp_codes for code in codes)

    infarcted = [ecg for ecg in population if has(ecg, "IMI", "ASMI", "AMI", "ILMI", "ALMI")]
    others = [ecg for ecg in population if not has(ecg, "IMI", "ASMI", "AMI", "ILMI", "ALMI")]
    comorbid = ("AFIB", "LAFB", "CRBBB", "LVH")
    assert np.mean([has(e, *comorbid) for e in infarcted]) > 1.5 * np.mean(
        [has(e, *comorbid) for e in others]
    )
    ages = [np.mean([e.record.age or 0 for e in group]) for group in (infarcted, others)]
    assert ages[0] > ages[1] + 3


def test_labels_agree_with_each_other(population: list[GeneratedEcg]) -> None:
    for ecg in population:
        record, codes = ecg.record, ecg.record.scp_codes
        assert codes
        assert set(codes) <= set(STATEMENTS)
        for code, percent in codes.items():
            if "d" in STATEMENTS[code].kinds:
                assert percent in (15.0, 35.0, 50.0, 80.0, 100.0)
            else:
                assert percent == 0.0
        classes = {STATEMENTS[code].diagnostic_class for code in codes} - {""}
        if "NORM" in codes:
            assert classes == {"NORM"}
            assert ecg.severity == 0
        infarcted = "MI" in classes
        assert bool(record.infarction_stadium[0]) == infarcted
        assert (ecg.severity == 2) == (infarcted or len(classes - {"NORM"}) >= 2)
        rhythms = {"SR", "AFIB", "AFLT", "SBRAD", "STACH", "SARRH"} & set(codes)
        assert rhythms
        assert not {"AFIB", "AFLT"} & rhythms or len(rhythms) == 1
        assert record.pacemaker == ""
        assert record.report == record.report.lower()
        assert record.report
    uncertain = [p for ecg in population for p in ecg.record.scp_codes.values() if 0 < p < 100]
    assert len(uncertain) > 20


def test_voltages_are_those_of_living_hearts(population: list[GeneratedEcg]) -> None:
    largest = [np.abs(ecg.clean.signal_LT).max() for ecg in population]
    assert max(largest) < 6
    assert np.median(largest) == pytest.approx(1.5, abs=0.5)
    assert min(largest) > 0.2


def test_serial_ecgs_share_the_anatomy_and_change_in_conditions(
    population: list[GeneratedEcg],
) -> None:
    def pattern(ecg: GeneratedEcg) -> np.ndarray:
        return np.ptp(ecg.clean.signal_LT, axis=1)

    healthy = [ecg for ecg in population if "NORM" in ecg.record.scp_codes]
    by_patient: dict[str, list[np.ndarray]] = {}
    for ecg in healthy:
        by_patient.setdefault(ecg.record.patient_id, []).append(pattern(ecg))
    pairs = [found for found in by_patient.values() if len(found) == 2]
    within = np.mean([np.abs(a - b).mean() for a, b in pairs])
    between = np.mean([np.abs(a[0] - b[0]).mean() for a, b in pairwise(pairs)])
    assert within < 0.5 * between

    def codes(ecg: GeneratedEcg) -> set[str]:
        return set(ecg.record.scp_codes) - {"SR", "NORM"}

    before, after = population[0::2], population[1::2]
    pairs_of_codes = list(zip(map(codes, before), map(codes, after), strict=True))
    assert sum(bool(b - a) for a, b in pairs_of_codes) > 12, "some appear"
    assert sum(bool(a - b) for a, b in pairs_of_codes) > 12, "some resolve"
    for first, second in zip(before, after, strict=True):
        assert first.record.recorded_at < second.record.recorded_at
        for chronic in ("CLBBB", "LAFB", "LVH", "ASMI"):
            assert (
                chronic not in codes(first) or chronic in codes(second) or "CLBBB" in codes(second)
            )


def test_the_number_of_ecgs_has_the_asked_mean() -> None:
    counts = [ecg_count(2, index, 1.5) for index in range(2000)]
    assert np.mean(counts) == pytest.approx(1.5, abs=0.06)
    assert min(counts) == 1
    assert {ecg_count(2, index, 1.0) for index in range(50)} == {1}


def test_leads_are_canonical() -> None:
    assert generate_patient(0, 0, ecgs=1)[0].ecg.signal_LT.shape[0] == len(LEADS)
