"""ECG-QA's 70 question templates: what each asks, about which attributes, in which words.

Source: Oh J. et al., ECG-QA, NeurIPS 2023 Datasets and Benchmarks, v1.0.2 (CC BY 4.0). The ids and
the possible answers of all 70 are those of its table of answers. Where `official_checked` is set
the wording is ECG-QA's own; the other templates' texts were not at hand, so their first training
wording, and for 12-16, 43-46 and the like also which question has which id, are reconstructed
from the answers, the attribute types and the published sampling rules.

Templates 17-19 ask for the leads of a form statement, which PTB-XL's labels do not hold, so they
wait (see `Template.waits_for`). 39-42, 50-56 and 64-70 ask for intervals and durations: they are
answered of records whose ECGs were measured (see `measured_rules`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from truelead.questions.rules import RULES
from truelead.questions.template_table import ROWS, Row
from truelead.questions.wordings import Wordings

_CHECKED = frozenset({*range(26, 34), *range(35, 39), 68, 69, 70})


@dataclass(frozen=True)
class Template:
    """One question template.

    Attributes:
        template_id: ECG-QA's number, 1..70.
        question_type: one of `truelead.types.QUESTION_TYPES`.
        attribute_type: scp_code, noise, stage_of_infarction, extra_systole, heart_axis or
            numeric_feature.
        slots: kinds of the attributes to fill in, e.g. ("noise", "lead"); their values are
            `QuestionBank.domains`.
        wordings: patterns with {a}, {b}, {c} for the attributes other than {lead}.
        official_checked: `wordings.train[0]` is verified to be ECG-QA's own wording.
    """

    template_id: int
    question_type: str
    attribute_type: str
    slots: tuple[str, ...]
    wordings: Wordings
    official_checked: bool

    @property
    def official(self) -> str:
        """ECG-QA's wording, or where it is not `official_checked` its reconstruction."""
        return self.wordings.train[0]

    @property
    def kind(self) -> str:
        """verify, choose or query."""
        return self.question_type.rpartition("-")[2]

    @property
    def ecgs(self) -> int:
        """How many ECGs the question is about: 1 or 2."""
        return 1 if self.question_type.startswith("single") else 2

    @property
    def waits_for(self) -> str:
        """What is missing to answer the template, empty if there is a rule for it."""
        return "" if self.template_id in RULES else "leads of form statements"

    @property
    def measured(self) -> bool:
        """Whether it is answered by measurements of the ECG and not by labels."""
        return self.attribute_type == "numeric_feature"


def _template(row: Row) -> Template:
    number, kind, attribute, slots, words = row
    question_type = kind if "-" in kind else f"single-{kind}"
    return Template(number, question_type, attribute, slots, words, number in _CHECKED)


TEMPLATES: Mapping[int, Template] = MappingProxyType({row[0]: _template(row) for row in ROWS})
"""template_id -> template, 1..70."""
