"""Intervals that cover, and that know patients and seeds."""

from __future__ import annotations

import numpy as np
import pytest

from truelead.evaluate.bootstrap import Clusters, interval, paired_difference, replicate_means


def _clinic(random: np.random.Generator, patients: int, each: int) -> tuple[np.ndarray, Clusters]:
    """Right answers whose chance varies from patient to patient around 0.7, and their owners."""
    chance = random.beta(3.5, 1.5, size=patients)
    correct = random.random((patients, each)) < chance[:, None]
    owners = np.repeat(np.arange(patients), each)
    return correct.ravel().astype(float), Clusters.of([(owner,) for owner in owners])


def test_95_percent_intervals_cover_in_95_percent() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for number in range(300):
        values, clusters = _clinic(random, 80, 6)
        found = interval(values, clusters, samples=400, seed=number)
        covered += found.low <= 0.7 <= found.high
    assert covered / 300 == pytest.approx(0.95, abs=0.04)


def test_intervals_with_seeds_cover_too() -> None:
    """Three seeds whose true means scatter as much as the patients make them."""
    random = np.random.default_rng(1)
    covered = 0
    for number in range(300):
        chance_C = random.beta(3.5, 1.5, size=80)
        shift_S = random.normal(0.0, 0.03, size=3)
        chance_SC = np.clip(chance_C + shift_S[:, None], 0, 1)
        values_SQ = random.random((3, 80, 6)) < chance_SC[..., None]
        owners = [(owner,) for owner in np.repeat(np.arange(80), 6)]
        found = interval(values_SQ.reshape(3, -1), Clusters.of(owners), samples=400, seed=number)
        covered += found.low <= 0.7 <= found.high
    assert 0.91 <= covered / 300 <= 0.995


def test_questions_of_one_patient_are_not_independent() -> None:
    random = np.random.default_rng(2)
    chance = random.beta(0.7, 0.3, size=60)
    values = (random.random((60, 20)) < chance[:, None]).ravel().astype(float)
    owners = np.repeat(np.arange(60), 20)
    clustered = interval(values, Clusters.of([(owner,) for owner in owners]))
    naive = interval(values, Clusters.of([(row,) for row in range(len(values))]))
    assert clustered.estimate == naive.estimate
    assert clustered.high - clustered.low > 2 * (naive.high - naive.low)


def test_replicates_match_drawing_patients_one_by_one() -> None:
    """The vectorised weights against the textbook loop, in mean and spread."""
    random = np.random.default_rng(3)
    values, clusters = _clinic(random, 30, 5)
    fast = replicate_means(values, clusters, samples=4000, seed=0)
    by_patient = values.reshape(30, 5)
    slow = [by_patient[random.integers(30, size=30)].mean() for _ in range(4000)]
    assert fast.mean() == pytest.approx(np.mean(slow), abs=0.004)
    assert fast.std() == pytest.approx(np.std(slow), rel=0.08)


def test_paired_difference_has_the_sign_of_the_first() -> None:
    random = np.random.default_rng(4)
    hard = random.random(600)
    clusters = Clusters.of([(row // 5,) for row in range(600)])
    better, worse = (hard < 0.8).astype(float), (hard < 0.7).astype(float)
    found = paired_difference(better, worse, clusters)
    assert found.low > 0
    assert found.estimate == pytest.approx(better.mean() - worse.mean())
    turned = paired_difference(worse, better, clusters)
    assert turned.high < 0
    alone = interval(better, clusters)
    assert found.high - found.low < alone.high - alone.low


def test_no_difference_is_no_difference() -> None:
    values, clusters = _clinic(np.random.default_rng(5), 40, 4)
    found = paired_difference(values, values, clusters)
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("first", "second"), [(3, 3), (3, 2), (3, 1)])
def test_unsteady_seeds_widen_the_interval(first: int, second: int) -> None:
    random = np.random.default_rng(6)
    chance = random.beta(3, 2, size=100)
    clusters = Clusters.of([(row // 5,) for row in range(500)])

    def run(shift: float) -> np.ndarray:
        return (random.random((100, 5)) < chance[:, None] + shift).ravel().astype(float)

    steady = paired_difference([run(0.1)] * first, [run(0.0)] * second, clusters)
    shifts = np.array([0.0, 0.1, 0.2])[:first]
    unsteady = paired_difference([run(shift) for shift in shifts], [run(0.0)] * second, clusters)
    assert unsteady.high - unsteady.low > 2 * (steady.high - steady.low)


def test_macro_is_the_mean_of_the_groups() -> None:
    values = np.array([1.0] * 90 + [0.0] * 10)
    groups = np.array(["verify"] * 90 + ["query"] * 10)
    clusters = Clusters.of([(row,) for row in range(100)])
    found = interval(values, clusters, groups_Q=groups)
    assert found.estimate == 0.5
    assert found.low <= 0.5 <= found.high


def test_questions_about_two_patients_count_in_both() -> None:
    """Pairs that share patients carry less information than as many separate pairs."""
    random = np.random.default_rng(7)
    effect = random.random(40)
    pairs = [(i, j) for i in range(40) for j in range(i + 1, 40)]
    values = [float(effect[i] + effect[j] > 1) for i, j in pairs]
    shared = interval(values, Clusters.of(pairs))
    separate = interval(values, Clusters.of([(row,) for row in range(len(pairs))]))
    assert shared.high - shared.low > 3 * (separate.high - separate.low)
    assert np.isfinite([shared.low, shared.high]).all()


def test_one_patient_gives_no_interval() -> None:
    found = interval([1.0, 0.0], Clusters.of([("a",), ("a",)]))
    assert found.estimate == 0.5
    assert np.isnan([found.low, found.high]).all()
    assert not found.above(-1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    values, clusters = _clinic(np.random.default_rng(8), 40, 4)
    assert interval(values, clusters, seed=1) == interval(values, clusters, seed=1)
