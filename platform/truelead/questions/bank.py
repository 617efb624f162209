"""The question bank: ECG-QA's templates asked of any record, answered by its labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from types import MappingProxyType
from typing import Literal

from truelead.errors import QuestionError
from truelead.questions import notes
from truelead.questions.measured_rules import NUMERIC_FEATURES, RANGES
from truelead.questions.phrasing import (
    Generator,
    Wording,
    below,
    mixed,
    pattern_of,
    question_id,
    spoken,
    text_of,
)
from truelead.questions.rules import NONE, RULES, Unanswerable
from truelead.questions.scp import NORMAL, SCP_STATEMENTS, SUPERCLASSES, ScpStatement, code_of
from truelead.questions.templates import TEMPLATES, Template
from truelead.questions.wordings import USUAL_SPLIT, NamedWordings, WordingSplit
from truelead.types import Question, Record

_YES_NO = ("no", "yes")
_VERIFY_PRESENCE = 2
_VERIFY_NORMAL = 12


class QuestionBank:
    """Asks ECG-QA's templates of records.

    Args:
        statements: the SCP statements that may be asked about by code; PTB-XL's 71 if None.
        split: which wordings are for training and which for testing.

    Attributes:
        domains: kind of attribute -> its values: codes for statements and superclasses, ECG-QA's
            names for everything else.
    """

    def __init__(
        self,
        statements: Mapping[str, ScpStatement] | None = None,
        split: WordingSplit = USUAL_SPLIT,
    ) -> None:
        known = SCP_STATEMENTS if statements is None else statements
        unknown = [code for code in known if code not in SCP_STATEMENTS]
        if unknown:
            raise QuestionError(f"statements: expected PTB-XL's codes, found {', '.join(unknown)}")
        symptoms = tuple(code for code in SCP_STATEMENTS if code in known and code != NORMAL)
        of_kind = {
            kind: tuple(code for code in symptoms if getattr(SCP_STATEMENTS[code], kind))
            for kind in ("diagnostic", "form", "rhythm")
        }
        self.domains: Mapping[str, tuple[str, ...]] = MappingProxyType(
            {
                "symptom": symptoms,
                **of_kind,
                "superclass": tuple(SUPERCLASSES),
                "present": (*SUPERCLASSES, *symptoms),
                "axis": notes.AXES,
                "stage": notes.STAGES,
                "noise": notes.NOISES,
                "lead": notes.LEAD_NAMES,
                "extra beat": notes.EXTRA_BEATS,
                "feature": NUMERIC_FEATURES,
                "range": RANGES,
            }
        )

        self._choices_of: dict[int, tuple[tuple[str, ...], ...]] = {}
        self._words = {number: split(template.wordings) for number, template in TEMPLATES.items()}

    @property
    def templates(self) -> tuple[int, ...]:
        """The templates that have a rule; the others wait, see `Template.waits_for`."""
        return tuple(sorted(RULES))

    def wordings(self, template_id: int) -> NamedWordings:
        """The training and test wordings of a template."""
        return self._words[_template(template_id).template_id]

    def attributes(self, template_id: int) -> Iterator[tuple[str, ...]]:
        """Every way to fill the template's attributes; two of one kind in one order only."""
        slots = _template(template_id).slots
        if len(slots) >= 2 and slots[-1] == slots[-2]:
            head, kind = slots[:-2], slots[-1]
            for first in product(*(self.domains[slot] for slot in head)):
                for pair in combinations(self.domains[kind], 2):
                    yield (*first, *pair)
        elif len(slots) == 3:
            for pair in combinations(self.domains[slots[0]], 2):
                for last in self.domains[slots[2]]:
                    yield (*pair, last)
        else:
            yield from product(*(self.domains[slot] for slot in slots))

    def ask(
        self,
        template_id: int,
        attributes: str | Sequence[str] = (),
        records: Sequence[Record] = (),
        *,
        wording: Wording = "train",
        rng: Generator | None = None,
        severity: int = -1,
    ) -> Question:
        """One question with its true answers.

        Args:
            attributes: one for each of the template's slots; statements by code or name.
            records: one record, or (first or previous, second or recent).
            wording: "train" or "test": one of these, drawn by `rng`, the first without; the
                official one; or an index, training wordings first, then test wordings.
            severity: stratum to note on the question.

        Raises:
            QuestionError: no such template, attribute or wording; the records do not fit it.
            Unanswerable: the records' labels or measurements do not say.
        """
        template = _template(template_id)
        filled = self._filled(template, attributes)
        self._check_records(template, records)
        answers = RULES[template_id](records, filled)
        name, pattern = pattern_of(template, self.wordings(template_id), wording, rng)
        return Question(
            text=text_of(template, pattern, filled),
            answers=tuple(sorted(answers)),
            options=self.options(template_id, filled),
            ecg_ids=tuple(record.record_id for record in records),
            question_type=template.question_type,
            template_id=template_id,
            question_id=question_id(template, filled),
            wording_id=f"bank:{template_id}:{name}",
            severity=severity,
            split=records[-1].split,
        )

    def options(self, template_id: int, attributes: str | Sequence[str] = ()) -> tuple[str, ...]:
        """The closed set of possible answers of a question."""
        template = _template(template_id)
        if template_id == 1:
            diagnostic = SCP_STATEMENTS[self._filled(template, attributes)[0]].diagnostic
            return ("no", "not sure", "yes") if diagnostic else _YES_NO
        if template.kind == "verify":
            return _YES_NO
        if template.kind == "choose":
            filled = self._filled(template, attributes)
            kinds = zip(template.slots, filled, strict=True)
            return (*(spoken(v) for kind, v in kinds if kind not in ("lead", "feature")), NONE)
        return self._query_options(template)

    def candidates(
        self,
        records: Sequence[Record],
        templates: Iterable[int] | None = None,
        *,
        wording: Wording = "train",
        severity: int = -1,
    ) -> Iterator[Question]:
        """Every question that the records' labels answer, once each, in one wording.

        Templates for one ECG where one record is given; for two records the consecutive templates
        where they are of one patient, the irrelevant ones where they are not.
        """
        for template_id in self._fitting(records, templates):
            for filled in self.attributes(template_id):
                try:
                    yield self.ask(template_id, filled, records, wording=wording, severity=severity)
                except Unanswerable:
                    continue

    def questions(
        self,
        records: Sequence[Record],
        *,
        rng: Generator,
        templates: Iterable[int] | None = None,
        wordings: Literal["train", "test"] = "train",
        severity: int = -1,
    ) -> list[Question]:
        """One question of every template that fits the records and that their labels answer.

        The attributes are drawn evenly, so P(q) does not depend on the record, then the wording;
        which of two attributes is named first is drawn too.
        """
        drawn = []
        for template_id in self._fitting(records, templates):
            choices = self._choices(template_id)
            filled = mixed(_template(template_id), choices[below(rng, len(choices))], rng)
            try:
                question = self.ask(
                    template_id, filled, records, wording=wordings, rng=rng, severity=severity
                )
            except Unanswerable:
                continue
            drawn.append(question)
        return drawn

    def verify_code(
        self,
        code: str,
        record: Record,
        *,
        wording: Wording = "train",
        rng: Generator | None = None,
        severity: int = -1,
    ) -> Question:
        """Does the ECG show the statement, at whatever likelihood? Answered "yes" or "no".

        NORM is asked for as a normal ECG, in as many wordings as the others.
        """
        template_id = _VERIFY_NORMAL if code_of(code) == NORMAL else _VERIFY_PRESENCE
        attributes = () if template_id == _VERIFY_NORMAL else (code,)
        return self.ask(
            template_id, attributes, (record,), wording=wording, rng=rng, severity=severity
        )

    def verify_code_wordings(self, wordings: Literal["train", "test"]) -> range:
        """The indices that `verify_code` takes as training or test wordings."""
        words = self.wordings(_VERIFY_PRESENCE)
        trained = len(words.train)
        return range(trained) if wordings == "train" else range(trained, trained + len(words.test))

    def _choices(self, template_id: int) -> tuple[tuple[str, ...], ...]:
        if template_id not in self._choices_of:
            self._choices_of[template_id] = tuple(self.attributes(template_id))
        return self._choices_of[template_id]

    def _filled(self, template: Template, attributes: str | Sequence[str]) -> tuple[str, ...]:
        given = (attributes,) if isinstance(attributes, str) else tuple(attributes)
        where = f"template {template.template_id}"
        if len(given) != len(template.slots):
            raise QuestionError(
                f"{where}: attributes: expected {len(template.slots)} "
                f"({', '.join(template.slots)}), found {len(given)}"
            )
        filled = []
        for slot, value in zip(template.slots, given, strict=True):
            domain = self.domains[slot]
            if slot == "lead" and not value.startswith("lead "):
                value = f"lead {value}"
            elif value not in domain and slot in _CODED_SLOTS:
                value = _CODE_OF_SUPERCLASS.get(value, "") or code_of(value)
            if value not in domain:
                raise QuestionError(f"{where}: {slot}: expected one of it, found {value!r}")
            filled.append(value)
        coded = [v for s, v in zip(template.slots, filled, strict=True) if s != "lead"]
        if len(set(coded)) != len(coded):
            raise QuestionError(f"{where}: attributes: expected different ones")
        return tuple(filled)

    def _check_records(self, template: Template, records: Sequence[Record]) -> None:
        where = f"template {template.template_id}"
        if template.waits_for:
            raise Unanswerable(f"{where}: waits for {template.waits_for}")
        if len(records) != template.ecgs:
            raise QuestionError(f"{where}: records: expected {template.ecgs}, found {len(records)}")
        if template.ecgs == 2:
            same = records[0].patient_id == records[1].patient_id
            if same != _consecutive(template):
                expected = "one patient" if _consecutive(template) else "two patients"
                raise QuestionError(f"{where}: records: expected ECGs of {expected}")
            if records[0].split != records[1].split:
                raise QuestionError(f"{where}: records: expected ECGs of one split")

    def _fitting(self, records: Sequence[Record], templates: Iterable[int] | None) -> Iterator[int]:
        same = len({record.patient_id for record in records}) == 1
        for template_id in self.templates if templates is None else templates:
            template = _template(template_id)
            if template.waits_for or template.ecgs != len(records):
                continue
            if template.measured and not all(record.measurements for record in records):
                continue
            if template.ecgs == 1 or same == _consecutive(template):
                yield template_id

    def _query_options(self, template: Template) -> tuple[str, ...]:
        if template.template_id == 25:
            return (*notes.STAGES, notes.NO_STAGE, notes.UNKNOWN_STAGE)
        if template.template_id == 22:
            return notes.AXES
        if template.template_id == 41:
            return RANGES
        return (*(spoken(value) for value in self._queried_values(template)), NONE)

    def _queried_values(self, template: Template) -> tuple[str, ...]:
        """What a query answers with. Not only what may be asked: a label may be any of PTB-XL's."""
        kind = _QUERIED_KIND.get(template.template_id)
        if kind is not None:
            return tuple(c for c, s in SCP_STATEMENTS.items() if c != NORMAL and getattr(s, kind))
        if template.attribute_type == "scp_code" and template.ecgs == 2:
            return tuple(code for code in SCP_STATEMENTS if code != NORMAL)
        if template.template_id in (19, 34):
            return notes.LEAD_NAMES
        return {
            "noise": notes.NOISES,
            "extra_systole": notes.EXTRA_BEATS,
            "numeric_feature": NUMERIC_FEATURES,
        }[template.attribute_type]


_CODED_SLOTS = frozenset({"symptom", "present", "diagnostic", "form", "rhythm", "superclass"})
_CODE_OF_SUPERCLASS = {name: code for code, name in SUPERCLASSES.items()}
_QUERIED_KIND = {8: "diagnostic", 9: "diagnostic", 10: "rhythm", 11: "form", 18: "form"}


def _template(template_id: int) -> Template:
    if template_id not in TEMPLATES:
        raise QuestionError(f"template_id: expected 1..{len(TEMPLATES)}, found {template_id}")
    return TEMPLATES[template_id]


def _consecutive(template: Template) -> bool:
    return template.question_type.startswith("comparison_consecutive")
