"""ECG-QA's set-up over sets that do not label what PTB-XL's annotators noted."""

from __future__ import annotations

import pytest

from truelead.config import QuestionsConfig
from truelead.debias.setup.ecg_qa import EcgQaSetup
from truelead.debias.severity import SEVERITIES
from truelead.errors import QuestionError
from truelead.types import Record


def setup_of(source: str) -> EcgQaSetup:
    """24 train and 12 valid ECGs; every second one is in atrial fibrillation."""
    records = [
        Record(
            record_id=str(number),
            patient_id=str(number),
            source=source,
            path=str(number),
            scp_codes={"AFIB": 100.0} if number % 2 else {"LVH": 100.0},
            split="train" if number < 24 else "valid",
        )
        for number in range(36)
    ]
    return EcgQaSetup(
        records,
        QuestionsConfig(setup="ecg-qa", minimum_positives=2),
        SEVERITIES["label-count"],
        ecg_qa=None,
        test_split="valid",
        questions_per_ecg=2,
    )


def test_only_named_statements_are_asked_of_a_partly_labelled_set() -> None:
    setup = setup_of("code15")
    cells = {cell.question_id for group in setup.groups("train") for cell in setup.cells(group)}
    asked = {tuple(question_id.split(":")[1:]) for question_id in cells}
    assert asked == {("AFIB",), ("LVH",)}
    whole = setup_of("ptbxl")
    assert cells < {c.question_id for g in whole.groups("train") for c in whole.cells(g)}


def test_a_set_without_labels_needs_official_rows() -> None:
    with pytest.raises(QuestionError, match="expected train ECGs that labels or official rows"):
        setup_of("mimic_iv_ecg")
