"""Set-up `ptbxl-severity`: yes/no questions about SCP statements, confounded by severity.

Observed questions follow `ObservedProcess`: the sicker the patient, the likelier is a question
about a statement that the patient has. So "does this ECG show an old infarction?" is asked of
sick patients and answered "yes", and can be answered without the ECG.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from truelead.config import QuestionsConfig
from truelead.debias.randomness import generator
from truelead.debias.setup.base import Group
from truelead.debias.setup.observation import ObservedProcess
from truelead.debias.setup.testing import balanced_test, confounded_test, word_test_sets
from truelead.debias.setup.verify import VerifySetup
from truelead.debias.severity import NORMAL_CODES, SeverityProvider
from truelead.errors import QuestionError
from truelead.questions.scp import SCP_STATEMENTS
from truelead.types import Question, Record


class PtbxlSeveritySetup(VerifySetup):
    """Verify questions about every SCP statement that enough train ECGs have.

    The statements NORM (normal ECG) and SR (sinus rhythm) are asked as well: they are what a
    healthy patient "has", and without them the observed questions about stratum 0 could hardly
    ever be answered "yes", which makes the shortcut stronger than the paper's setting has it.
    `abnormal_only` leaves them out.

    Attributes:
        codes: the statements asked, in the order of the SCP table.
        held_out: the statements of `questions.held_out_codes`: asked by the zero-shot test only.
            The encoder's own pre-training on labels may know them; the language model's does not.
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
        unknown = [code for code in config.held_out_codes if code not in SCP_STATEMENTS]
        if unknown:
            raise QuestionError(
                "questions.held_out_codes: expected SCP statements, found "
                f"{', '.join(map(repr, unknown))}"
            )
        train = [record for record in records if record.split == "train"]
        counts = Counter(code for record in train for code in record.scp_codes)
        codes = tuple(
            code
            for code in SCP_STATEMENTS
            if counts[code] >= config.minimum_positives
            and not (abnormal_only and code in NORMAL_CODES)
            and code not in config.held_out_codes
        )
        if not codes:
            raise QuestionError(
                "ptbxl-severity: expected SCP statements with at least questions."
                f"minimum_positives = {config.minimum_positives} train ECGs, found none "
                f"among {len(train)}"
            )
        super().__init__(
            records,
            config,
            severity,
            codes=codes,
            held_out=config.held_out_codes,
            test_split=test_split,
            questions_per_ecg=questions_per_ecg,
        )
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

    def observed(self, group: Group, epoch: int, count: int | None = None) -> tuple[Question, ...]:
        """See `Setup.observed`."""
        rng = generator("observed", self.config.seed, epoch, *group)
        cells = self.cells(group)
        asked = self._process.draw(cells, self.stratum(group), count or self.questions_per_ecg, rng)
        return tuple(self.ask(group, cells[index].question_id, rng) for index in asked)

    def test_sets(self) -> dict[str, tuple[Question, ...]]:
        """confounded/*, balanced/*, balanced-same-severity/* in each kind of wordings.

        zero-shot/test-wordings are balanced questions about the held-out statements, if any. See
        `truelead.debias.setup.testing`.
        """
        groups = self.groups(self.test_split)
        sets = word_test_sets(
            self,
            {
                "confounded": confounded_test(self, self._process, groups),
                "balanced": balanced_test(self, groups),
                "balanced-same-severity": balanced_test(self, groups, same_severity=True),
            },
        )
        zero_shot = balanced_test(self, groups, cells=self.zero_shot_cells)
        if zero_shot:
            sets |= word_test_sets(self, {"zero-shot": zero_shot}, kinds=("test",))
        return sets
