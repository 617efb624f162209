"""Set-up `planted`: yes/no questions on a planted set, whose true P(A | do(Q), E) is known.

What is asked follows the planted model's P(q | s) with the severity that was planted, whatever
severity the adjustment believes in: with the provider `random` the adjustment works on strata that
explain nothing, and must change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from truelead.config import PlantedConfig, QuestionsConfig
from truelead.data.planted_set import TRACES
from truelead.debias.planted import (
    PlantedModel,
    interventional,
    model_of,
    observational,
    planted_in,
)
from truelead.debias.randomness import generator
from truelead.debias.setup.base import Cell, Group
from truelead.debias.setup.testing import balanced_test, confounded_test, word_test_sets
from truelead.debias.setup.verify import VerifySetup
from truelead.debias.severity import SeverityProvider
from truelead.debias.severity.planted import PlantedSeverity
from truelead.types import Question, Record


class PlantedProcess:
    """Observed questions: one condition for each, from the model's P(q | s), with repeats."""

    def __init__(self, model: PlantedModel) -> None:
        self._question_AC = model.question_AC

    def draw(
        self, cells: Sequence[Cell], stratum: int, count: int, rng: np.random.Generator
    ) -> list[int]:
        """Indices into `cells` of `count` questions."""
        share_C = self._question_AC[stratum]
        assert len(cells) == len(share_C), "one cell a condition"
        return rng.choice(len(share_C), size=count, p=share_C).tolist()


class PlantedSetup(VerifySetup):
    """Every condition of the planted model, asked of every ECG of its set.

    Attributes:
        planted: the dials.
        model: the structural model of these dials.
    """

    name = "planted"

    def __init__(
        self,
        records: Sequence[Record],
        config: QuestionsConfig,
        severity: SeverityProvider,
        *,
        planted: PlantedConfig,
        test_split: str,
        questions_per_ecg: int,
    ) -> None:
        super().__init__(
            records,
            config,
            severity,
            codes=tuple(TRACES)[: planted.conditions],
            test_split=test_split,
            questions_per_ecg=questions_per_ecg,
        )
        self.planted = planted
        self.model = model_of(planted)
        self._ecgs = planted_in(records, self.codes, planted)
        self._row = {record.record_id: row for row, record in enumerate(records)}
        self._process = PlantedProcess(self.model)

    @classmethod
    def build(
        cls,
        records: Sequence[Record],
        config: QuestionsConfig,
        severity: SeverityProvider,
        *,
        ecg_qa: Path | None = None,
        test_split: str,
        questions_per_ecg: int = 8,
        planted: PlantedConfig | None = None,
    ) -> Self:
        """See `Setup.build`; `ecg_qa` is not used, and None stands for the usual dials.

        Raises:
            DataError: the records are not those of a planted set with these dials.
        """
        return cls(
            records,
            config,
            severity,
            planted=PlantedConfig() if planted is None else planted,
            test_split=test_split,
            questions_per_ecg=questions_per_ecg,
        )

    def planted_severity(self, group: Group) -> int:
        """The stratum that was planted; `stratum` gives what the severity provider says."""
        return int(self._ecgs.severity_N[self._row[group[0]]])

    def observed(self, group: Group, epoch: int, count: int | None = None) -> tuple[Question, ...]:
        """See `Setup.observed`."""
        rng = generator("observed", self.config.seed, epoch, *group)
        cells = self.cells(group)
        asked = self._process.draw(
            cells, self.planted_severity(group), count or self.questions_per_ecg, rng
        )
        return tuple(self.ask(group, cells[index].question_id, rng) for index in asked)

    def test_sets(self) -> dict[str, tuple[Question, ...]]:
        """confounded/*, balanced/*, balanced-same-severity/* in each kind of wordings.

        interventional/test-wordings is every question of every test ECG, once. All of them follow
        the planted severity, so that they are the same whatever the severity provider. See
        `truelead.debias.setup.testing`.
        """
        groups = self.groups(self.test_split)
        true = self._by_planted_severity()
        sets = word_test_sets(
            self,
            {
                "confounded": confounded_test(true, self._process, groups),
                "balanced": balanced_test(true, groups),
                "balanced-same-severity": balanced_test(true, groups, same_severity=True),
            },
        )
        everything = [(group, cell.question_id) for group in groups for cell in self.cells(group)]
        return sets | word_test_sets(self, {"interventional": everything}, kinds=("test",))

    def truth(self, question: Question) -> tuple[float, float]:
        """(P(yes | do(question), ECG), P(yes | question, ECG)) of a question of this set-up.

        The second is NaN where no patient with such an ECG is ever asked the question.
        """
        place = self._row[question.ecg_ids[0]], self.codes.index(self._code[question.question_id])
        do_NC, observed_NC = self._truths
        return float(do_NC[place]), float(observed_NC[place])

    @cached_property
    def _truths(self) -> tuple[np.ndarray, np.ndarray]:
        return interventional(self.model, self._ecgs), observational(self.model, self._ecgs)

    def _by_planted_severity(self) -> PlantedSetup:
        if isinstance(self.severity, PlantedSeverity):
            return self
        return PlantedSetup(
            list(self.records.values()),
            self.config,
            PlantedSeverity(self.planted.strata),
            planted=self.planted,
            test_split=self.test_split,
            questions_per_ecg=self.questions_per_ecg,
        )
