"""Two ECGs shown in the other order: what was resolved is now newly detected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from truelead.evaluate.metrics import is_correct
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites.suite import (
    Cells,
    Measure,
    Suite,
    SuiteContext,
    drop_and_flips,
    with_own_ecgs,
)
from truelead.questions.mirrored import mirrored
from truelead.types import Question

_SETS = ("balanced/test-wordings", "confounded/test-wordings", "official/template")
_SWAPPED, _MIRRORED = "/swapped", "/mirrored"


class OrderSwap(Suite):
    """Comparisons with their ECGs swapped, asked the same and asked the reverse."""

    title: ClassVar[str] = "Two ECGs in the other order"
    explanation: ClassVar[str] = (
        "Comparisons with the two ECGs exchanged. 'swapped' puts the same question and judges by "
        "what the labels say of the exchanged pair; 'follows the order' are the right answers "
        "among the questions whose answer changes. 'mirrored' puts the reverse question (newly "
        "detected for resolved), whose answer must be the one to the question itself; 'agrees' is "
        "how often the model's answers to both are the same."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """The comparisons among `SuiteContext.further` whose exchanged answer is known."""
        cells: Cells = {}
        for name in _SETS:
            for form in (_SWAPPED, _MIRRORED):
                asked = _exchanged(context, name + form)
                if asked:
                    cells[name + form] = with_own_ecgs([question for _, question in asked])
        return cells

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """Swapped: flips, and right answers where they change. Mirrored: agreement."""
        before = [Trial.of(question) for question, _ in _exchanged(context, cell)]
        drop, flips = drop_and_flips(before, trials, answered)
        everything = np.arange(len(trials))
        if cell.endswith(_MIRRORED):
            return {"agrees": Measure(everything, 1.0 - flips), "drop": Measure(everything, drop)}
        found = {"flips": Measure(everything, flips), "drop": Measure(everything, drop)}
        rows = np.array(
            [
                row
                for row, (old, new) in enumerate(zip(before, trials, strict=True))
                if not is_correct(old.question.answers, new.question.answers)
            ],
            dtype=np.int64,
        )
        if len(rows):
            follows = [
                is_correct(trials[row].question.answers, answered[trials[row]].answers)
                for row in rows
            ]
            found["follows the order"] = Measure(rows, np.array(follows, np.float64))
        return found


def _exchanged(context: SuiteContext, cell: str) -> list[tuple[Question, Question]]:
    """(question, the one put about the exchanged pair with its true answers) of a cell."""
    name, _, form = cell.rpartition("/")
    found = []
    for question in context.further(name) if name in context.test_sets else ():
        if len(question.ecg_ids) != 2:
            continue
        other = mirrored(question) if "/" + form == _MIRRORED else _swapped(context, question)
        if other is not None:
            found.append((question, other))
    return found


def _swapped(context: SuiteContext, question: Question) -> Question | None:
    first, second = question.ecg_ids
    answers = context.true_answers(question, (second, first))
    if answers is None:
        return None
    return replace(question, ecg_ids=(second, first), answers=answers)
