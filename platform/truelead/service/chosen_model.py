"""Which of the service's models a request names."""

from __future__ import annotations

from collections.abc import Sequence

from truelead.errors import ServiceError
from truelead.service.wire import ModelDescription

NAMED = 8
"""Models that a refusal still names one by one."""


def chosen_model(asked: str, known: Sequence[ModelDescription]) -> ModelDescription:
    """The model of that name, which is not repeated where there is none.

    Args:
        known: all models, the base first.

    Raises:
        ServiceError: 404, as OpenAI's API answers.
    """
    for one in known:
        if one.name == asked:
            return one
    names = ", ".join(repr(one.name) for one in known[:NAMED])
    if len(known) > 1:
        names = f"one of {names}" + (", ..." if len(known) > NAMED else "")
    raise ServiceError(f"model: expected {names}, found another", status=404)
