"""A part of a test set that keeps its proportions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from truelead.types import Question


def stratified_subset(
    questions: Sequence[Question], maximum: int, seed: int
) -> tuple[Question, ...]:
    """About `maximum` of the questions (all, where they are no more), in their order.

    The same share of the rows of each question_id and answer is kept, rounded alike for all
    answers of a question_id, so that a balanced set stays balanced. Sets that differ in their
    wordings only keep the same questions.
    """
    if len(questions) <= maximum:
        return tuple(questions)
    share = maximum / len(questions)
    strata: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, question in enumerate(questions):
        strata[question.question_id][question.answer_text].append(row)
    random = np.random.default_rng(seed)
    kept: list[int] = []
    for question_id in sorted(strata):
        rounding = random.random()
        for answer in sorted(strata[question_id]):
            rows = strata[question_id][answer]
            kept += random.permutation(rows)[: int(share * len(rows) + rounding)].tolist()
    return tuple(questions[row] for row in sorted(kept))
