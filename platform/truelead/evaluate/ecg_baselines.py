"""What can be answered from the ECG without a language model; stands beside a model's numbers.

`ecg-only` sees the ECG but not the question: what it scores is owed to how ill the patient is, not
to what was asked. `label-classifier` sees both in the most direct way, a classifier of each
statement on the frozen encoder's features: what a language model could at best read from them.
`random-encoder-classifier` is the same on an encoder that was never trained: what the encoder's
training is worth. (A language model on such an encoder is an arm with `encoder: random`.)

Shape suffixes: N ECGs or groups of them, F pooled features, K answers or labels.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from truelead.evaluate.changes import NO_ECG
from truelead.evaluate.metrics import normalise
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.regression import LogisticRegression
from truelead.questions.rules import RULES, superclasses
from truelead.questions.scp import NORMAL, SCP_STATEMENTS, SUPERCLASSES
from truelead.types import Question, Record

Features = Callable[[Sequence[str], str], NDArray[np.float32]]
"""(record ids, change) -> features_NF."""

_MINIMUM_POSITIVES = 8
_BY_STATEMENTS = frozenset({*range(1, 17), *range(43, 50), *range(57, 64)})
"""Templates whose answer follows from the statements alone."""
_VERIFY_NORMAL = 12


class EcgBaseline(Protocol):
    """A predictor from the ECG; leaves out the questions that it has no answer to."""

    def covers(self, question: Question) -> bool:
        """Whether it can answer the question at all."""
        ...

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """One prediction for each trial; their questions are covered."""
        ...


@dataclass(frozen=True)
class Evidence:
    """What the baselines are fitted on.

    Attributes:
        features: of the run's frozen encoder.
        random_features: of an encoder that was never trained.
        train: questions as the training asks them.
        records: records of all splits; the train split is fitted on.
    """

    features: Features
    random_features: Features
    train: Sequence[Question]
    records: Mapping[str, Record]


class EcgOnly:
    """Softmax regression of the answer on the ECG, for each question type, whatever is asked.

    Of the answers that the closed options allow the likeliest is given. For two ECGs it sees the
    second, and the second minus the first. Answer sets beyond the `maximum_classes` commonest of a
    question type are not learned, but the rows of the test that need them still count (as wrong).
    """

    def __init__(
        self, features: Features, evidence: Evidence, *, maximum_classes: int = 32
    ) -> None:
        assert evidence.train, "at least one training question"
        self._features = features
        self._classes: dict[str, list[tuple[str, ...]]] = {}
        self._models: dict[str, LogisticRegression] = {}
        by_type: dict[str, list[Question]] = defaultdict(list)
        for question in evidence.train:
            by_type[question.question_type].append(question)
        for kind, questions in sorted(by_type.items()):
            counts = Counter(_answers(question) for question in questions)
            ranked = sorted(counts, key=lambda answers: (-counts[answers], answers))
            self._classes[kind] = ranked[:maximum_classes]
            self._models[kind] = self._fitted(questions, self._classes[kind])

    def covers(self, question: Question) -> bool:
        """Every question of a type that training asks."""
        return question.question_type in self._models

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """The likeliest allowed answers for the shown ECGs."""
        shown = list(dict.fromkeys((t.question.question_type, t.shown, t.change) for t in trials))
        shares: dict[tuple[str, tuple[str, ...], str], NDArray[np.float64]] = {}
        for kind, model in self._models.items():
            of_kind = [key for key in shown if key[0] == kind]
            if of_kind:
                rows_NF = _group_features(self._features, [key[1:] for key in of_kind], model.width)
                shares.update(zip(of_kind, model.probabilities(rows_NF), strict=True))
        return [
            self._prediction(
                trial.question, shares[trial.question.question_type, trial.shown, trial.change]
            )
            for trial in trials
        ]

    def _prediction(self, question: Question, share_K: NDArray[np.float64]) -> Prediction:
        classes = self._classes[question.question_type]
        options = normalise(question.options)
        allowed = [
            k for k, answers in enumerate(classes) if not options or normalise(answers) <= options
        ]
        best = max(allowed or range(len(classes)), key=lambda k: share_K[k])
        single = {k for k in allowed if options and len(classes[k]) == 1}
        total = sum(float(share_K[k]) for k in single)
        return Prediction(
            classes[best],
            {classes[k][0]: float(share_K[k]) / total for k in sorted(single)} if total else {},
        )

    def _fitted(
        self, questions: Sequence[Question], classes: Sequence[tuple[str, ...]]
    ) -> LogisticRegression:
        place = {answers: k for k, answers in enumerate(classes)}
        counts: dict[tuple[str, ...], NDArray[np.float64]] = {}
        for question in questions:
            if _answers(question) in place:
                row = counts.setdefault(question.ecg_ids, np.zeros(len(classes)))
                row[place[_answers(question)]] += 1
        groups = sorted(counts)
        count_NK = np.stack([counts[group] for group in groups])
        weight_N = count_NK.sum(1)
        return LogisticRegression(
            _group_features(self._features, [(group, "") for group in groups], None),
            count_NK / weight_N[:, None],
            outputs="one",
            weights_N=weight_N,
        )


class LabelClassifier:
    """A logistic regression of each SCP statement on the ECG, and the label rules on its findings.

    It knows every label of the train split, which a language model has to learn from answers. A
    verify question about one statement is answered as if ECGs with and without it were asked as
    often (yes where its odds are above those of the train split), which is right on the balanced
    tests; on confounded ones the question's own prior would add to it. The other questions are
    answered by the rules from the statements likelier than not. Questions that statements do not
    answer (axis, noise, stages, extra beats, leads, intervals), official rows (whose attributes are
    not named apart) and statements with fewer than 8 train ECGs are not covered.
    """

    def __init__(self, features: Features, evidence: Evidence) -> None:
        self._features = features
        train = [record for record in evidence.records.values() if record.split == "train"]
        assert train, "at least one train record"
        label_NK = np.array([[_has(record, label) for label in _LABELS] for record in train])
        positives_K = label_NK.sum(0)
        kept_K = (positives_K >= _MINIMUM_POSITIVES) & (positives_K < len(train))
        self._column = {label: k for k, label in enumerate(np.array(_LABELS)[kept_K].tolist())}
        self._prior_K = label_NK[:, kept_K].mean(0)
        self._model = (
            LogisticRegression(
                features([record.record_id for record in train], ""),
                label_NK[:, kept_K].astype(np.float64),
                outputs="each",
            )
            if self._column
            else None
        )

    def covers(self, question: Question) -> bool:
        """Questions about statements that have a classifier."""
        if question.template_id not in _BY_STATEMENTS or question.question_id.startswith("ecg-qa:"):
            return False
        return self._model is not None and all(label in self._column for label in _named(question))

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """The rules' answers on what the classifiers find in the shown ECGs."""
        assert self._model is not None, "nothing is covered"
        ecgs = list(dict.fromkeys(key for trial in trials for key in _shown(trial)))
        if not ecgs:
            return []
        rows_NF = _group_features(
            self._features, [((name,), change) for name, change in ecgs], 2 * self._model.width
        )
        found_NK = self._model.probabilities(rows_NF[:, : self._model.width])
        found = dict(zip(ecgs, found_NK, strict=True))
        return [
            self._prediction(trial.question, [found[key] for key in _shown(trial)])
            for trial in trials
        ]

    def _prediction(self, question: Question, found_K: Sequence[NDArray[np.float64]]) -> Prediction:
        named = _named(question)
        if question.question_type == "single-verify" and len(named) == 1:
            k = self._column[named[0]]
            odds = _odds(found_K[0][k]) / _odds(self._prior_K[k])
            yes = float(odds / (1 + odds))
            return Prediction(("yes" if yes > 0.5 else "no",), {"no": 1 - yes, "yes": yes})
        records = [
            Record(
                "", "", "", "",
                scp_codes={
                    label: 100.0
                    for label, k in self._column.items()
                    if label in SCP_STATEMENTS and one_K[k] > 0.5
                },
            )
            for one_K in found_K
        ]  # fmt: skip
        return Prediction(tuple(sorted(RULES[question.template_id](records, _filled(question)))))


ECG_BASELINES: dict[str, Callable[[Evidence], EcgBaseline]] = {
    "ecg-only": lambda evidence: EcgOnly(evidence.features, evidence),
    "label-classifier": lambda evidence: LabelClassifier(evidence.features, evidence),
    "random-encoder-classifier": lambda evidence: LabelClassifier(
        evidence.random_features, evidence
    ),
}

_LABELS = (*SCP_STATEMENTS, *(name for name in SUPERCLASSES if name not in SCP_STATEMENTS))


def _has(record: Record, label: str) -> bool:
    return label in record.scp_codes or label in superclasses(record)


def _filled(question: Question) -> tuple[str, ...]:
    return tuple(question.question_id.split(":")[1:])


def _named(question: Question) -> tuple[str, ...]:
    """The statements that a question names."""
    return (NORMAL,) if question.template_id == _VERIFY_NORMAL else _filled(question)


def _shown(trial: Trial) -> list[tuple[str, str]]:
    """(record id, change) of each ECG; without any, as many empty names as the question is about.

    An empty name stands for an ECG that nothing is known of.
    """
    if trial.change == NO_ECG:
        return [("", NO_ECG)] * len(trial.question.ecg_ids)
    return [(name, trial.change) for name in trial.shown]


def _group_features(
    features: Features, groups: Sequence[tuple[tuple[str, ...], str]], width: int | None
) -> NDArray[np.float32]:
    """Of each (ECGs, change) the last ECG's features and their difference from the first's.

    NaN where no ECG is shown; `width` is how many, known where there may be such groups.
    """
    rows: dict[int, NDArray[np.float32]] = {}
    for change in sorted({change for _, change in groups} - {NO_ECG}):
        places = [place for place, group in enumerate(groups) if group[1] == change]
        last_NF = features([groups[place][0][-1] for place in places], change)
        first_NF = features([groups[place][0][0] for place in places], change)
        both_NF = np.concatenate([last_NF, last_NF - first_NF], axis=1)
        rows.update(zip(places, both_NF, strict=True))
    nothing_F = np.full(width or 0, np.nan, np.float32)
    return np.stack([rows.get(place, nothing_F) for place in range(len(groups))])


def _answers(question: Question) -> tuple[str, ...]:
    return tuple(sorted(normalise(question.answers)))


def _odds(probability: float) -> float:
    return probability / (1 - probability)
