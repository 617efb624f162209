"""The trained model's right answers by severity and wording, against asking one by one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from truelead.config import QuestionsConfig, parse_recipe
from truelead.debias.setup.ptbxl_severity import PtbxlSeveritySetup
from truelead.debias.severity import SEVERITIES
from truelead.model.answering import Answerer, Ask
from truelead.model.build import build_model, save_model
from truelead.train.training_diagnostics import (
    FILE,
    Share,
    TrainingDiagnostics,
    describe,
    measure,
    write_training_diagnostics,
)
from truelead.types import Ecg, Question, Record

CODES = ("IMI", "LVH", "CLBBB")


@dataclass
class Stored:
    """As much of a store as is read: noise for signals, the same for the same ECG."""

    sampling_rate: float = 100.0

    def signals(self, record_ids: list[str]) -> NDArray[np.float32]:
        return np.stack(
            [
                np.random.default_rng(int(name)).normal(0, 0.3, (12, 1000)).astype(np.float32)
                for name in record_ids
            ]
        )


def make_setup(development: bool = True) -> PtbxlSeveritySetup:
    rng = np.random.default_rng(0)
    records = []
    for index in range(90):
        codes = {code: 100.0 for code in CODES if rng.random() < 0.4} or {"NORM": 100.0}
        split = "development" if development and index % 3 == 0 else "train"
        records.append(Record(str(index), str(index), "hand", "", scp_codes=codes, split=split))
    return PtbxlSeveritySetup.build(
        records,
        QuestionsConfig(minimum_positives=5),
        SEVERITIES["ptbxl"],
        test_split="development",
        questions_per_ecg=4,
    )


@pytest.fixture(scope="module")
def setup() -> PtbxlSeveritySetup:
    return make_setup()


@pytest.fixture(scope="module")
def folder(setup: PtbxlSeveritySetup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was never trained: right by chance."""
    recipe = parse_recipe(
        {
            "name": "tiny",
            "encoder": {"options": {"width": 16}},
            "projector": {"options": {"tokens": 4}},
            "language_model": {"hidden_size": 32, "layers": 1, "heads": 2, "vocabulary_size": 300},
        }
    )
    built = build_model(recipe, None, setup.corpus())
    return save_model(tmp_path_factory.mktemp("tiny"), *built)


@pytest.fixture(scope="module")
def store() -> Any:
    return Stored()


def test_shares_are_those_of_asking_one_by_one(
    folder: Path, store: Any, setup: PtbxlSeveritySetup
) -> None:
    found = measure(folder, store, setup, maximum_questions=10_000, maximum_seconds=600.0)
    answerer = Answerer.from_pretrained(folder)
    right: dict[str, list[bool]] = defaultdict(list)
    for group in setup.groups("development"):
        ecg = Ecg(store.signals(list(group))[0], 100.0)
        questions: tuple[Question, ...] = setup.observed(group, 0)
        answers = answerer.answer([Ask((ecg,), q.text, q.options) for q in questions])
        for question, answer in zip(questions, answers, strict=True):
            correct = answer.answers == question.answers
            right["overall"].append(correct)
            right[setup.severity.strata[setup.stratum(group)]].append(correct)
            right[question.wording_id].append(correct)
    shares = {name: Share(float(np.mean(some)), len(some)) for name, some in right.items()}
    assert found.split == "development"
    assert found.overall == shares.pop("overall")
    assert found.overall.questions == 4 * len(setup.groups("development"))
    assert {**found.by_severity, **found.by_wording} == shares
    assert 0 < found.overall.accuracy < 1


def test_limits_ask_the_first_of_the_same_questions(
    folder: Path, store: Any, setup: PtbxlSeveritySetup
) -> None:
    few = measure(folder, store, setup, maximum_questions=1)
    assert few.overall.questions == 16 * 4

    def clock() -> Iterator[float]:
        yield from (0.0, 100.0)
        raise AssertionError("asked on after the time was up")

    ticks = clock()
    hasty = measure(folder, store, setup, maximum_seconds=8.0, clock=lambda: next(ticks))
    assert hasty == few
    other = measure(folder, store, setup, maximum_questions=1, seed=1)
    assert other.by_wording != few.by_wording


def test_without_development_ecgs_the_train_ecgs_are_asked_about(folder: Path, store: Any) -> None:
    found = measure(folder, store, make_setup(development=False), maximum_questions=1)
    assert found.split == "train"


def test_the_file_holds_what_was_measured_and_the_line_is_said(
    folder: Path, store: Any, setup: PtbxlSeveritySetup, capsys: pytest.CaptureFixture[str]
) -> None:
    found = write_training_diagnostics(folder, "erm: finetune", store, setup, seed=0)
    tree = json.loads((folder / FILE).read_text(encoding="utf-8"))
    assert tree["overall"] == {
        "accuracy": found.overall.accuracy,
        "questions": found.overall.questions,
    }
    assert set(tree["by_severity"]) <= set(setup.severity.strata)
    assert sum(share["questions"] for share in tree["by_wording"].values()) == (
        found.overall.questions
    )
    assert "erm: finetune: " in capsys.readouterr().err


def test_the_line_names_strata_and_the_range_of_wordings() -> None:
    found = TrainingDiagnostics(
        "development",
        Share(0.75, 40),
        {"none": Share(0.5, 20), "ill": Share(1.0, 20)},
        {"a": Share(0.6, 20), "b": Share(0.9, 18), "rare": Share(0.0, 2)},
    )
    assert describe(found) == (
        "75.0 % right of 40 development questions (none 50.0 %, ill 100.0 %; "
        "wordings 60.0 % to 90.0 %)"
    )
