"""Which seeds are compared, and that a model is not asked the same twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from truelead.evaluate.predictions import Prediction, Predictor, Trial
from truelead.study.judging import ANSWERS, KeptAnswers, comparable_seeds
from truelead.types import Question


@pytest.mark.parametrize(
    ("finished", "seeds"),
    [
        ({"erm": [0, 1, 2], "ipw": [0, 1, 2]}, (0, 1, 2)),
        # Nothing has finished of one arm: it is left out, the others lose no seed.
        ({"erm": [0, 1], "ipw": [0, 1], "gge": []}, (0, 1)),
        # One arm lacks a seed: three arms over two seeds are as many runs, of more arms.
        ({"erm": [0, 1, 2], "ipw": [0, 1, 2], "gge": [0, 2]}, (0, 2)),
        ({"erm": [0, 1, 2], "ipw": [0, 1, 2], "gge": [2]}, (0, 1, 2)),
        # What the baseline lacks cannot be paired.
        ({"erm": [1], "ipw": [0, 1], "gge": [0]}, (1,)),
        ({"erm": [0], "ipw": []}, (0,)),
    ],
)
def test_every_arm_judged_has_every_seed_judged(
    finished: dict[str, list[int]], seeds: tuple[int, ...]
) -> None:
    assert comparable_seeds(finished, "erm") == seeds


class Counting:
    """Answers by the text of the question, and counts how often it was loaded."""

    def __init__(self) -> None:
        self.loaded = 0

    def __call__(self) -> Predictor:
        self.loaded += 1
        return self

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        return [
            Prediction((trial.question.text, trial.shown[0]), {"yes": 1 / 3, "no": 2 / 3})
            for trial in trials
        ]


def ask(text: str, shown: str = "e1") -> Trial:
    question = Question(
        text=text,
        answers=("yes",),
        options=("yes", "no"),
        ecg_ids=("e1",),
        question_type="single-verify",
        template_id=1,
        question_id=f"1:{text}",
        wording_id="test0",
        severity=0,
        split="valid",
    )
    return Trial(question, (shown,))


def test_answers_are_kept_for_the_same_trials_and_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    load = Counting()
    trials = [ask("a"), ask("b"), ask("a", shown="e2")]
    first = KeptAnswers(tmp_path, load).predict(trials)
    assert first == load.predict(trials)
    assert KeptAnswers(tmp_path, load).predict(trials) == first
    assert load.loaded == 1

    assert KeptAnswers(tmp_path, load).predict(trials[:2]) == first[:2]
    assert load.loaded == 2, "other trials are asked anew"
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    KeptAnswers(tmp_path, load).predict(trials[:2])
    assert load.loaded == 3, "another model answers anew"
    (tmp_path / ANSWERS).write_text('{"key": "torn')
    KeptAnswers(tmp_path, load).predict(trials[:2])
    assert load.loaded == 4
