"""The threshold's false-alarm rate, and the record beside the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelead.errors import ModelError
from truelead.model.build import save_model
from truelead.model.processing import TrueLeadProcessor
from truelead.model.reference_ecgs import ReferenceEcgs, model_digest
from truelead.model.reliance import AnswerReliance
from truelead.model.reliance_threshold import (
    RELIANCE_FILE,
    RelianceThreshold,
    conformal_threshold,
    strictest_threshold,
)

Built = tuple[Any, TrueLeadProcessor]


@pytest.mark.parametrize(("count", "rate"), [(19, 0.05), (40, 0.05), (99, 0.1), (30, 0.2)])
def test_the_rate_of_false_alarms_is_that_of_exchangeable_ranks(count: int, rate: float) -> None:
    """Over many calibrations the rate is floor(rate (n + 1)) / (n + 1) exactly, never above."""
    random = np.random.default_rng(5)
    draws = random.standard_cauchy((4000, count + 1))
    alarms = [row[-1] < conformal_threshold(row[:-1].tolist(), rate) for row in draws]  # type: ignore[operator]
    expected = np.floor(rate * (count + 1)) / (count + 1)
    assert expected <= rate
    error = np.sqrt(expected * (1 - expected) / len(draws))
    assert abs(np.mean(alarms) - expected) < 4 * error


def test_too_few_answers_give_no_threshold() -> None:
    assert conformal_threshold([0.0] * 18) is None
    assert conformal_threshold([float(value) for value in range(19)]) == 0.0
    assert conformal_threshold([]) is None


def test_one_threshold_keeps_the_rate_on_every_set() -> None:
    first, second = list(np.linspace(0, 1, 99)), list(np.linspace(-1, 1, 99))
    together = strictest_threshold({"first": first, "second": second})
    assert together == conformal_threshold(second)
    for values in (first, second):
        assert np.mean(np.array(values) < together) <= 0.05
    assert strictest_threshold({"first": first, "second": [0.0]}) is None
    assert strictest_threshold({}) is None


def threshold(**changes: Any) -> RelianceThreshold:
    values: dict[str, Any] = {
        "closed": -0.5,
        "free": None,
        "false_alarm_rate": 0.05,
        "answers": 100,
        "patients": 10,
        "model": "",
        "references": "",
    }
    return RelianceThreshold(**(values | changes))


def test_what_is_flagged() -> None:
    flags = threshold().flags
    assert flags(AnswerReliance(-0.6, -1.0, -0.4, 0.0)) is True
    assert flags(AnswerReliance(-0.4, -1.0, -0.6, 0.0)) is False
    assert flags(AnswerReliance(2.0, -1.0, -3.0, -0.7)) is True, "another answer is likelier"
    assert flags(AnswerReliance(-9.0, -10.0, -1.0, None)) is None, "free answers: not calibrated"
    assert threshold(free=-1.0).flags(AnswerReliance(-9.0, -10.0, -1.0, None)) is True


@pytest.fixture
def folder(built: Built, tmp_path: Path) -> Path:
    return save_model(tmp_path / "model", *built)


@pytest.fixture
def references() -> ReferenceEcgs:
    return ReferenceEcgs(np.ones((2, 3, 4), np.float16), ("a", "b"))


def test_the_record_survives_the_disk(folder: Path, references: ReferenceEcgs) -> None:
    kept = threshold(model=model_digest(folder), references=references.digest)
    kept.save(folder)
    assert RelianceThreshold.load(folder, references) == kept


def test_another_models_record_is_refused(
    folder: Path, references: ReferenceEcgs, built: Built
) -> None:
    threshold(model=model_digest(folder), references=references.digest).save(folder)
    with pytest.raises(ModelError, match="references: expected digest"):
        RelianceThreshold.load(folder, ReferenceEcgs(np.zeros((2, 3, 4), np.float16), ("a", "b")))
    model, processor = built
    model.projector.output_norm.weight.data += 1
    save_model(folder, model, processor)
    with pytest.raises(ModelError, match="model: expected digest"):
        RelianceThreshold.load(folder, references)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format: expected 1, found 2"),
        ({"closed": "low"}, "closed: expected a finite value"),
        ({"answers": True}, "answers: expected a finite value"),
        ({"closed": float("nan")}, "closed: expected a finite value"),
        ({"more": 1}, "expected the fields"),
    ],
)
def test_damage_is_named(
    folder: Path, references: ReferenceEcgs, change: dict[str, Any], message: str
) -> None:
    path = threshold(model=model_digest(folder), references=references.digest).save(folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        RelianceThreshold.load(folder, references)
    path.write_text("{")
    with pytest.raises(ModelError, match="expected JSON"):
        RelianceThreshold.load(folder, references)
    path.unlink()
    with pytest.raises(ModelError, match=RELIANCE_FILE):
        RelianceThreshold.load(folder, references)
    with pytest.raises(ModelError, match="expected a model folder with weights"):
        model_digest(folder / "nowhere")
