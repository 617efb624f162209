"""Set-up `ecg-qa`: ECG-QA's official questions, and the bank where the official rows end.

Official rows are used in ECG-QA's own splits only. Templates that the official rows do not cover
are asked from the bank, confounded by severity through the same `ObservedProcess` as
`ptbxl-severity`: the sicker the patient, the likelier a question with a positive answer.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from truelead.config import QuestionsConfig
from truelead.debias.randomness import generator
from truelead.debias.setup.base import Cell, Group, Setup, Wordings
from truelead.debias.setup.observation import ObservedProcess
from truelead.debias.setup.official import (
    WORDING_KINDS,
    OfficialRows,
    join_official_rows,
    official_groups,
)
from truelead.debias.setup.testing import balanced_test, confounded_test, word_test_sets
from truelead.debias.severity import SeverityProvider
from truelead.errors import QuestionError
from truelead.questions.annotated import PARTLY_LABELLED, labels_answer
from truelead.questions.bank import QuestionBank
from truelead.questions.pairs import consecutive_pairs, unrelated_pairs
from truelead.questions.phrasing import Wording, question_id, text_of
from truelead.questions.rules import RULES, Unanswerable
from truelead.questions.scp import SCP_STATEMENTS
from truelead.questions.templates import TEMPLATES
from truelead.types import ANSWER_SEPARATOR, Question, Record

NOISE_TEMPLATES = frozenset({26, 27, 28})
"""Official rows that ask about noise in leads, kept for judging on the development patients."""

_MOST_PER_SIDE = 3
"""Groups a side in a balanced test question: some 700 questions would outgrow the other sets."""


class _Asked(NamedTuple):
    template_id: int
    attributes: tuple[str, ...]


class EcgQaSetup(Setup):
    """Questions of all templates that labels answer, about one ECG or a pair.

    With `questions.measurements` also those that measured intervals answer; about an ECG whose
    interval could not be measured they are not asked.

    Groups are every ECG alone, serial pairs of one patient, one unrelated pair an ECG, and the
    official pairs. do(Q) gives each kind of group its share, in it each template the same, in it
    each way to fill its attributes the same. Statements with fewer than
    `questions.minimum_positives` train ECGs are not asked about by name. `questions.templates`
    names the only templates that are asked, official rows included.

    A group's observed questions are its official train rows (at most half of the count, drawn
    anew each epoch, in the template's or a paraphrased wording), the rest bank questions of the
    templates that no official train row covers. Without an `ecg_qa` folder all are bank
    questions, and there are no official test sets.

    Raises:
        QuestionError: the records are split by another rule than ECG-QA's own; there is no such
            template.
    """

    name = "ecg-qa"

    def __init__(
        self,
        records: Sequence[Record],
        config: QuestionsConfig,
        severity: SeverityProvider,
        *,
        ecg_qa: Path | None,
        test_split: str,
        questions_per_ecg: int,
    ) -> None:
        super().__init__(
            records, config, severity, test_split=test_split, questions_per_ecg=questions_per_ecg
        )
        counts = Counter(
            code for record in records if record.split == "train" for code in record.scp_codes
        )
        self._bank = QuestionBank(
            {
                code: statement
                for code, statement in SCP_STATEMENTS.items()
                if counts[code] >= config.minimum_positives
            },
            self.wording_split,
        )
        templates = _chosen_templates(config)
        self._kinds = {_kind_of_template(template) for template in templates}
        self._questions = {
            question_id(TEMPLATES[template], attributes): _Asked(template, attributes)
            for template in self._bank.templates
            if template in templates and (config.measurements or not TEMPLATES[template].measured)
            for attributes in self._bank.attributes(template)
        }
        self._official = (
            OfficialRows()
            if ecg_qa is None
            else join_official_rows(
                ecg_qa, self.records, self._stratum, templates, self.wording_split
            )
        )
        self._covered = {
            wordings[0].template_id
            for rows in self._official.train_rows.values()
            for wordings in rows
        }
        self._groups = self._make_groups(records)
        self._questions_of_kind: dict[str, list[str]] = defaultdict(list)
        for name, asked in self._questions.items():
            self._questions_of_kind[_kind_of_template(asked.template_id)].append(name)
        self._known_cells: dict[Cell, Cell] = {}
        self._cells_of: dict[Group, tuple[Cell, ...]] = {}
        if any(record.source in PARTLY_LABELLED for record in records):
            self._leave_out_groups_without_questions()
        self._weight = self._question_weights()

    @classmethod
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
        """See `Setup.build`."""
        return cls(
            records,
            config,
            severity,
            ecg_qa=ecg_qa,
            test_split=test_split,
            questions_per_ecg=questions_per_ecg,
        )

    def groups(self, split: str) -> list[Group]:
        """Every ECG alone, then the pairs."""
        return self._groups.get(split, [])

    def cells(self, group: Group) -> tuple[Cell, ...]:
        """Every bank question that the labels of the group answer."""
        if group not in self._cells_of:
            self._cells_of[group] = tuple(self._shared(cell) for cell in self._answered(group))
        return self._cells_of[group]

    def question_weight(self, question_id: str) -> float:
        """See `Setup.question_weight`."""
        return self._weight[question_id]

    def word(self, group: Group, question_id: str, wordings: Wordings, index: int) -> Question:
        """See `Setup.word`; which of two attributes is named first changes from group to group."""
        asked = self._questions[question_id]
        orders = sorted(_orders(asked))
        place = zlib.crc32(":".join((question_id, str(index), *group)).encode())
        trained = len(self._bank.wordings(asked.template_id).train)
        places: dict[Wordings, Wording] = {
            "train": index, "test": trained + index, "template": "official"
        }  # fmt: skip
        return self._bank.ask(
            asked.template_id,
            orders[place % len(orders)],
            [self.records[name] for name in group],
            wording=places[wordings],
            severity=self.stratum(group),
        )

    def wording_count(self, question_id: str, wordings: Wordings) -> int:
        """See `Setup.wording_count`."""
        if wordings == "template":
            return 1
        words = self._bank.wordings(self._questions[question_id].template_id)
        return len(words.train if wordings == "train" else words.test)

    def observed(self, group: Group, epoch: int, count: int | None = None) -> tuple[Question, ...]:
        """See `Setup.observed`."""
        count = count or self.questions_per_ecg
        rng = generator("observed", self.config.seed, epoch, *group)
        rows = self._official.train_rows.get(group, ())
        kept = rng.permutation(len(rows))[: (count + 1) // 2].tolist()
        official = [rows[index][int(rng.integers(len(rows[index])))] for index in kept]
        cells = [
            cell
            for cell in self.cells(group)
            if self._questions[cell.question_id].template_id not in self._covered
        ]
        drawn = self._process.draw(cells, self.stratum(group), count - len(official), rng)
        bank = [self.ask(group, cells[index].question_id, rng) for index in drawn]
        return (*official, *bank)

    def test_sets(self) -> dict[str, tuple[Question, ...]]:
        """Official and bank test sets.

        official/template, official/paraphrased: ECG-QA's own rows of the test split.
        noise/template, noise/paraphrased: its rows of templates 26-28 about development patients,
        who are not trained on. */new-paraphrased are the rows in those paraphrases that
        `trained_wordings: paraphrased` keeps out of training (and `template` never has). The rest
        is described in `truelead.debias.setup.testing`.
        """
        sets: dict[str, tuple[Question, ...]] = {}
        for wording in WORDING_KINDS:
            official = self._official.questions.get(wording, ())
            sets[f"official/{wording}"] = tuple(
                question for question in official if question.split == self.test_split
            )
            sets[f"noise/{wording}"] = tuple(
                question
                for question in official
                if question.split == "development" and question.template_id in NOISE_TEMPLATES
            )
        for name in ("official", "noise"):
            sets[f"{name}/new-paraphrased"] = tuple(
                question
                for question in sets[f"{name}/paraphrased"]
                if question.wording_id in self._official.held_out_wordings
            )
        # The official pairs have their own sets; they would outnumber all other groups here.
        paired = self._bank_pairs[self.test_split]
        groups = [g for g in self.groups(self.test_split) if len(g) == 1 or g in paired]
        bank = word_test_sets(
            self,
            {
                "confounded": confounded_test(self, self._process, groups),
                "balanced": balanced_test(self, groups, most=_MOST_PER_SIDE),
                "balanced-same-severity": balanced_test(
                    self, groups, same_severity=True, most=_MOST_PER_SIDE
                ),
            },
        )
        return {name: questions for name, questions in {**sets, **bank}.items() if questions}

    def corpus(self) -> Iterator[str]:
        """Training wordings of every bank question and official train row, and all answers."""
        texts: dict[str, None] = {}
        for asked in self._questions.values():
            template = TEMPLATES[asked.template_id]
            for _, pattern in self._bank.wordings(asked.template_id).train:
                for attributes in _orders(asked):
                    texts[text_of(template, pattern, attributes)] = None
            texts |= dict.fromkeys(self._bank.options(asked.template_id, asked.attributes))
        for question in self._official.trained:
            texts |= {question.text: None, question.answer_text: None}
        yield from texts

    @cached_property
    def _process(self) -> ObservedProcess:
        return ObservedProcess(
            ((self.stratum(group), self.cells(group)) for group in self.groups("train")),
            len(self.severity.strata),
            self.question_weight,
        )

    def _make_groups(self, records: Sequence[Record]) -> dict[str, list[Group]]:
        groups: dict[str, list[Group]] = defaultdict(list)
        for record in records if "single" in self._kinds else ():
            groups[record.split].append((record.record_id,))
        self._bank_pairs: dict[str, set[Group]] = defaultdict(set)
        pairs = []
        if "comparison_consecutive" in self._kinds:
            pairs += consecutive_pairs(records)
        if "comparison_irrelevant" in self._kinds:
            pairs += unrelated_pairs(records, seed=self.config.seed)
        for first, second in pairs:
            groups[second.split].append((first.record_id, second.record_id))
            self._bank_pairs[second.split].add((first.record_id, second.record_id))
        for official in self._official.questions.values():
            for split in {record.split for record in records}:
                groups[split] += official_groups(official, split)
        return {split: list(dict.fromkeys(names)) for split, names in groups.items()}

    def _leave_out_groups_without_questions(self) -> None:
        """In a partly labelled set neither labels nor official rows may say anything of a group."""
        official = {q.ecg_ids for rows in self._official.questions.values() for q in rows}
        for split, names in self._groups.items():
            self._groups[split] = [name for name in names if name in official or self.cells(name)]
        if not self._groups.get("train"):
            raise QuestionError(
                "ecg-qa: expected train ECGs that labels or official rows (data.ecg_qa) answer "
                "questions about, found none"
            )

    def _question_weights(self) -> dict[str, float]:
        """Groups of the kind, shared out among its templates, then among their attributes."""
        groups = Counter(self._kind(group) for group in self.groups("train"))
        templates = Counter(asked.template_id for asked in self._questions.values())
        kinds = Counter(_kind_of_template(template) for template in templates)
        return {
            name: groups[kind] / kinds[kind] / templates[asked.template_id]
            for name, asked in self._questions.items()
            if (kind := _kind_of_template(asked.template_id))
        }

    def _kind(self, group: Group) -> str:
        """single, comparison_consecutive or comparison_irrelevant."""
        if len(group) == 1:
            return "single"
        first, second = (self.records[name].patient_id for name in group)
        return "comparison_consecutive" if first == second else "comparison_irrelevant"

    def _answered(self, group: Group) -> Iterator[Cell]:
        records = [self.records[name] for name in group]
        partly = [record for record in records if record.source in PARTLY_LABELLED]
        for name in self._questions_of_kind[self._kind(group)]:
            asked = self._questions[name]
            template = TEMPLATES[asked.template_id]
            if not all(labels_answer(record, template) for record in partly):
                continue
            try:
                answers = RULES[asked.template_id](records, asked.attributes)
            except Unanswerable:
                continue
            yield Cell(name, ANSWER_SEPARATOR.join(sorted(answers)))

    def _shared(self, cell: Cell) -> Cell:
        """The one object that all groups share: half a million equal ones would be too many."""
        return self._known_cells.setdefault(cell, cell)


def _chosen_templates(config: QuestionsConfig) -> frozenset[int]:
    chosen = frozenset(TEMPLATES if config.templates is None else config.templates)
    unknown = sorted(chosen - set(TEMPLATES))
    if unknown:
        raise QuestionError(
            f"questions.templates: expected templates {min(TEMPLATES)} to {max(TEMPLATES)}, "
            f"found {', '.join(map(str, unknown))}"
        )
    return chosen


def _kind_of_template(template_id: int) -> str:
    return TEMPLATES[template_id].question_type.rpartition("-")[0]


def _orders(asked: _Asked) -> set[tuple[str, ...]]:
    """The attributes, and for a choose question also with its two attributes swapped."""
    slots = TEMPLATES[asked.template_id].slots
    orders = {asked.attributes}
    if TEMPLATES[asked.template_id].kind == "choose":
        first = next(i for i, slot in enumerate(slots) if slots.count(slot) == 2)
        head, (a, b), tail = (
            asked.attributes[:first],
            asked.attributes[first : first + 2],
            asked.attributes[first + 2 :],
        )
        orders.add((*head, b, a, *tail))
    return orders
