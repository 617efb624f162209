"""Vectors of ECGs on the wire, in the schema of OpenAI's embeddings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from truelead.service import limits
from truelead.service.wire_base import NOTICE, Wire
from truelead.service.wire_ecg import EcgInput


class EmbeddingRequest(Wire):
    """ECGs to be embedded: one, or a list."""

    model: str | None = Field(None, max_length=limits.MAXIMUM_OPTION_CHARACTERS)
    input: tuple[EcgInput, ...] = Field(min_length=1, max_length=limits.MAXIMUM_EMBEDDED_ECGS)
    kind: Literal["encoder", "projector"] = Field(
        "encoder",
        description="mean of the encoder's patches, or of the tokens that the language model reads",
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64: of little-endian float32, as OpenAI's client asks for"
    )

    @field_validator("input", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value


class Embedding(Wire):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: tuple[float, ...] | str


class EmbeddingUsage(Wire):
    """No token of text is read for an embedding."""

    prompt_tokens: Literal[0] = 0
    total_tokens: Literal[0] = 0


class EmbeddingResponse(Wire):
    """The vectors in the order of the ECGs."""

    object: Literal["list"] = "list"
    data: tuple[Embedding, ...]
    model: str
    model_digest: str
    kind: Literal["encoder", "projector"]
    usage: EmbeddingUsage = EmbeddingUsage()
    notice: str = NOTICE
