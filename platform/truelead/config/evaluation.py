"""The judge, and the models that it compares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from truelead.config.base import Frozen, Scalar


class EvaluateConfig(Frozen):
    """The judge."""

    split: str = "valid"
    bootstrap_samples: int = Field(1000, ge=100)
    batch_ecgs: int = Field(32, ge=1)
    maximum_questions: int | None = Field(None, ge=1, description="a suite; None: all")
    reliance: bool = Field(True, description="calibrate and test the reliance of single answers")
    further_questions: int | None = Field(
        2000, ge=1, description="of a test set that are asked again of changed ECGs; None: all"
    )


class ArmConfig(Frozen):
    """One model of a comparison: the strategies of its two language-model stages.

    Its options come on top of those of the stage.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    pretrain: str = "none"
    pretrain_options: dict[str, Scalar] = Field(default_factory=dict)
    finetune: str = "none"
    finetune_options: dict[str, Scalar] = Field(default_factory=dict)
    encoder: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: a frozen one that was never trained, as a control"
    )
    trained_wordings: Literal["all", "template", "paraphrased"] | None = Field(
        None, description="in place of questions.trained_wordings, for this arm's training"
    )
