"""The base of all wire schemas: strict, frozen, and careful about what it repeats."""

from __future__ import annotations

import base64
import binascii
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
    """Immutable; a field that the schema lacks is refused by name, with those it has."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name in data:
                if name not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_field",
                        "expected only the fields {known}, found {name}",
                        {"known": ", ".join(cls.model_fields), "name": shown_name(name)},
                    )
        return data


def shown_name(name: object) -> str:
    """A field's name fit for a one-line message; anything longer or stranger is not repeated."""
    text = str(name)
    plain = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return f"'{text}'" if plain and len(text) <= 40 else "another"


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
