"""What every set-up is: which questions are asked of which ECGs, in training and in tests.

A group is what one encoded prefix serves: the record_id of one ECG, or of an ordered pair.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np

from truelead.config import QuestionsConfig
from truelead.debias.severity import SeverityProvider
from truelead.errors import QuestionError
from truelead.questions.wordings import WordingSplit
from truelead.types import Question, Record

Group = tuple[str, ...]
Wordings = Literal["train", "test", "template"]
"""Wordings that training may use, those it never uses, and ECG-QA's own one wording."""
WORDINGS: tuple[Wordings, ...] = ("train", "test")

NEGATIVE_ANSWERS = frozenset({"no", "none"})
"""Answers that say the thing asked for is not there."""


class Cell(NamedTuple):
    """A question that can be asked about a group, apart from its wording, and its true answer."""

    question_id: str
    answer: str


class Setup(ABC):
    """Questions for training and testing, confounded by severity; a part of `SETUPS`.

    Attributes:
        records: record_id -> record.
        severity: gives the stratum of a record.
    """

    name: ClassVar[str]

    def __init__(
        self,
        records: Sequence[Record],
        config: QuestionsConfig,
        severity: SeverityProvider,
        *,
        test_split: str,
        questions_per_ecg: int,
    ) -> None:
        self.records: dict[str, Record] = {record.record_id: record for record in records}
        if len(self.records) != len(records):
            raise QuestionError("records: expected each record_id once")
        self.config = config
        self.severity = severity
        self.test_split = test_split
        self.questions_per_ecg = questions_per_ecg
        self._stratum = {record.record_id: severity(record) for record in records}

    @classmethod
    @abstractmethod
    def build(
        cls,
        records: Sequence[Record],
        config: QuestionsConfig,
        severity: SeverityProvider,
        *,
        ecg_qa: Path | None,
        test_split: str,
        questions_per_ecg: int = 8,
    ) -> Self:
        """The set-up over these records.

        Args:
            records: all records of the store, of every split.
            ecg_qa: folder of ECG-QA's official layout, for the set-ups that read it.
            test_split: the split whose ECGs the test sets ask about.
            questions_per_ecg: questions asked of a test ECG by the confounded process.

        Raises:
            QuestionError: the records leave nothing to ask.
        """

    def stratum(self, group: Group) -> int:
        """Severity stratum of the group: that of its last (second, more recent) ECG."""
        return self._stratum[group[-1]]

    @abstractmethod
    def groups(self, split: str) -> list[Group]:
        """The groups of a split, in a fixed order."""

    @abstractmethod
    def cells(self, group: Group) -> Sequence[Cell]:
        """Every bank question that can be asked about the group, with its true answer."""

    def zero_shot_cells(self, group: Group) -> Sequence[Cell]:
        """As `cells`, of the questions that no training ever asks (`questions.held_out_codes`)."""
        return ()

    @abstractmethod
    def word(self, group: Group, question_id: str, wordings: Wordings, index: int) -> Question:
        """A question of `cells` or `zero_shot_cells` in one of its wordings, counted from 0."""

    @abstractmethod
    def wording_count(self, question_id: str, wordings: Wordings) -> int:
        """How many wordings of this kind the question has."""

    @abstractmethod
    def observed(self, group: Group, epoch: int, count: int | None = None) -> tuple[Question, ...]:
        """The confounded questions of the group, a pure function of the set-up and the epoch.

        Args:
            count: how many, `questions_per_ecg` if None.
        """

    @abstractmethod
    def test_sets(self) -> dict[str, tuple[Question, ...]]:
        """Named test sets about the ECGs of `test_split`, none of whose patients are trained on."""

    @abstractmethod
    def corpus(self) -> Iterable[str]:
        """All texts of training (questions and answers) for the tokenizer; no test wordings."""

    @property
    def wording_split(self) -> WordingSplit:
        """Which wordings are trained and which are tested, as the configuration has it."""
        config = self.config
        return WordingSplit(config.wording_fold, config.wording_folds, config.trained_wordings)

    def question_weight(self, question_id: str) -> float:
        """How often do(Q) asks the question, in proportion to the others; never by severity."""
        return 1.0

    def ask(self, group: Group, question_id: str, rng: np.random.Generator | None) -> Question:
        """A question of `cells` in a training wording drawn at random (None: the first)."""
        count = self.wording_count(question_id, "train")
        return self.word(
            group, question_id, "train", 0 if rng is None else int(rng.integers(count))
        )

    def candidates(self, group: Group) -> tuple[Question, ...]:
        """Every bank question of the group, once each, in its first training wording."""
        return tuple(self.ask(group, cell.question_id, None) for cell in self.cells(group))
