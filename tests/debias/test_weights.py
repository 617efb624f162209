"""Weights of observed questions against a hand calculation, over a set-up with a known table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from truelead.config import QuestionsConfig, StageConfig
from truelead.debias.adjustment import Adjustment, build_adjustment
from truelead.debias.setup.base import Cell, Group, Setup, Wordings
from truelead.debias.severity import SeverityProvider
from truelead.types import Question, Record

# 12 observed questions: q1 mostly of stratum 1, q2 mostly of stratum 0, q3 of stratum 1 only.
OBSERVED = (
    [(0, "q1", "no")] * 1
    + [(0, "q2", "no")] * 3
    + [(1, "q1", "yes")] * 4
    + [(1, "q1", "no")] * 1
    + [(1, "q2", "yes")] * 1
    + [(1, "q3", "yes")] * 2
)


class TwoStrata:
    name = "two"
    strata = ("well", "ill")

    def __call__(self, record: Record) -> int:
        return int(record.report)


class TableSetup(Setup):
    """One ECG a row of `OBSERVED`, asked just that."""

    name = "table"

    @classmethod
    def build(
        cls,
        records: Sequence[Record],
        config: QuestionsConfig,
        severity: SeverityProvider,
        *,
        ecg_qa: Path | None = None,
        test_split: str = "valid",
        questions_per_ecg: int = 1,
    ) -> Self:
        return cls(
            records, config, severity, test_split=test_split, questions_per_ecg=questions_per_ecg
        )

    def groups(self, split: str) -> list[Group]:
        return [(name,) for name in self.records]

    def cells(self, group: Group) -> list[Cell]:
        _, question, answer = OBSERVED[int(group[0])]
        return [Cell(question, answer)]

    def wording_count(self, question_id: str, wordings: Wordings) -> int:
        return 1

    def word(self, group: Group, question_id: str, wordings: Wordings, index: int) -> Question:
        _, question, answer = OBSERVED[int(group[0])]
        return Question(
            f"{question}?", (answer,), ("yes", "no"), group, "single-verify", 1, question, "0"
        )

    def observed(self, group: Group, epoch: int, count: int | None = None) -> tuple[Question, ...]:
        return (self.word(group, "", "train", 0),)

    def test_sets(self) -> dict[str, tuple[Question, ...]]:
        return {}

    def corpus(self) -> Iterable[str]:
        return ()


@pytest.fixture(scope="module")
def table() -> TableSetup:
    records = [
        Record(str(index), str(index), "hand", "", report=str(stratum))
        for index, (stratum, _, _) in enumerate(OBSERVED)
    ]
    return TableSetup.build(records, QuestionsConfig(), TwoStrata())


def weights(adjustment: Adjustment) -> dict[tuple[int, str, str], float]:
    found = {}
    for group in adjustment.setup.groups("train"):
        for item in adjustment.draw(group, 0):
            found[OBSERVED[int(group[0])]] = item.weight
    return found


def test_weights_by_hand(table: TableSetup) -> None:
    adjustment = build_adjustment(
        StageConfig(strategy="ipw", options={"clip": 100.0}, questions_per_ecg=1), table, 0
    )
    # P(q1) = 6/12, P(q1 given 0) = 1/4, P(q1 given 1) = 5/8 and so on; unscaled:
    plain = {
        (0, "q1", "no"): (6 / 12) / (1 / 4),
        (0, "q2", "no"): (4 / 12) / (3 / 4),
        (1, "q1", "yes"): (6 / 12) / (5 / 8),
        (1, "q1", "no"): (6 / 12) / (5 / 8),
        (1, "q2", "yes"): (4 / 12) / (1 / 8),
        (1, "q3", "yes"): (2 / 12) / (2 / 8),
    }
    mean = sum(plain[row] for row in OBSERVED) / len(OBSERVED)
    # q3 is never asked in stratum 0, so the mean falls short of 1 by P(s = 0) P(q3).
    assert mean == pytest.approx(1 - (4 / 12) * (2 / 12))
    assert weights(adjustment) == pytest.approx({row: w / mean for row, w in plain.items()})
    assert adjustment.violations() == ("q3 is never observed in stratum 'well'",)
    assert np.mean([weights(adjustment)[row] for row in OBSERVED]) == pytest.approx(1.0)


def test_clipping_by_hand(table: TableSetup) -> None:
    adjustment = build_adjustment(
        StageConfig(strategy="ipw", options={"clip": 2.0}, questions_per_ecg=1), table, 0
    )
    found = weights(adjustment)
    # (1, q2) would weigh 2.67 and is cut to 2; (0, q2) 0.44 and is raised to 0.5.
    assert found[1, "q2", "yes"] / found[0, "q2", "no"] == pytest.approx(4.0)
    assert adjustment.diagnostics()["clipped"] == pytest.approx(4 / 12)
    assert np.mean([found[row] for row in OBSERVED]) == pytest.approx(1.0)


def test_balanced_answers_by_hand(table: TableSetup) -> None:
    adjustment = build_adjustment(
        StageConfig(
            strategy="ipw", options={"clip": 100.0, "balance_answers": True}, questions_per_ecg=1
        ),
        table,
        0,
    )
    found = weights(adjustment)
    yes = sum(found[row] for row in OBSERVED if row[1:] == ("q1", "yes"))
    no = sum(found[row] for row in OBSERVED if row[1:] == ("q1", "no"))
    assert yes == pytest.approx(no)


def test_inverse_bias_by_hand(table: TableSetup) -> None:
    adjustment = build_adjustment(
        StageConfig(strategy="inverse-bias", options={"clip": 100.0}, questions_per_ecg=1), table, 0
    )
    found = weights(adjustment)
    # q1: 4 yes, 2 no; q2: 1 yes, 3 no; q3: yes alone. Already of mean 1 before scaling.
    assert found == pytest.approx(
        {
            (0, "q1", "no"): 6 / (2 * 2),
            (1, "q1", "no"): 6 / (2 * 2),
            (1, "q1", "yes"): 6 / (2 * 4),
            (0, "q2", "no"): 4 / (2 * 3),
            (1, "q2", "yes"): 4 / (2 * 1),
            (1, "q3", "yes"): 1.0,
        }
    )
    assert adjustment.violations() == ("q3 is observed with one answer only",)
    plain = build_adjustment(StageConfig(questions_per_ecg=1), table, 0)
    bits = [one.diagnostics()["question_answer_bits"] for one in (adjustment, plain)]
    assert bits[0] < bits[1]
