"""Which answers a draw's questions have: P(a given q), and numbers for questions and answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from truelead.debias.adjustment.base import Adjustment
from truelead.types import Question

_SMOOTHING = 1.0
"""Added to the weighted count of each option (Laplace's rule of succession)."""


class AnswerTable:
    """Counts the weighted answers of a strategy's questions over some epochs of the train groups.

    Attributes:
        questions: question_id -> its number, from 1; 0 stands for every other question.
        answers: answer text -> its number, from 1; 0 stands for every other text.
    """

    def __init__(self, drawn: Iterable[tuple[Question, float]]) -> None:
        counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        texts: set[str] = set()
        for question, weight in drawn:
            counts[question.question_id][question.answer_text] += weight
            texts.update(question.options)
        texts.update(text for answers in counts.values() for text in answers)
        self._counts: Mapping[str, Mapping[str, float]] = {
            question_id: dict(answers) for question_id, answers in counts.items()
        }
        self.questions = {name: at for at, name in enumerate(sorted(counts), start=1)}
        self.answers = {text: at for at, text in enumerate(sorted(texts), start=1)}

    @classmethod
    def of(cls, draws: Adjustment, epochs: int = 4) -> AnswerTable:
        """The table of what `draws` asks of the train groups."""
        groups = draws.setup.groups("train")
        return cls(
            (drawn.question, drawn.weight)
            for epoch in range(epochs)
            for group in groups
            for drawn in draws.draw(group, epoch)
        )

    def log_prior(self, question_id: str, options: Sequence[str]) -> list[float]:
        """log P(option given the question), smoothed, normalised over the options."""
        counts = self._counts.get(question_id, {})
        values = [counts.get(option, 0.0) + _SMOOTHING for option in options]
        total = sum(values)
        return [math.log(value / total) for value in values]
