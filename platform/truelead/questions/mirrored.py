"""What a comparison becomes when its two ECGs change places.

What is resolved from a to b is newly detected from b to a; what persists, or stays absent, does so
both ways. So the mirrored question about the swapped pair has the answers of the question itself,
whatever the labels are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from truelead.questions.phrasing import question_id, text_of
from truelead.questions.templates import TEMPLATES
from truelead.types import Question

# Verified: resolved, new, persistent, absent; queried: resolved, new, persistent.
_MIRRORED_STEPS = (1, 0, 2, 3, 5, 4, 6)
MIRRORED_TEMPLATES: Mapping[int, int] = MappingProxyType(
    {
        first + step: first + mirrored
        for first in (43, 50, 57, 64)
        for step, mirrored in enumerate(_MIRRORED_STEPS)
    }
)
"""template_id of a comparison -> that of the mirrored one."""


def mirrored(question: Question) -> Question | None:
    """The mirrored question about the swapped pair, in the like wording, with the same answers.

    None where the question compares nothing, or is worded neither by the bank nor as a template
    without attributes.
    """
    if question.template_id not in MIRRORED_TEMPLATES:
        return None
    template = TEMPLATES[question.template_id]
    other = TEMPLATES[MIRRORED_TEMPLATES[question.template_id]]
    of_bank = question.wording_id.startswith("bank:")
    filled = tuple(question.question_id.split(":")[1:]) if of_bank else ()
    if len(filled) != len(template.slots):
        return None
    patterns = (*template.wordings.train, *template.wordings.test)
    others = (*other.wordings.train, *other.wordings.test)
    for pattern, like in zip(patterns, others, strict=True):
        if text_of(template, pattern, filled) == question.text:
            first, second = question.ecg_ids
            name = question.wording_id.split(":", 2)[2] if of_bank else "official"
            return replace(
                question,
                text=text_of(other, like, filled),
                ecg_ids=(second, first),
                template_id=other.template_id,
                question_id=question_id(other, filled),
                wording_id=f"bank:{other.template_id}:{name}",
            )
    return None
