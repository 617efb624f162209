"""How much an answer rests on its own ECG.

The reliance of an answer a to a question q about an ECG e is

    log p(a given q, e) - log of the mean over reference ECGs r of p(a given q, r),

in nats: the pointwise mutual information of answer and ECG, the marginal taken over other
patients' ECGs instead of e (Church and Hanks, Computational Linguistics 1990; used against a
model's prior by Holtzman et al., EMNLP 2021, there without an image or signal). Near 0: the model
would say the same to anybody. Below 0: this ECG speaks against the answer.

Closed questions: p is normalised over the question's options, whatever the model's answer rule.
Free answers: p is the likelihood of the answer's tokens, its end included.

The cost: the mean over the references does not depend on e, so each wording of a question with its
options (each free answer) is read once behind the references, all in one batch, and remembered;
the references' own prefixes are read once for all questions. What the answerer already found of
the ECG itself is not computed again.

Shape suffixes: R reference ECGs.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from truelead.model.answering import (
    Answer,
    Answerer,
    Ecgs,
    Features,
    closed_options,
    is_closed,
    split_answers,
)
from truelead.model.prefix import Prefixes
from truelead.model.processing import GroupInput
from truelead.model.reference_ecgs import ReferenceEcgs
from truelead.types import Question

CONTRADICTION = 1e-3
"""Nats by which another option must be likelier before the ECG is said to contradict an answer."""

REMEMBERED = 65_536
"""Questions whose means over the references are kept."""

_LEAST = 1e-300

Key = tuple[int, str, tuple[str, ...]]
"""Number of ECGs, words, and options (or the one free answer)."""


@dataclass(frozen=True)
class AnswerReliance:
    """What the ECG says of one answer.

    Attributes:
        reliance: nats; see the module.
        own: log p of the answer with its own ECG.
        reference: log of its mean p with the reference ECGs.
        margin: `own` less the likeliest option's; 0 for the answer that the model itself would
            give, None for free answers.
    """

    reliance: float
    own: float
    reference: float
    margin: float | None

    @property
    def contradicted(self) -> bool:
        """Whether with this ECG the model gives another answer."""
        return self.margin is not None and self.margin < -CONTRADICTION


class RelianceMeter:
    """Measures the reliance of answers, whoever gave them.

    Args:
        answerer: the model.
        references: features from this model's encoder.
    """

    def __init__(self, answerer: Answerer, references: ReferenceEcgs) -> None:
        self._answerer = answerer
        self._references = references
        self._means: OrderedDict[Key, dict[str, float]] = OrderedDict()
        self._prefixes: dict[int, Prefixes] = {}

    def measure(
        self,
        groups: Sequence[GroupInput],
        answers: Sequence[Answer],
        *,
        ecgs: Ecgs | None = None,
        features: Features | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[AnswerReliance | None]:
        """The reliance of one answer to each question, in the groups' order.

        Args:
            groups: questions and the ECGs that the answers are held against.
            answers: `option_probabilities` are taken to be of these very ECGs; where they are
                empty, as for an answer that came from elsewhere, the ECGs are read for them.
            ecgs, features, prefixes: what the groups point to, as for `Answerer.score`.

        Returns:
            None where there is nothing to measure: a question without an ECG, an answer that is
            no option of a closed question, or an empty answer.
        """
        rows = [(group.ecgs, question) for group in groups for question in group.questions]
        assert len(rows) == len(answers), "one answer a question"
        own = self._own(rows, answers, ecgs, features, prefixes)
        means = self._reference_means(
            [
                (len(shown), question, answer)
                for (shown, question), answer, known in zip(rows, answers, own, strict=True)
                if known is not None
            ]
        )
        found: list[AnswerReliance | None] = []
        for (shown, question), answer, known in zip(rows, answers, own, strict=True):
            if known is None:
                found.append(None)
                continue
            text = answer_option(question, answer.answers) or answer.text
            found.append(
                compare(text, known, means[_key(len(shown), question, answer)], is_closed(question))
            )
        return found

    def _own(
        self,
        rows: Sequence[tuple[tuple[int, ...], Question]],
        answers: Sequence[Answer],
        ecgs: Ecgs | None,
        features: Features | None,
        prefixes: Prefixes | None,
    ) -> list[dict[str, float] | None]:
        """Log-probabilities with the answers' own ECGs; None where nothing is to be measured."""
        own: list[dict[str, float] | None] = [None] * len(rows)
        closed: list[int] = []
        free: list[int] = []
        for at, ((shown, question), answer) in enumerate(zip(rows, answers, strict=True)):
            if not shown:
                continue
            if not is_closed(question):
                free += [at] if answer.text else []
            elif answer_option(question, answer.answers) is None:
                continue
            elif answer.option_probabilities:
                own[at] = {
                    option: math.log(max(share, _LEAST))
                    for option, share in answer.option_probabilities.items()
                }
            else:
                closed.append(at)
        scores = self._answerer.score(
            [_alone(*rows[at]) for at in closed], ecgs=ecgs, features=features, prefixes=prefixes
        )
        for at, score in zip(closed, scores, strict=True):
            own[at] = normalised(score)
        likelihoods = answer_likelihoods(
            self._answerer,
            [_alone(*rows[at]) for at in free],
            [answers[at].text for at in free],
            ecgs=ecgs,
            features=features,
            prefixes=prefixes,
        )
        for at, likelihood in zip(free, likelihoods, strict=True):
            own[at] = {answers[at].text: likelihood}
        return own

    def _reference_means(
        self, asked: Sequence[tuple[int, Question, Answer]]
    ) -> dict[Key, dict[str, float]]:
        """log of the mean p over the references, of each option or of the free answer."""
        wanted = {_key(*one): one for one in asked}
        new = {key: one for key, one in wanted.items() if key not in self._means}
        for closed in (True, False):
            for count in (1, 2):
                some = {
                    key: one
                    for key, one in new.items()
                    if one[0] == count and is_closed(one[1]) == closed
                }
                if some:
                    self._means.update(self._read_references(some, count, closed))
        found = {}
        for key in wanted:
            self._means.move_to_end(key)
            found[key] = self._means[key]
        while len(self._means) > REMEMBERED:
            self._means.popitem(last=False)
        return found

    def _read_references(
        self, some: Mapping[Key, tuple[int, Question, Answer]], count: int, closed: bool
    ) -> dict[Key, dict[str, float]]:
        total = len(self._references)
        questions = tuple(question for _, question, _ in some.values())
        # A question about two ECGs gets two references, each as often first as second.
        groups = [
            GroupInput(
                tuple((first + step) % total for step in range(count)),
                questions,
                with_answers=False,
            )
            for first in range(total)
        ]
        behind = self._behind_references(groups, count)
        if closed:
            scores = [normalised(one) for one in self._answerer.score(groups, **behind)]
        else:
            texts = [answer.text for _, _, answer in some.values()] * total
            likelihoods = answer_likelihoods(self._answerer, groups, texts, **behind)
            scores = [{text: one} for text, one in zip(texts, likelihoods, strict=True)]
        means = {}
        for place, key in enumerate(some):
            of_references = scores[place :: len(questions)]
            means[key] = {
                option: float(np.logaddexp.reduce([one[option] for one in of_references]))
                - math.log(total)
                for option in of_references[0]
            }
        return means

    def _behind_references(self, groups: Sequence[GroupInput], count: int) -> dict[str, Any]:
        """What the references' groups point to: their prefixes, read once, where they can be kept.

        The references are the same for every question, so only the question is read anew.
        """
        features = self._references.features_RPD
        if not self._answerer.keeps_prefixes:
            return {"features": features}
        if count not in self._prefixes:
            shown = [group.ecgs for group in groups]
            self._prefixes[count] = self._answerer.read_prefixes(shown, features)
        return {"prefixes": self._prefixes[count]}


def compare(
    text: str, own: Mapping[str, float], reference: Mapping[str, float], closed: bool
) -> AnswerReliance:
    """The reliance of the answer `text` from log-probabilities with its ECG and the references."""
    margin = min(0.0, own[text] - max(own.values())) if closed else None
    return AnswerReliance(own[text] - reference[text], own[text], reference[text], margin)


def answer_option(question: Question, answers: Sequence[str]) -> str | None:
    """The option of a closed question that holds these answers; None for none and if it is free."""
    if not is_closed(question):
        return None
    given = frozenset(answers)
    for option in closed_options(question):
        if frozenset(split_answers(option)) == given:
            return option
    return None


def normalised(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores of options as log-probabilities over the options."""
    total = float(np.logaddexp.reduce(list(scores.values())))
    return {option: value - total for option, value in scores.items()}


def answer_likelihoods(
    answerer: Answerer,
    groups: Sequence[GroupInput],
    texts: Sequence[str],
    *,
    ecgs: Ecgs | None = None,
    features: Features | None = None,
    prefixes: Prefixes | None = None,
) -> list[float]:
    """Log-likelihood (nats) of a written answer to each question, its end included.

    Args:
        groups: questions, with their ECGs.
        texts: one answer a question, in the groups' order.
        ecgs, features, prefixes: what the groups point to, as for `Answerer.score`.
    """
    processor = answerer.processor
    found: list[float] = []
    waiting: list[GroupInput] = []
    rows = 0
    for number, group in enumerate(groups):
        waiting.append(replace(group, with_answers=False))
        rows += len(group.questions)
        if rows < answerer.rows and number + 1 < len(groups):
            continue
        batch = processor.batch(waiting, ecgs=ecgs, features=features, prefixes=prefixes)
        ids = [[processor.prompts.answer(text)] for text in texts[len(found) : len(found) + rows]]
        found.extend(score for [score] in answerer.score_texts(batch, ids))
        waiting, rows = [], 0
    assert len(found) == len(texts), "one answer a question"
    return found


def _alone(shown: tuple[int, ...], question: Question) -> GroupInput:
    return GroupInput(shown, (question,), with_answers=False)


def _key(count: int, question: Question, answer: Answer) -> Key:
    choices = closed_options(question) if is_closed(question) else (answer.text,)
    return count, question.text, tuple(choices)
