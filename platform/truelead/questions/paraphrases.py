"""Which of ECG-QA's own paraphrases are kept for the test of new wordings.

ECG-QA asks each template in a handful of paraphrases, the same ones in all its splits (Oh J. et
al., NeurIPS 2023). To train in paraphrases and test in others, those of a template are told apart
by their text without its attributes, and every `folds`-th is held out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from truelead.questions.bank import QuestionBank
from truelead.questions.phrasing import spoken
from truelead.questions.wordings import WordingSplit
from truelead.types import Question


def held_out_wordings(questions: Iterable[Question], split: WordingSplit) -> frozenset[str]:
    """wording_id of the questions in held-out paraphrases; over the folds each is held out once."""
    texts: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for question in questions:
        texts[question.template_id][paraphrase(question.text)].add(question.wording_id)
    return frozenset(
        wording_id
        for patterns in texts.values()
        for place, pattern in enumerate(sorted(patterns))
        if place % split.folds == split.fold and len(patterns) > 1
        for wording_id in patterns[pattern]
    )


def template_wordings(
    questions: Iterable[Question], templates: Iterable[Question]
) -> frozenset[str]:
    """wording_id of the questions worded as their template is: some "paraphrases" are.

    Args:
        templates: the same questions in their template's wording.
    """
    own = {(question.template_id, paraphrase(question.text)) for question in templates}
    return frozenset(
        question.wording_id
        for question in questions
        if (question.template_id, paraphrase(question.text)) in own
    )


def paraphrase(text: str) -> str:
    """A text with its attributes (statements, leads, kinds of noise and the like) blanked."""
    return _attributes().sub("{}", text.casefold())


@lru_cache(maxsize=1)
def _attributes() -> re.Pattern[str]:
    domains = QuestionBank().domains.values()
    names = {spoken(value).casefold() for domain in domains for value in domain}
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b")
