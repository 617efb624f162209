"""The planted truth against simulation, and where adjustment must change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from truelead.debias.planted import (
    PlantedEcgs,
    PlantedModel,
    condition_posterior,
    interventional,
    interventional_error,
    observational,
    planted_model,
    severity_posterior,
)
from truelead.errors import ConfigError, QuestionError

ECGS = 400_000
SMALL: dict[str, Any] = {"conditions": 3, "strata": 3, "severity_readable": 0.2}


def every_ecg(model: PlantedModel) -> PlantedEcgs:
    """Each pattern of traces with each marker, once; what is behind them does not matter."""
    patterns = np.array(
        [
            [*map(int, f"{number:0{model.conditions}b}"), marker]
            for number in range(2**model.conditions)
            for marker in range(model.strata)
        ]
    )
    trace_NC = patterns[:, :-1].astype(bool)
    nothing = np.zeros(len(patterns), dtype=np.int64)
    return PlantedEcgs(nothing, np.zeros_like(trace_NC), trace_NC, patterns[:, -1])


def pattern_of(ecgs: PlantedEcgs, model: PlantedModel) -> NDArray[np.int64]:
    """The row of `every_ecg` that each ECG looks like."""
    bits = 2 ** np.arange(model.conditions)[::-1]
    rows: NDArray[np.int64] = (ecgs.trace_NC @ bits) * model.strata + ecgs.marker_N
    return rows


def answered(
    model: PlantedModel,
    ecgs: PlantedEcgs,
    question_N: NDArray[np.int64],
    weight_N: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted share of "yes" by (pattern, question), and how many ECGs it is worth."""
    weight_N = np.ones(len(question_N)) if weight_N is None else weight_N
    yes_N = ecgs.condition_NC[np.arange(len(question_N)), question_N]
    shape = (2**model.conditions * model.strata, model.conditions)
    where = (pattern_of(ecgs, model), question_N)
    sums = np.zeros((3, *shape))
    for total, value in zip(sums, (weight_N, weight_N * yes_N, weight_N**2), strict=True):
        np.add.at(total, where, value)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[1] / sums[0], sums[0] ** 2 / sums[2]


def assert_close(
    found: NDArray[np.float64], worth: NDArray[np.float64], truth: NDArray[np.float64]
) -> None:
    """Within five standard errors wherever there are enough ECGs, which is nearly everywhere."""
    enough = worth > 200
    assert enough.mean() > 0.6
    error = np.sqrt(truth * (1 - truth) / np.maximum(worth, 1)) + 1e-9
    assert (np.abs(found - truth)[enough] < 5 * error[enough] + 1 / worth[enough]).all()


@pytest.fixture(scope="module")
def model() -> PlantedModel:
    return planted_model(**SMALL)


@pytest.fixture(scope="module")
def ecgs(model: PlantedModel) -> PlantedEcgs:
    return model.draw(ECGS, np.random.default_rng(0))


def test_observed_questions_give_the_observational_truth(
    model: PlantedModel, ecgs: PlantedEcgs
) -> None:
    asked = model.ask(ecgs.severity_N, np.random.default_rng(1))
    assert_close(*answered(model, ecgs, asked), observational(model, every_ecg(model)))


def test_blind_questions_give_the_interventional_truth(
    model: PlantedModel, ecgs: PlantedEcgs
) -> None:
    asked = np.random.default_rng(2).integers(model.conditions, size=ECGS)
    assert_close(*answered(model, ecgs, asked), interventional(model, every_ecg(model)))


def test_inverse_probability_weights_turn_one_into_the_other(
    model: PlantedModel, ecgs: PlantedEcgs
) -> None:
    asked = model.ask(ecgs.severity_N, np.random.default_rng(3))
    weight_N = 1.0 / model.question_AC[ecgs.severity_N, asked]
    found, worth = answered(model, ecgs, asked, weight_N)
    truth = interventional(model, every_ecg(model))
    assert_close(found, worth, truth)
    # The same answers without the weights are somewhere else.
    plain, _ = answered(model, ecgs, asked)
    share_N = np.bincount(pattern_of(ecgs, model), minlength=len(truth)) / ECGS
    assert np.nansum(share_N[:, None] * np.abs(plain - truth)) > 4 * np.nansum(
        share_N[:, None] * np.abs(found - truth)
    )


@pytest.mark.parametrize(
    "dials",
    [
        {"confounding": 0.0},
        {"severity_readable": 1.0},
        {"noise": 0.0, "false_trace": 0.0},
    ],
    ids=["no confounding", "the ECG tells the severity", "the ECG tells every condition"],
)
def test_where_there_is_nothing_to_adjust(dials: dict[str, float]) -> None:
    model = planted_model(**{**SMALL, "positivity": 0.2, **dials})
    ecgs = model.draw(2000, np.random.default_rng(0))
    truth = interventional(model, ecgs)
    np.testing.assert_allclose(observational(model, ecgs), truth, atol=1e-9)
    if "noise" in dials:
        np.testing.assert_allclose(truth, ecgs.condition_NC, atol=1e-9)


def test_confounding_grows_with_its_dial() -> None:
    models = [planted_model(confounding=dial) for dial in (0.0, 0.3, 0.6, 1.0)]
    bits = [model.question_severity_bits() for model in models]
    assert bits[0] == pytest.approx(0, abs=1e-12)
    assert bits == sorted(bits)
    assert bits[-1] > 0.2
    errors = []
    for model in models:
        ecgs = model.draw(5000, np.random.default_rng(0))
        errors.append(
            interventional_error(interventional(model, ecgs), observational(model, ecgs)).divergence
        )
    assert errors[0] == pytest.approx(0, abs=1e-9)
    assert errors == sorted(errors)


def test_positivity_is_the_share_that_stays_asked() -> None:
    assert (planted_model(positivity=0.1).question_AC > 0).all()
    violated = planted_model(positivity=0.0, severity_readable=1.0)
    assert (violated.question_AC == 0).any()
    ecgs = violated.draw(500, np.random.default_rng(0))
    never_NC = violated.question_AC[ecgs.severity_N] == 0
    assert (np.isnan(observational(violated, ecgs)) == never_NC).all()
    assert np.isfinite(interventional(violated, ecgs)).all()


def test_posteriors_are_distributions(model: PlantedModel, ecgs: PlantedEcgs) -> None:
    severity_NA = severity_posterior(model, every_ecg(model))
    np.testing.assert_allclose(severity_NA.sum(axis=1), 1)
    condition_NAC = condition_posterior(model, every_ecg(model))
    assert ((condition_NAC >= 0) & (condition_NAC <= 1)).all()
    share_A = np.bincount(ecgs.severity_N, minlength=model.strata) / ECGS
    rows = severity_posterior(model, ecgs)
    np.testing.assert_allclose(rows.mean(axis=0), share_A, atol=5e-3)


def test_error_of_known_answers() -> None:
    truth = np.array([[0.5, 1.0]])
    assert interventional_error(truth, truth).divergence == pytest.approx(0, abs=1e-9)
    found = interventional_error(truth, np.array([[0.25, 0.5]]))
    expected = 0.5 * (0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75) + np.log(2))
    assert found.divergence == pytest.approx(expected, rel=1e-4)
    assert found.difference == pytest.approx((0.25 + 0.5) / 2)
    with pytest.raises(QuestionError, match="as many"):
        interventional_error(truth, np.zeros((2, 2)))
    with pytest.raises(QuestionError, match="probabilities"):
        interventional_error(truth, np.array([[0.5, 1.5]]))


@pytest.mark.parametrize("dial", ["confounding", "positivity", "noise", "severity_readable"])
def test_dials_outside_their_range(dial: str) -> None:
    with pytest.raises(ConfigError, match=dial):
        planted_model(**{dial: 1.2})
    with pytest.raises(ConfigError, match="strata"):
        planted_model(strata=1)
