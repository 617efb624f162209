"""Yes/no questions whether an ECG has each of some SCP statements, in the bank's wordings.

What is asked of whom when nothing is adjusted, and the test sets, are left to the set-up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from truelead.config import QuestionsConfig
from truelead.debias.setup.base import Cell, Group, Setup, Wordings
from truelead.debias.severity import SeverityProvider
from truelead.questions.bank import QuestionBank
from truelead.questions.phrasing import Wording
from truelead.types import Question, Record


class VerifySetup(Setup):
    """Each ECG alone, and the same statements asked of every one.

    Attributes:
        codes: the statements asked.
        held_out: statements that the zero-shot test alone asks.
    """

    def __init__(
        self,
        records: Sequence[Record],
        config: QuestionsConfig,
        severity: SeverityProvider,
        *,
        codes: Sequence[str],
        held_out: Sequence[str] = (),
        test_split: str,
        questions_per_ecg: int,
    ) -> None:
        super().__init__(
            records,
            config,
            severity,
            test_split=test_split,
            questions_per_ecg=questions_per_ecg,
        )
        self.codes, self.held_out = tuple(codes), tuple(held_out)
        self._bank = QuestionBank(split=self.wording_split)
        self._prototypes: dict[tuple[str, bool, Wordings], tuple[Question, ...]] = {}
        self._cells: dict[str, tuple[Cell, ...]] = {}
        self._question_id = {
            code: self._worded(code, True, "test")[0].question_id
            for code in (*self.codes, *self.held_out)
        }
        self._code = {question: code for code, question in self._question_id.items()}

    def groups(self, split: str) -> list[Group]:
        """Every ECG of the split, alone."""
        return [(name,) for name, record in self.records.items() if record.split == split]

    def cells(self, group: Group) -> tuple[Cell, ...]:
        """One cell a statement, in the order of `codes`."""
        name = group[0]
        if name not in self._cells:
            self._cells[name] = self._cells_of(name, self.codes)
        return self._cells[name]

    def zero_shot_cells(self, group: Group) -> tuple[Cell, ...]:
        """One cell a statement held out."""
        return self._cells_of(group[0], self.held_out)

    def word(self, group: Group, question_id: str, wordings: Wordings, index: int) -> Question:
        """See `Setup.word`."""
        record = self.records[group[0]]
        code = self._code[question_id]
        return replace(
            self._worded(code, code in record.scp_codes, wordings)[index],
            ecg_ids=group,
            severity=self._stratum[record.record_id],
            split=record.split,
        )

    def wording_count(self, question_id: str, wordings: Wordings) -> int:
        """See `Setup.wording_count`."""
        return len(self._worded(self._code[question_id], True, wordings))

    def corpus(self) -> Iterator[str]:
        """Every training wording of every statement, and the answers."""
        for code in self.codes:
            for question in self._worded(code, True, "train"):
                yield question.text
        yield from ("yes", "no")

    def _cells_of(self, name: str, codes: Sequence[str]) -> tuple[Cell, ...]:
        present = self.records[name].scp_codes
        return tuple(
            Cell(self._question_id[code], "yes" if code in present else "no") for code in codes
        )

    def _worded(self, code: str, present: bool, wordings: Wordings) -> tuple[Question, ...]:
        """The question of a statement in each wording, answered for a record with or without it."""
        key = (code, present, wordings)
        if key not in self._prototypes:
            record = Record("", "", "", "", scp_codes={code: 100.0} if present else {})
            places: Sequence[Wording] = (
                ("official",)
                if wordings == "template"
                else self._bank.verify_code_wordings(wordings)
            )
            self._prototypes[key] = tuple(
                self._bank.verify_code(code, record, wording=place) for place in places
            )
        return self._prototypes[key]
