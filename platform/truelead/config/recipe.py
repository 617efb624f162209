"""One recipe: everything that a run needs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from truelead.config.base import Frozen
from truelead.config.data import DataConfig, GenerateConfig, PlantedConfig
from truelead.config.evaluation import ArmConfig, EvaluateConfig
from truelead.config.model import EncoderConfig, LanguageModelConfig, ProjectorConfig
from truelead.config.questions import QuestionsConfig, Severity
from truelead.config.training import EncoderTrainingConfig, StageConfig, TrainConfig
from truelead.errors import ConfigError


class Recipe(Frozen):
    """Everything a run needs; saved resolved beside its results."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    seed: int = 0
    output: Path = Path("runs/default")
    generate: GenerateConfig = GenerateConfig()
    planted: PlantedConfig | None = Field(
        None, description="generate ECGs with planted truth instead (setup planted)"
    )
    data: DataConfig = DataConfig()
    encoder: EncoderConfig = EncoderConfig()
    encoder_training: EncoderTrainingConfig = EncoderTrainingConfig()
    projector: ProjectorConfig = ProjectorConfig()
    language_model: LanguageModelConfig = LanguageModelConfig()
    questions: QuestionsConfig = QuestionsConfig()
    severity: Severity = "ptbxl"
    pretrain: StageConfig = StageConfig(steps=800)
    finetune: StageConfig = StageConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    arms: tuple[ArmConfig, ...] = (
        ArmConfig(name="erm"),
        ArmConfig(name="debiased", pretrain="do-question-balanced", finetune="random-ecg-margin"),
    )

    @model_validator(mode="after")
    def _arms_are_distinct(self) -> Recipe:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"arms: expected distinct names, found {', '.join(names)}")
        for arm in self.arms:
            if arm.trained_wordings not in (None, "all") and self.questions.wording_fold:
                raise ValueError(
                    f"arms: {arm.name}: trained_wordings: expected questions.wording_fold 0, "
                    f"found {self.questions.wording_fold}"
                )
        return self

    def arm(self, name: str) -> Recipe:
        """This recipe with the arm's strategies in its two stages, and the arm's wordings.

        Raises:
            ConfigError: no such arm.
        """
        for arm in self.arms:
            if arm.name == name:
                wordings = arm.trained_wordings or self.questions.trained_wordings
                return self.model_copy(
                    update={
                        "questions": self.questions.model_copy(
                            update={"trained_wordings": wordings}
                        ),
                        "pretrain": self.pretrain.with_strategy(arm.pretrain, arm.pretrain_options),
                        "finetune": self.finetune.with_strategy(arm.finetune, arm.finetune_options),
                    }
                )
        raise ConfigError(
            f"arms: expected one of {', '.join(a.name for a in self.arms)}, found {name!r}"
        )
