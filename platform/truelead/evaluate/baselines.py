"""What can be answered without looking at the ECG; stands beside every number of a model.

All are fitted on the questions that the training actually asks (the observed draw), and see of a
test question its id and its words, never its ECG.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from truelead.evaluate.metrics import normalise
from truelead.evaluate.predictions import Prediction, Trial
from truelead.types import Question

Answers = tuple[str, ...]

_ID_WEIGHT = 10.0
"""Scale of the question's id beside its words: the ridge penalty then explains by the id what both
explain, and words that the test does not have are not missed."""


class Baseline(Protocol):
    """A predictor that is fitted on training questions."""

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """One prediction for each trial; the ECGs shown make no difference."""
        ...


class GlobalMajority:
    """The commonest answers of all training questions."""

    def __init__(self, train: Sequence[Question]) -> None:
        assert train, "at least one training question"
        self._answers = _commonest(train)

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """The same answers for each trial."""
        return [Prediction(self._answers)] * len(trials)


class MajorityAnswer:
    """The commonest answers of each question_id; of its template, then of all, where it is new."""

    def __init__(self, train: Sequence[Question]) -> None:
        assert train, "at least one training question"
        self._by_question = _commonest_by(train, lambda question: question.question_id)
        self._by_template = _commonest_by(train, lambda question: question.template_id)
        self._answers = _commonest(train)

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """The commonest training answers to each trial's question."""
        return [Prediction(self._answer(trial.question)) for trial in trials]

    def _answer(self, question: Question) -> Answers:
        by_template = self._by_template.get(question.template_id, self._answers)
        return self._by_question.get(question.question_id, by_template)


class QuestionOnly:
    """Logistic regression of the answer on the question's id and the words of its wording.

    A question whose id the training does not have is answered by its words alone.

    This is the learned shortcut P(A | Q) itself: on a test set where every question is answered
    yes as often as no it must score 50 %, and a model that scores no better has shown nothing.
    Whole answer sets are the classes; those beyond the `maximum_classes` commonest are not
    learned, but the rows of the test that need them still count (as wrong).
    """

    def __init__(
        self, train: Sequence[Question], *, maximum_classes: int = 64, strength: float = 1.0
    ) -> None:
        assert train, "at least one training question"
        counts = Counter(_key(question) for question in train)
        kept = {key: i for i, (key, _) in enumerate(_ranked(counts)[:maximum_classes])}
        self._classes = list(kept)
        rows = [question for question in train if _key(question) in kept]
        self._words = CountVectorizer(
            ngram_range=(1, 2), binary=True, tokenizer=_tokens, token_pattern=None
        )
        self._ids = OneHotEncoder(handle_unknown="ignore")
        self._words.fit([question.text for question in rows])
        self._ids.fit([[question.question_id] for question in rows])
        self._known = {question.question_id for question in rows}
        self._models: dict[bool, LogisticRegression] = {}
        if len(kept) > 1:
            # One row for each distinct question and answer, weighted by how often it was drawn.
            weights = Counter((q.text, q.question_id, _key(q)) for q in rows)
            distinct = {(q.text, q.question_id, _key(q)): q for q in rows}
            for with_id in (True, False):
                self._models[with_id] = LogisticRegression(C=strength, max_iter=300).fit(
                    self._features(list(distinct.values()), with_id),
                    [kept[key[2]] for key in distinct],
                    sample_weight=[weights[key] for key in distinct],
                )

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """The likeliest answer set for each question, with the probabilities of single options."""
        if not self._models:
            return [Prediction(self._classes[0])] * len(trials)
        answered: dict[tuple[str, str], Prediction] = {}
        distinct = {(t.question.text, t.question.question_id): t.question for t in trials}
        for with_id, model in self._models.items():
            asked = {
                key: question
                for key, question in distinct.items()
                if (question.question_id in self._known) == with_id
            }
            if not asked:
                continue
            probabilities = model.predict_proba(self._features(list(asked.values()), with_id))
            classes = [self._classes[i] for i in model.classes_]
            for (key, question), row in zip(asked.items(), probabilities, strict=True):
                options = normalise(question.options)
                answered[key] = Prediction(
                    classes[int(np.argmax(row))],
                    {
                        answers[0]: float(probability)
                        for answers, probability in zip(classes, row, strict=True)
                        if len(answers) == 1 and answers[0] in options
                    },
                )
        return [answered[trial.question.text, trial.question.question_id] for trial in trials]

    def _features(self, questions: Sequence[Question], with_id: bool) -> sparse.csr_matrix:
        words = self._words.transform([question.text for question in questions])
        if not with_id:
            return words
        ids = self._ids.transform([[question.question_id] for question in questions])
        return sparse.hstack([_ID_WEIGHT * ids, words]).tocsr()


BASELINES: dict[str, Callable[[Sequence[Question]], Baseline]] = {
    "global-majority": GlobalMajority,
    "majority-answer": MajorityAnswer,
    "question-only": QuestionOnly,
}


def _tokens(text: str) -> list[str]:
    return text.replace("?", " ").replace(",", " ").split()


def _key(question: Question) -> Answers:
    return tuple(sorted(normalise(question.answers)))


def _ranked(counts: Counter[Answers]) -> list[tuple[Answers, int]]:
    """Commonest first; ties by the answers, so that the order of rows is of no matter."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _commonest(questions: Sequence[Question]) -> Answers:
    return _ranked(Counter(_key(question) for question in questions))[0][0]


def _commonest_by(
    questions: Sequence[Question], key: Callable[[Question], Hashable]
) -> dict[Hashable, Answers]:
    groups: dict[Hashable, list[Question]] = {}
    for question in questions:
        groups.setdefault(key(question), []).append(question)
    return {name: _commonest(members) for name, members in groups.items()}
