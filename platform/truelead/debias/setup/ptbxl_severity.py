"""Set-up `ptbxl-severity`: yes/no questions about SCP statements, confounded by severity.

Observed questions follow `ObservedProcess`: the sicker the patient, the likelier is a question
about a statement that the patient has. So "does this ECG show an old infarction?" is asked of
sick patients and answered "yes", and can be answered without the ECG.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from truelead.config import QuestionsConfig
from truelead.debias.randomness import generator
from truelead.debias.setup.base import Cell, Group, Setup, Wordings
from truelead.debias.setup.observation import ObservedProcess
from truelead.debias.setup.testing import balanced_test, confounded_test, word_test_sets
from truelead.debias.severity import NORMAL_CODES, SeverityProvider
from truelead.errors import QuestionError
from truelead.questions.bank import QuestionBank
from truelead.questions.scp import SCP_STATEMENTS
from truelead.types import Question, Record


class PtbxlSeveritySetup(Setup):
    """Verify questions about every SCP statement that enough train ECGs have.

    The statements NORM (normal ECG) and SR (sinus rhythm) are asked as well: they are what a
    healthy patient "has", and without them the observed questions about stratum 0 could hardly
    ever be answered "yes", which makes the shortcut stronger than the paper's setting has it.
    `abnormal_only` leaves them out.

    Attributes:
        codes: the statements asked, in the order of the SCP table.
    """

    name = "ptbxl-severity"

    def __init__(
        self,
        records: Sequence[Record],
        config: QuestionsConfig,
        severity: SeverityProvider,
        *,
        test_split: str,
        questions_per_ecg: int,
        abnormal_only: bool = False,
    ) -> None:
        super().__init__(
            records,
            config,
            severity,
            test_split=test_split,
            questions_per_ecg=questions_per_ecg,
        )
        train = [record for record in records if record.split == "train"]
        counts = Counter(code for record in train for code in record.scp_codes)
        self.codes = tuple(
            code
            for code in SCP_STATEMENTS
            if counts[code] >= config.minimum_positives
            and not (abnormal_only and code in NORMAL_CODES)
        )
        if not self.codes:
            raise QuestionError(
                "ptbxl-severity: expected SCP statements with at least questions."
                f"minimum_positives = {config.minimum_positives} train ECGs, found none "
                f"among {len(train)}"
            )
        self._bank = QuestionBank()
        self._prototypes: dict[tuple[str, bool, Wordings], tuple[Question, ...]] = {}
        self._cells: dict[str, tuple[Cell, ...]] = {}
        example = train[0]
        self._question_id = {
            code: self._bank.verify_code(code, example, wording=0).question_id
            for code in self.codes
        }
        self._code = {question: code for code, question in self._question_id.items()}
        self._process = ObservedProcess(
            (
                (self._stratum[record.record_id], self.cells((record.record_id,)))
                for record in train
            ),
            len(severity.strata),
        )

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
        abnormal_only: bool = False,
    ) -> Self:
        """See `Setup.build`; `ecg_qa` is not used, `abnormal_only` leaves NORM and SR out."""
        return cls(
            records,
            config,
            severity,
            test_split=test_split,
            questions_per_ecg=questions_per_ecg,
            abnormal_only=abnormal_only,
        )

    def groups(self, split: str) -> list[Group]:
        """Every ECG of the split, alone."""
        return [(name,) for name, record in self.records.items() if record.split == split]

    def cells(self, group: Group) -> tuple[Cell, ...]:
        """One cell a statement, in the order of `codes`."""
        name = group[0]
        if name not in self._cells:
            present = self.records[name].scp_codes
            self._cells[name] = tuple(
                Cell(self._question_id[code], "yes" if code in present else "no")
                for code in self.codes
            )
        return self._cells[name]

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

    def observed(self, group: Group, epoch: int, count: int | None = None) -> tuple[Question, ...]:
        """See `Setup.observed`."""
        rng = generator("observed", self.config.seed, epoch, *group)
        cells = self.cells(group)
        asked = self._process.draw(cells, self.stratum(group), count or self.questions_per_ecg, rng)
        return tuple(self.ask(group, cells[index].question_id, rng) for index in asked)

    def test_sets(self) -> dict[str, tuple[Question, ...]]:
        """confounded/*, balanced/* and balanced-same-severity/*, each in both kinds of wordings.

        See `truelead.debias.setup.testing`.
        """
        groups = self.groups(self.test_split)
        return word_test_sets(
            self,
            {
                "confounded": confounded_test(self, self._process, groups),
                "balanced": balanced_test(self, groups),
                "balanced-same-severity": balanced_test(self, groups, same_severity=True),
            },
        )

    def corpus(self) -> Iterator[str]:
        """Every training wording of every statement, and the answers."""
        for code in self.codes:
            for question in self._worded(code, True, "train"):
                yield question.text
        yield from ("yes", "no")

    def _worded(self, code: str, present: bool, wordings: Wordings) -> tuple[Question, ...]:
        """The question of a statement in each wording, answered for a record with or without it."""
        key = (code, present, wordings)
        if key not in self._prototypes:
            record = Record("", "", "", "", scp_codes={code: 100.0} if present else {})
            self._prototypes[key] = tuple(
                self._bank.verify_code(code, record, wording=index)
                for index in self._bank.verify_code_wordings(wordings)
            )
        return self._prototypes[key]
