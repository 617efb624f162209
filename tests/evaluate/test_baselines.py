"""Models without an ECG learn the planted shortcut, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from truelead.evaluate.baselines import BASELINES, MajorityAnswer, QuestionOnly
from truelead.evaluate.metrics import score
from truelead.evaluate.predictions import Trial


@pytest.mark.parametrize("name", ["majority-answer", "question-only"])
def test_the_shortcut_is_learned_and_is_worth_50_percent_when_balanced(
    name: str, clinic: Any
) -> None:
    baseline = BASELINES[name](clinic.train)
    confounded = [Trial.of(q) for q in clinic.context.test_sets["confounded/test-wordings"]]
    balanced = [Trial.of(q) for q in clinic.context.test_sets["balanced/test-wordings"]]
    assert score(confounded, baseline.predict(confounded)).micro == 1.0
    assert score(balanced, baseline.predict(balanced)).micro == 0.5


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_ignore_the_ecg_shown(name: str, clinic: Any) -> None:
    baseline = BASELINES[name](clinic.train)
    questions = clinic.context.test_sets["balanced/test-wordings"]
    own = [Trial.of(question) for question in questions]
    other = [Trial(question, ("119-0",)) for question in questions]
    assert baseline.predict(own) == baseline.predict(other)
    assert baseline.predict([]) == []


@pytest.mark.parametrize("name", list(BASELINES))
def test_the_order_of_training_rows_does_not_matter(name: str, clinic: Any) -> None:
    trials = [Trial.of(q) for q in clinic.context.test_sets["confounded/test-wordings"]]
    forward = BASELINES[name](clinic.train).predict(trials)
    backward = BASELINES[name](clinic.train[::-1]).predict(trials)
    assert [p.answers for p in forward] == [p.answers for p in backward]


def test_question_only_learns_from_words_where_the_id_is_new(clinic: Any) -> None:
    model = QuestionOnly(clinic.train)
    known = next(q for q in clinic.train if q.question_id == "1:CLBBB")
    new = replace(known, question_id="99:new", text="Tell me of CLBBB in the leads?")
    assert model.predict([Trial.of(new)])[0].answers == ("yes",)


def test_question_only_gives_probabilities_of_options(clinic: Any) -> None:
    question = clinic.context.test_sets["balanced/test-wordings"][0]
    found = QuestionOnly(clinic.train).predict([Trial.of(question)])[0].option_probabilities
    assert set(found) == {"yes", "no"}
    assert sum(found.values()) == pytest.approx(1.0)


def test_one_class_of_answers_is_enough(clinic: Any) -> None:
    only_no = [question for question in clinic.train if question.answers == ("no",)]
    trials = [Trial.of(clinic.train[0])]
    assert QuestionOnly(only_no).predict(trials)[0].answers == ("no",)


def test_majority_of_a_new_question_is_that_of_its_template(clinic: Any) -> None:
    extra = replace(clinic.train[0], template_id=2, question_id="2:x", answers=("maybe",))
    baseline = MajorityAnswer([*clinic.train, extra])
    asked = replace(extra, question_id="2:y")
    assert baseline.predict([Trial.of(asked)])[0].answers == ("maybe",)
