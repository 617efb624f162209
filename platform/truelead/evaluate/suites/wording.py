"""The adversarial wording test: the same questions in the words of training, and in others.

After Li et al., arXiv 2411.14795: a model that has learned Q -> A from the words fails when the
words change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from truelead.evaluate.metrics import correct_rows, normalise
from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites.suite import Cells, Measure, Suite, SuiteContext, with_own_ecgs

_TRAIN, _TEST = "/train-wordings", "/test-wordings"


class Wording(Suite):
    """Every test set that the setup gives in both kinds of wording."""

    title: ClassVar[str] = "Other wordings"
    explanation: ClassVar[str] = (
        "The same questions about the same ECGs, once in wordings seen in training and once in "
        "others. 'Wording drop' is the accuracy lost by the change, 'wording flips' the share of "
        "answers that it changes."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """Both wordings of each test set."""
        names = [
            name.removesuffix(_TRAIN)
            for name in context.test_sets
            if name.endswith(_TRAIN) and name.removesuffix(_TRAIN) + _TEST in context.test_sets
        ]
        return {
            name + wording: with_own_ecgs(context.test_sets[name + wording])
            for name in names
            for wording in (_TRAIN, _TEST)
        }

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """On test wordings: drop and flips against the same question in a training wording."""
        if not cell.endswith(_TEST):
            return {}
        known = with_own_ecgs(context.test_sets[cell.removesuffix(_TEST) + _TRAIN])
        twins = dict(zip(_numbered(known), known, strict=True))
        pairs = [
            (row, trial, twins[key])
            for row, (key, trial) in enumerate(zip(_numbered(trials), trials, strict=True))
            if key in twins
        ]
        if not pairs:
            return {}
        rows = np.array([row for row, _, _ in pairs])
        new = [answered[trial] for _, trial, _ in pairs]
        old = [answered[twin] for _, _, twin in pairs]
        drop = correct_rows([twin for _, _, twin in pairs], old).astype(float)
        drop -= correct_rows([trial for _, trial, _ in pairs], new)
        flips = [
            normalise(a.answers) != normalise(b.answers) for a, b in zip(old, new, strict=True)
        ]
        return {
            "wording drop": Measure(rows, drop),
            "wording flips": Measure(rows, np.array(flips, np.float64)),
        }


def _numbered(trials: Sequence[Trial]) -> list[tuple[str, tuple[str, ...], int]]:
    """What each trial asks of which ECGs, and the how manieth time in the list."""
    seen: Counter[tuple[str, tuple[str, ...]]] = Counter()
    keys = []
    for trial in trials:
        asked = (trial.question.question_id, trial.question.ecg_ids)
        keys.append((*asked, seen[asked]))
        seen[asked] += 1
    return keys
