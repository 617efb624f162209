"""Changes do to the signal what their names say, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from truelead.evaluate.changes import CHANGES, changed
from truelead.evaluate.predictions import Trial
from truelead.types import Question

RATE = 100.0


def beats(hertz: float = 1.25, samples: int = 1000) -> NDArray[np.float32]:
    """Twelve leads that obey Einthoven and Goldberger, with a sharp peak `hertz` times a second."""
    phase_T = (np.arange(samples) / RATE * hertz) % 1.0
    peak_T = np.exp(-(((phase_T - 0.5) / 0.03) ** 2))
    one_T, two_T = 0.6 * peak_T, 1.0 * peak_T
    limb = [one_T, two_T, two_T - one_T, -(one_T + two_T) / 2, one_T - two_T / 2, two_T - one_T / 2]
    chest = [(0.3 + 0.2 * number) * peak_T for number in range(6)]
    return np.stack([*limb, *chest]).astype(np.float32)


def peaks(signal_LT: NDArray[np.float32]) -> int:
    lead_T = np.nan_to_num(signal_LT[1])
    high_T = lead_T > 0.5 * lead_T.max()
    return int((high_T[1:] & ~high_T[:-1]).sum())


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_change_keeps_the_form_and_repeats(name: str) -> None:
    signal_LT = beats()
    signal_LT[7] = np.nan
    before_LT = signal_LT.copy()
    found_LT = changed(signal_LT, RATE, name, "record")
    assert found_LT.shape == signal_LT.shape
    assert found_LT.dtype == np.float32
    assert np.isnan(found_LT[7]).all()
    assert np.isfinite(np.delete(found_LT, 7, axis=0)[:, :900]).all()
    assert np.array_equal(found_LT, changed(signal_LT, RATE, name, "record"), equal_nan=True)
    assert np.array_equal(signal_LT, before_LT, equal_nan=True)
    assert not np.array_equal(found_LT, signal_LT, equal_nan=True)


def test_no_change_is_the_signal_itself() -> None:
    signal_LT = beats()
    assert changed(signal_LT, RATE, "", "record") is signal_LT


def test_noise_has_the_ecg_s_own_mean_and_deviation_and_nothing_of_its_beats() -> None:
    signal_LT = beats(samples=5000) + np.float32(0.2)
    noise_LT = changed(signal_LT, RATE, "gaussian-noise", "a")
    assert noise_LT.mean(1) == pytest.approx(signal_LT.mean(1), abs=0.05)
    assert noise_LT.std(1) == pytest.approx(signal_LT.std(1), rel=0.1)
    for own_T, noise_T in zip(signal_LT, noise_LT, strict=True):
        assert abs(np.corrcoef(own_T, noise_T)[0, 1]) < 0.1
    assert not np.array_equal(noise_LT, changed(signal_LT, RATE, "gaussian-noise", "b"))


def test_flat_and_gains() -> None:
    signal_LT = beats()
    assert not changed(signal_LT, RATE, "flat", "a").any()
    for name, factor in (
        ("gain-plus-20", 1.2), ("gain-minus-20", 0.8),
        ("voltage-doubled", 2.0), ("voltage-halved", 0.5),
    ):  # fmt: skip
        assert changed(signal_LT, RATE, name, "a") == pytest.approx(factor * signal_LT, rel=1e-6)


def test_the_wander_is_small_slow_and_that_of_a_body() -> None:
    signal_LT = beats()
    wander_LT = changed(signal_LT, RATE, "baseline-wander", "a") - signal_LT
    assert np.abs(wander_LT[[0, 1, *range(6, 12)]]).max() <= 0.1
    assert np.abs(wander_LT).max() > 0.03
    spectrum = np.abs(np.fft.rfft(wander_LT[1]))
    assert np.fft.rfftfreq(1000, 1 / RATE)[spectrum.argmax()] == pytest.approx(0.3)
    assert wander_LT[2] == pytest.approx(wander_LT[1] - wander_LT[0], abs=1e-6)
    assert wander_LT[3:6].sum(0) == pytest.approx(0.0, abs=1e-6)


def test_a_shift_loses_half_a_second_and_changes_no_sample() -> None:
    signal_LT = beats()
    shifted_LT = changed(signal_LT, RATE, "time-shift", "a")
    assert np.array_equal(shifted_LT[:, :-50], signal_LT[:, 50:])
    assert np.isnan(shifted_LT[:, -50:]).all()


def test_the_heart_beats_faster_or_slower() -> None:
    signal_LT = beats(hertz=1.2)
    assert peaks(signal_LT) == 12
    assert peaks(changed(signal_LT, RATE, "faster", "a")) == pytest.approx(18, abs=1)
    assert peaks(changed(signal_LT, RATE, "slower", "a")) == pytest.approx(8, abs=1)


def test_limb_leads_are_turned_over_and_chest_leads_left() -> None:
    signal_LT = beats()
    turned_LT = changed(signal_LT, RATE, "limb-leads-inverted", "a")
    assert np.array_equal(turned_LT[:6], -signal_LT[:6])
    assert np.array_equal(turned_LT[6:], signal_LT[6:])


def test_a_trial_names_its_change() -> None:
    question = Question("?", ("no",), (), ("1",), "single-verify", 1, "1:X", "w")
    assert Trial.of_changed(question, "none").shown == ()
    assert Trial.of_changed(question, "flat").shown == ("1",)
    assert Trial.of_changed(question, "flat") != Trial.of(question)
    with pytest.raises(AssertionError, match="tilt"):
        Trial(question, ("1",), "tilt")
    with pytest.raises(AssertionError, match="as many ECGs"):
        Trial(question, ("1",), "none")
