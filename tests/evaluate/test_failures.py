"""The worst failures: the surest of the wrong answers, each of another question and patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelead.evaluate.failures import draw_failure, worst_failures
from truelead.evaluate.predictions import Prediction, PredictionRow, PredictionWriter, Trial
from truelead.types import Ecg, Question


def row(
    arm: str, seed: int, ecg: str, code: str, yes: float, true: str = "yes", suite: str = "observed"
) -> PredictionRow:
    question = Question(
        text=f"Is there {code}?", answers=(true,), options=("yes", "no"), ecg_ids=(ecg,),
        question_type="single-verify", template_id=1, question_id=f"1:{code}", wording_id="w",
        severity=1,
    )  # fmt: skip
    given = "yes" if yes > 0.5 else "no"
    prediction = Prediction((given,), {"yes": yes, "no": 1.0 - yes})
    return PredictionRow(suite, "set/words", arm, seed, Trial.of(question), prediction,
                         given == true)  # fmt: skip


PATIENTS = {"a1": "anna", "a2": "anna", "b1": "bert", "c1": "carl"}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(rows: Sequence[PredictionRow]) -> Path:
        path = tmp_path / "predictions.parquet"
        with PredictionWriter(path) as writer:
            writer.write(rows)
        return path

    return written


def test_the_surest_wrong_answer_comes_first(write: Any) -> None:
    path = write([row("m", 0, "a1", "IMI", 0.3), row("m", 0, "b1", "LVH", 0.01),
                  row("m", 0, "c1", "PVC", 0.9)])  # fmt: skip
    found = worst_failures(path, ("m",), PATIENTS)
    assert [one.question_id for one in found] == ["1:LVH", "1:IMI"]
    assert found[0].opinions["m"].true_probability == pytest.approx(0.01, abs=1e-6)
    assert found[0].opinions["m"].answer == "no"
    assert found[0].true_answer == "yes"


def test_no_patient_and_no_question_twice(write: Any) -> None:
    path = write(
        [
            row("m", 0, "a1", "IMI", 0.01),
            row("m", 0, "a2", "LVH", 0.02),
            row("m", 0, "b1", "IMI", 0.03),
            row("m", 0, "c1", "PVC", 0.04),
        ]
    )
    found = worst_failures(path, ("m",), PATIENTS)
    assert [one.ecg_ids for one in found] == [("a1",), ("c1",)]


def test_runs_are_taken_together_and_the_arms_take_turns(write: Any) -> None:
    rows = [row("m", seed, "a1", "IMI", 0.001 if seed == 0 else 0.9) for seed in range(3)]
    rows += [row("m", seed, "b1", "LVH", 0.2) for seed in range(3)]
    rows += [row("other", 0, "b1", "LVH", 0.05), row("other", 0, "c1", "PVC", 0.1)]
    found = worst_failures(write(rows), ("m", "other"), PATIENTS)
    # One wrong run of three is no failure of the arm.
    assert [(one.arm, one.ecg_ids) for one in found] == [("m", ("b1",)), ("other", ("c1",))]
    assert found[0].opinions["m"].runs == 3
    assert found[0].opinions["other"].true_probability == pytest.approx(0.05, abs=1e-6)


def test_wrong_ecgs_and_unknown_probabilities_are_no_failures(write: Any) -> None:
    swapped = row("m", 0, "a1", "IMI", 0.01, suite="random-ecg")
    bare = row("m", 0, "b1", "LVH", 0.01)
    bare = PredictionRow(bare.suite, bare.cell, "m", 0, bare.trial, Prediction(("no",)), False)
    assert worst_failures(write([swapped, bare]), ("m",), PATIENTS) == ()


def test_the_drawing_names_the_record_and_nobody() -> None:
    signal = np.sin(np.linspace(0, 60, 1000, dtype=np.float32)) * np.ones((12, 1), np.float32)
    ecg = Ecg(signal.astype(np.float32), 100.0, record_id="17", patient_id="secret-name")
    svg = draw_failure([ecg])
    assert "Record 17" in svg
    assert "secret-name" not in svg
