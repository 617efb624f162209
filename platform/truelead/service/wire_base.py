"""The base of all wire schemas: strict, frozen, and careful about what it repeats."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

NOTICE = "Not for clinical use: research software, no medical device."


class Wire(BaseModel):
    """Immutable; a field that the schema lacks is refused with those it has, and not repeated."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sum(name not in cls.model_fields for name in data)
            if unknown:
                # A name that nobody knows may be a patient's.
                raise PydanticCustomError(
                    "unknown_field",
                    "expected only the fields {known}, found {unknown} of another name",
                    {"known": ", ".join(cls.model_fields), "unknown": unknown},
                )
        return data


def is_own_name(name: object) -> bool:
    """Whether a schema of the service has a field of this name; others are never repeated."""
    return str(name) in _own_names()


@lru_cache(maxsize=1)
def _own_names() -> frozenset[str]:
    """Names of the fields of all schemas; asked for once all of them are there."""
    names: set[str] = set()
    left: list[type[Wire]] = [Wire]
    while left:
        schema = left.pop()
        left.extend(schema.__subclasses__())
        names.update(schema.model_fields)
    return frozenset(names)


def _from_base64(value: object) -> object:
    """Bytes of base64 text; bytes (of an uploaded file) stay as they are."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("base64", "expected base64 text")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("base64", "expected base64 text, found another") from None


Base64Content = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
