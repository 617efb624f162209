"""A small made-up clinic: patients, ECGs, six statements, and test sets about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites import SuiteContext
from truelead.types import Question, Record

CODES = ("AFIB", "CLBBB", "IMI", "LVH", "PVC", "STACH")
WORDINGS = {
    "train": ("Is there {}?", "Does this ECG show {}?"),
    "test": ("Would you read {} here?",),
}


DESTROYED = ("gaussian-noise", "flat", "none")
"""Changes that leave nothing to read."""


def ask(code: str, record: Record, words: str, number: int = 0) -> Question:
    """The question whether a record has a code."""
    return Question(
        text=WORDINGS[words][number].format(code),
        answers=("yes" if code in record.scp_codes else "no",),
        options=("yes", "no"),
        ecg_ids=(record.record_id,),
        question_type="single-verify",
        template_id=1,
        question_id=f"1:{code}",
        wording_id=f"{words}{number}",
        severity=min(2, len(record.scp_codes)),
        split=record.split,
    )


@dataclass(frozen=True)
class Clinic:
    """Records, the context of the test, and the training questions."""

    records: dict[str, Record]
    context: SuiteContext
    train: tuple[Question, ...]


class Oracle:
    """Reads the labels of the ECGs that it is shown; finds nothing where none can be read."""

    def __init__(self, records: dict[str, Record]) -> None:
        self._records = records

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [
            Prediction(("no" if trial.change in DESTROYED else
                        self.answer(trial.question, trial.shown),))
            for trial in trials
        ]  # fmt: skip

    def answer(self, question: Question, shown: Sequence[str]) -> str:
        code = question.question_id.removeprefix("1:")
        return "yes" if code in self._records[shown[-1]].scp_codes else "no"


class Blind:
    """Answers by the question's id, and never looks at the ECG."""

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [
            Prediction(("yes" if trial.question.question_id < "1:IMI" else "no",))
            for trial in trials
        ]


def _clinic() -> Clinic:
    random = np.random.default_rng(3)
    records = {}
    for patient in range(120):
        codes = {code: 100.0 for code in CODES if random.random() < 0.35}
        for visit in range(1 + patient % 2):
            name = f"{patient}-{visit}"
            records[name] = Record(
                name, f"patient-{patient}", "made-up", "", scp_codes=codes,
                split="valid" if patient < 70 else "train",
            )  # fmt: skip
    test = [record for record in records.values() if record.split == "valid"]
    sets: dict[str, tuple[Question, ...]] = {}
    for words in ("train", "test"):
        balanced = []
        for code in CODES:
            yes = [record for record in test if code in record.scp_codes]
            no = [record for record in test if code not in record.scp_codes]
            for i in range(min(len(yes), len(no))):
                balanced += [ask(code, yes[i], words), ask(code, no[i], words)]
        sets[f"balanced/{words}-wordings"] = tuple(balanced)
        # The planted shortcut: A and C are asked where they are there, the others where not.
        sets[f"confounded/{words}-wordings"] = tuple(
            ask(code, record, words)
            for record in test
            for code in CODES
            if (code in record.scp_codes) == (code < "IMI")
        )
    train = tuple(
        ask(code, record, "train", number)
        for record in records.values()
        if record.split == "train"
        for number, code in enumerate(CODES * 2)
        if number < 2 and (code in record.scp_codes) == (code < "IMI")
    ) + tuple(
        ask(code, record, "train", 1)
        for record in records.values()
        if record.split == "train"
        for code in CODES
        if (code in record.scp_codes) == (code < "IMI")
    )
    oracle = Oracle(records)
    context = SuiteContext(
        sets,
        records,
        lambda question, shown: (oracle.answer(question, shown),),
        strata={name: min(2, len(record.scp_codes)) for name, record in records.items()},
    )
    return Clinic(records, context, train)


@pytest.fixture(scope="session")
def clinic() -> Clinic:
    return _clinic()


@pytest.fixture(scope="session")
def oracle(clinic: Clinic) -> Oracle:
    return Oracle(clinic.records)


@pytest.fixture(scope="session")
def blind() -> Blind:
    return Blind()
