"""The adversarial wording test: the same questions in the words of training, and in others.

After Li et al., arXiv 2411.14795: a model that has learned Q -> A from the words fails when the
words change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from truelead.evaluate.predictions import Prediction, Trial
from truelead.evaluate.suites.suite import (
    Cells,
    Measure,
    Suite,
    SuiteContext,
    drop_and_flips,
    with_own_ecgs,
)

_TRAIN, _TEST, _TEMPLATE = "/train-wordings", "/test-wordings", "/template-wordings"
_OFFICIAL = ("/template", "/paraphrased", "/new-paraphrased")


class Wording(Suite):
    """Every test set that the setup gives in several kinds of wording."""

    title: ClassVar[str] = "Other wordings"
    explanation: ClassVar[str] = (
        "The same questions about the same ECGs in wordings that training may use "
        "('train-wordings'), in others that it never uses ('test-wordings'), and in ECG-QA's own "
        "one wording ('template-wordings'). Official rows are asked in their template and in their "
        "paraphrases, the new ones among them those kept out of a training in paraphrases. Beside "
        "models that were trained in the template's wording only, or in paraphrases only, this is "
        "the whole table of training wording by tested wording. 'Wording drop' is the accuracy "
        "lost from training wordings, 'wording flips' the share of answers that changes; 'template "
        "drop' and 'template flips' are those from the template's wording."
    )

    def cells(self, context: SuiteContext) -> Cells:
        """Each test set in every kind of its wordings; the template's of `further` only."""
        cells: Cells = {}
        for name in context.test_sets:
            stem = name.removesuffix(_TRAIN)
            if name != stem and stem + _TEST in context.test_sets:
                for wording in (_TRAIN, _TEST):
                    cells[stem + wording] = with_own_ecgs(context.test_sets[stem + wording])
                if stem + _TEMPLATE in context.test_sets:
                    cells[stem + _TEMPLATE] = with_own_ecgs(context.further(stem + _TEMPLATE))
            stem = name.removesuffix(_OFFICIAL[0])
            if name != stem and stem + _OFFICIAL[1] in context.test_sets:
                for wording in _OFFICIAL:
                    if stem + wording in context.test_sets:
                        cells[stem + wording] = with_own_ecgs(context.test_sets[stem + wording])
        return {name: trials for name, trials in cells.items() if trials}

    def measures(
        self,
        context: SuiteContext,
        cell: str,
        trials: Sequence[Trial],
        answered: Mapping[Trial, Prediction],
    ) -> dict[str, Measure]:
        """Drop and flips against the same questions in a training or the template's wording."""
        stem, _, kind = cell.rpartition("/")
        references = {
            _TEST: {"wording": _TRAIN, "template": _TEMPLATE},
            _OFFICIAL[1]: {"template": _OFFICIAL[0]},
            _OFFICIAL[2]: {"template": _OFFICIAL[0]},
        }.get("/" + kind, {})
        found = {}
        for title, reference in references.items():
            known = with_own_ecgs(context.test_sets.get(stem + reference, ()))
            twins = dict(zip(_numbered(known), known, strict=True))
            pairs = [
                (row, trial, twins[key])
                for row, (key, trial) in enumerate(zip(_numbered(trials), trials, strict=True))
                if key in twins and twins[key] in answered
            ]
            if not pairs:
                continue
            rows = np.array([row for row, _, _ in pairs])
            before, after = [twin for _, _, twin in pairs], [trial for _, trial, _ in pairs]
            drop, flips = drop_and_flips(before, after, answered)
            found[f"{title} drop"] = Measure(rows, drop)
            found[f"{title} flips"] = Measure(rows, flips)
        return found


def _numbered(trials: Sequence[Trial]) -> list[tuple[str, tuple[str, ...], int]]:
    """What each trial asks of which ECGs, and the how manieth time in the list."""
    seen: Counter[tuple[str, tuple[str, ...]]] = Counter()
    keys = []
    for trial in trials:
        asked = (trial.question.question_id, trial.question.ecg_ids)
        keys.append((*asked, seen[asked]))
        seen[asked] += 1
    return keys
