"""One clear line for what a schema refuses: the field, what was expected, never the value sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from truelead.service.wire_base import is_own_name
from truelead.service.wire_ecg import FILE_TAG, KNOWN_TAG, SAMPLES_TAG, WFDB_TAG
from truelead.types import LEADS

_NOT_SHOWN = {"body", SAMPLES_TAG, WFDB_TAG, FILE_TAG, KNOWN_TAG}
_INPUT = "Input should be "


def first_line(errors: Sequence[Mapping[str, Any]], *, foreign: bool = True) -> str:
    """The first of pydantic's errors as "field: expected ...".

    Args:
        errors: `ValidationError.errors()`, or those of FastAPI's `RequestValidationError`.
        foreign: whether a caller named the fields; names that no schema of the wire has are then
            not repeated, since they may hold a patient's.
    """
    error = errors[0]
    if error["type"] == "json_invalid":
        # Its location is a place in the text, not a field.
        return "body: expected JSON, found another text"
    return f"{_place(error['loc'], foreign)}: {_expected(error)}"


def _place(location: Sequence[int | str], foreign: bool) -> str:
    """ "ecgs.0.leads.V1.17" from pydantic's location, without what only the schema knows."""
    parts = [
        str(part) if isinstance(part, int) or not foreign or _is_shown(part) else "another"
        for part in location
        if part not in _NOT_SHOWN
    ]
    return ".".join(parts) or "request"


def _is_shown(part: str) -> bool:
    return part in LEADS or is_own_name(part)


def _expected(error: Mapping[str, Any]) -> str:
    kind, context = str(error["type"]), error.get("ctx") or {}
    message = " ".join(str(error["msg"]).split())
    if kind == "missing":
        return "expected this field, found none"
    if kind in {"too_long", "too_short"}:
        bound = "at most" if kind == "too_long" else "at least"
        number = context.get("max_length", context.get("min_length"))
        return f"expected {bound} {number}, found {context.get('actual_length', 'another number')}"
    if kind in {"string_too_long", "string_too_short"}:
        bound = "at most" if kind == "string_too_long" else "at least"
        number = context.get("max_length", context.get("min_length"))
        return f"expected {bound} {number} characters"
    if message.startswith(_INPUT):
        return f"expected {message.removeprefix(_INPUT)}"
    return message
