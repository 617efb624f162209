"""What a rule is: records and filled attributes in, true answers out, or `Unanswerable`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from truelead.errors import QuestionError
from truelead.types import Record

NONE = "none"
Attributes = tuple[str, ...]
Rule = Callable[[Sequence[Record], Attributes], set[str]]
"""The records (one, or two to compare) and the filled attributes -> the true answers.

Statements are passed as codes, superclasses as CD, HYP, MI, STTC, everything else by its name.
"""


class Unanswerable(QuestionError):
    """What is known about the record does not say what the question asks."""


def yes_no(truth: bool) -> set[str]:
    """The answer to a question that verifies."""
    return {"yes" if truth else "no"}
