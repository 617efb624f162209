"""The parts of the model: encoder, projector, language model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from truelead.config.base import Frozen, Scalar


class EncoderConfig(Frozen):
    """ECG encoder: a name of `truelead.model.encoder.ENCODERS` and its arguments."""

    name: str = "resnet1d"
    options: dict[str, Scalar] = Field(default_factory=dict)


class ProjectorConfig(Frozen):
    """Projection of encoder features into the language model's embedding space."""

    name: str = "mlp"
    options: dict[str, Scalar] = Field(default_factory=dict)


class LanguageModelConfig(Frozen):
    """A Hugging Face causal LM, or (path None) a small Llama built from these sizes."""

    path: str | None = Field(None, description="hub id or local folder")
    revision: str | None = Field(None, description="pinned revision of a hub id")
    hidden_size: int = Field(128, ge=8)
    layers: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    vocabulary_size: int = Field(1024, ge=64)
    train: Literal["full", "lora", "frozen"] = "full"
    lora_rank: int = Field(8, ge=1)
    lora_alpha: int = Field(16, ge=1)
