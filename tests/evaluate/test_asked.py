"""What the judge asks: never of a patient of the training, and cut without losing balance."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from truelead.errors import DataError
from truelead.evaluate.asked import at_most, refuse_known_patients


def test_patients_of_the_training_are_refused(clinic: Any) -> None:
    sets = clinic.context.test_sets
    refuse_known_patients(sets, clinic.records)
    mixed = {"balanced/test-wordings": (*sets["balanced/test-wordings"], clinic.train[0])}
    with pytest.raises(DataError, match="expected no patient of the train split, found 1"):
        refuse_known_patients(mixed, clinic.records)


def test_another_ecg_of_a_trained_patient_is_refused(clinic: Any) -> None:
    """The ECG is not in the training, the patient is."""
    name = next(n for n, record in clinic.records.items() if record.split == "train")
    serial = replace(clinic.records[name], record_id="serial", split="valid")
    question = replace(clinic.train[0], ecg_ids=("serial",), split="valid")
    with pytest.raises(DataError, match="train split"):
        refuse_known_patients({"x": (question,)}, {**clinic.records, "serial": serial})


def test_ecgs_that_are_not_stored_are_named_by_their_number_only(clinic: Any) -> None:
    question = replace(clinic.train[0], ecg_ids=("secret-name",))
    with pytest.raises(DataError, match="found 1 that are not") as caught:
        refuse_known_patients({"x": (question,)}, clinic.records)
    assert "secret-name" not in str(caught.value)


def test_a_cut_test_stays_balanced_and_wordings_stay_paired(clinic: Any) -> None:
    sets = at_most(clinic.context.test_sets, 40, seed=0)
    counts = Counter((q.question_id, q.answers) for q in sets["balanced/test-wordings"])
    for code in {question_id for question_id, _ in counts}:
        assert counts[code, ("yes",)] == counts[code, ("no",)]
    assert sum(counts.values()) == pytest.approx(40, abs=12)
    asked = [
        [(q.question_id, q.ecg_ids) for q in sets[f"balanced/{words}-wordings"]]
        for words in ("train", "test")
    ]
    assert asked[0] == asked[1]


def test_small_sets_are_left_whole(clinic: Any) -> None:
    assert at_most(clinic.context.test_sets, None, seed=0) == clinic.context.test_sets
    assert at_most(clinic.context.test_sets, 10**6, seed=0) == clinic.context.test_sets
