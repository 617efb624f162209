"""The random ECG test: the question stays, the ECG is another one, a destroyed one, or none.

After Li et al., arXiv 2411.14795. A model whose answers come from the ECG must change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np

from truelead.evaluate.changes import NO_ECG
from truelead.evaluate.metrics import is_correct
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites.suite import (
    Cells,
    Measure,
    Suite,
    SuiteContext,
    drop_and_flips,
)
from truelead.types import Question, Record

Severity = Literal["same", "opposite"]

_SETS = (
    "balanced/test-wordings",
    "confounded/test-wordings",
    "zero-shot/test-wordings",
    "official/paraphrased",
    "noise/paraphrased",
)
_ANOTHER = "/random-ecg"
_BY_SEVERITY: dict[str, Severity] = {"/same-severity": "same", "/opposite-severity": "opposite"}
_WITHOUT_EVIDENCE = {"/gaussian-noise": "gaussian-noise", "/flat": "flat", "/no-ecg": NO_ECG}


class RandomEcg(Suite):
    """Every ECG of a question replaced, in six forms."""

    title: ClassVar[str] = "Random ECG"
    explanation: ClassVar[str] = (
        "Each ECG is exchanged for another patient's of the same test set, drawn at random "
        "('random-ecg'), of patients as ill ('same-severity'), or of patients at the other end of "
        "the severity ('opposite-severity'); for Gaussian noise with the ECG's own mean and "
        "standard deviation in each lead; for a flat line; or for none at all ('no-ecg'). Answers "
        "are still judged by the right patient's labels. A model that reads the ECG loses accuracy "
        "('drop') and changes answers ('flips'). 'Follows the shown ECG' is how often the answer "
        "is true of the ECG that was actually shown, where its labels differ."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """The test sets in new or official wordings, whole with other patients' ECGs.

        The other forms are asked of `SuiteContext.further` only.
        """
        cells: Cells = {}
        for number, name in enumerate(name for name in _SETS if name in context.test_sets):
            questions = context.test_sets[name]
            shown = substitutes(questions, context.records, [context.seed, number])
            cells[name + _ANOTHER] = _substituted(questions, shown)
            further = context.further(name)
            for form, severity in _BY_SEVERITY.items():
                shown = substitutes_by_severity(
                    questions, context.records, context.strata, severity, [context.seed, number]
                )
                cells[name + form] = _substituted(further, shown)
            for form, change in _WITHOUT_EVIDENCE.items():
                cells[name + form] = tuple(Trial.of_changed(asked, change) for asked in further)
        return {name: trials for name, trials in cells.items() if trials}

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """Accuracy drop, flip rate, and agreement with the labels of the ECG shown, if any."""
        own = [Trial.of(trial.question) for trial in trials]
        drop, flips = drop_and_flips(own, trials, answered)
        everything = np.arange(len(trials))
        found = {"drop": Measure(everything, drop), "flips": Measure(everything, flips)}
        rows, follows = [], []
        for row, trial in enumerate(trials):
            if trial.change:
                continue
            shown_answers = context.true_answers(trial.question, trial.shown)
            if shown_answers is None or is_correct(shown_answers, trial.question.answers):
                continue
            rows.append(row)
            follows.append(is_correct(shown_answers, answered[trial].answers))
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
    pool = _Pool(questions, records)
    random = np.random.default_rng(seed)
    shown = {}
    for group in pool.groups:
        others = np.flatnonzero(pool.of_others(group))
        if len(others) >= len(group):
            picked = random.choice(others, size=len(group), replace=False)
            shown[group] = tuple(str(pool.names[i]) for i in picked)
    return shown


def substitutes_by_severity(
    questions: Sequence[Question],
    records: Mapping[str, Record],
    strata: Mapping[str, int],
    severity: Severity,
    seed: Sequence[int],
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """As `substitutes`, each ECG by one of its own stratum or of the stratum farthest from it.

    From a middle stratum both ends are as far. Without strata, or with a single one, nothing is
    opposite.
    """
    pool = _Pool(questions, records)
    if not all(name in strata for name in pool.names):
        return {}
    stratum_of = np.array([strata[name] for name in pool.names])
    known = np.unique(list(strata.values()))
    random = np.random.default_rng([*seed, 1 if severity == "same" else 2])
    shown = {}
    for group in pool.groups:
        free = pool.of_others(group)
        picked: list[int] = []
        for name in group:
            distance = np.abs(known - strata[name])
            wanted = known[distance == (0 if severity == "same" else distance.max())]
            fitting = np.flatnonzero(free & np.isin(stratum_of, wanted))
            if not len(fitting) or (severity == "opposite" and len(known) == 1):
                break
            picked.append(int(random.choice(fitting)))
            free[picked[-1]] = False
        if len(picked) == len(group):
            shown[group] = tuple(str(pool.names[i]) for i in picked)
    return shown


class _Pool:
    """The ECGs that a test set asks about, and whose they are."""

    def __init__(self, questions: Sequence[Question], records: Mapping[str, Record]) -> None:
        self.groups = list(dict.fromkeys(question.ecg_ids for question in questions))
        self.names = list(dict.fromkeys(ecg_id for group in self.groups for ecg_id in group))
        patients = [records[ecg_id].patient_id for ecg_id in self.names]
        _, self._owners = np.unique(patients, return_inverse=True)
        self._owner = dict(zip(self.names, self._owners.tolist(), strict=True))

    def of_others(self, group: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """bool for each of `names`: not of a patient of the group."""
        return ~np.isin(self._owners, [self._owner[ecg_id] for ecg_id in group])


def _substituted(
    questions: Sequence[Question], shown: Mapping[tuple[str, ...], tuple[str, ...]]
) -> tuple[Trial, ...]:
    return tuple(
        Trial(question, shown[question.ecg_ids])
        for question in questions
        if question.ecg_ids in shown
    )
