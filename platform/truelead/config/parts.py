"""How each part of the model learns in a stage: whole, by adapters, or not at all."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from truelead.config.base import Frozen

Learning = Literal["full", "lora", "frozen"]


class PartConfig(Frozen):
    """One part in one stage; what is not given follows the stage's and the model's own keys."""

    train: Learning | None = None
    learning_rate: float | None = Field(
        None, gt=0, description="peak rate, in place of the stage's"
    )
    lora_rank: int | None = Field(None, ge=1)
    lora_alpha: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _frozen_parts_have_no_rate(self) -> PartConfig:
        if self.train == "frozen" and self.learning_rate is not None:
            raise ValueError("learning_rate: expected none for a frozen part")
        return self


class PartsConfig(Frozen):
    """The parts of the model."""

    encoder: PartConfig = PartConfig()
    projector: PartConfig = PartConfig()
    language_model: PartConfig = PartConfig()


class PartLearning(Frozen):
    """What a stage does to one part, all of it decided.

    Attributes:
        learning_rate: peak rate of what AdamW updates; 0 for a frozen part.
    """

    train: Learning
    learning_rate: float
    lora_rank: int
    lora_alpha: int


class PartsLearning(Frozen):
    """What a stage does to each part of the model."""

    encoder: PartLearning
    projector: PartLearning
    language_model: PartLearning
