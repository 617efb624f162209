"""The random ECG test: the question stays, the ECG is another patient's.

After Li et al., arXiv 2411.14795. A model whose answers come from the ECG must change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from truelead.evaluate.metrics import correct_rows, is_correct, normalise
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites.suite import Cells, Measure, Suite, SuiteContext
from truelead.types import Question, Record

_SUFFIX = "/random-ecg"
_SETS = (
    "balanced/test-wordings",
    "confounded/test-wordings",
    "official/paraphrased",
    "noise/paraphrased",
)


class RandomEcg(Suite):
    """Every ECG of a question replaced by one of a patient the question is not about."""

    title: ClassVar[str] = "Random ECG"
    explanation: ClassVar[str] = (
        "Each ECG is exchanged for another patient's, drawn at random from the same test set; the "
        "answers are still judged by the right patient's labels. A model that reads the ECG loses "
        "accuracy ('drop') and changes answers ('flips'). 'Follows the shown ECG' is how often "
        "the answer is true of the ECG that was actually shown, where its labels differ."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """The test sets in new or official wordings, with other patients' ECGs."""
        names = [name for name in _SETS if name in context.test_sets]
        cells: Cells = {}
        for number, name in enumerate(names):
            questions = context.test_sets[name]
            shown = substitutes(questions, context.records, [context.seed, number])
            trials = tuple(
                Trial(question, shown[question.ecg_ids])
                for question in questions
                if question.ecg_ids in shown
            )
            if trials:
                cells[name + _SUFFIX] = trials
        return cells

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """Accuracy drop, flip rate, and agreement with the labels of the ECG shown."""
        own = [Trial.of(trial.question) for trial in trials]
        before = [answered[trial] for trial in own]
        after = [answered[trial] for trial in trials]
        drop = correct_rows(own, before).astype(np.float64) - correct_rows(trials, after)
        flips = [
            normalise(old.answers) != normalise(new.answers)
            for old, new in zip(before, after, strict=True)
        ]
        everything = np.arange(len(trials))
        found = {
            "drop": Measure(everything, drop),
            "flips": Measure(everything, np.array(flips, np.float64)),
        }
        rows, follows = [], []
        for row, (trial, new) in enumerate(zip(trials, after, strict=True)):
            shown_answers = context.true_answers(trial.question, trial.shown)
            if shown_answers is None or is_correct(shown_answers, trial.question.answers):
                continue
            rows.append(row)
            follows.append(is_correct(shown_answers, new.answers))
        if rows:
            found["follows the shown ECG"] = Measure(np.array(rows), np.array(follows, np.float64))
        return found


def substitutes(
    questions: Sequence[Question], records: Mapping[str, Record], seed: Sequence[int]
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """For each group of ECGs asked about, as many ECGs of other patients from the same questions.

    All questions about one group get the same substitutes. A group for which the set holds no
    other patients' ECGs is left out.
    """
    groups = list(dict.fromkeys(question.ecg_ids for question in questions))
    pool = np.array(list(dict.fromkeys(ecg_id for group in groups for ecg_id in group)))
    owners = np.array([records[ecg_id].patient_id for ecg_id in pool])
    random = np.random.default_rng(seed)
    shown = {}
    for group in groups:
        own = [records[ecg_id].patient_id for ecg_id in group]
        others = np.flatnonzero(~np.isin(owners, own))
        if len(others) >= len(group):
            picked = random.choice(others, size=len(group), replace=False)
            shown[group] = tuple(str(pool[i]) for i in picked)
    return shown
