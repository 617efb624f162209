"""Which templates the labels of a set answer: an absent label says no only where it was looked for.

PTB-XL's annotators went through all statements, and noted noise, extra beats, axis and stage of
infarction. Other sets label some statements, each its own, or none at all: a question for "any
symptoms", or for a note that nobody took, would be answered with a "none" that nobody said.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from truelead.questions.templates import Template
from truelead.types import Record

PARTLY_LABELLED: Mapping[str, bool] = MappingProxyType(
    {"mimic_iv_ecg": False, "code15": True, "cinc": True, "ludb": True, "folder": True}
)
"""Source of a set that is not labelled as PTB-XL is -> whether it labels statements at all."""


def labels_answer(record: Record, template: Template) -> bool:
    """Whether the record's set labels, or measurements give, what the template asks.

    Of a partly labelled set only a statement that is named is asked, which the set then has: one
    without train ECGs is never named.
    """
    if record.source not in PARTLY_LABELLED or template.measured:
        return True
    named = template.kind == "verify" and template.slots == ("symptom",)
    return named and PARTLY_LABELLED[record.source]
