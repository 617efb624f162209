"""One recipe: everything that a run needs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from truelead.config.base import Frozen
from truelead.config.data import DataConfig, GenerateConfig, PlantedConfig
from truelead.config.evaluation import ArmConfig, EvaluateConfig
from truelead.config.model import EncoderConfig, LanguageModelConfig, ProjectorConfig
from truelead.config.parts import Learning, PartConfig, PartLearning, PartsLearning
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

    @model_validator(mode="after")
    def _parts_can_learn(self) -> Recipe:
        for stage in ("pretrain", "finetune"):
            parts = self.parts(stage)
            if all(part.train == "frozen" for _, part in parts):
                raise ValueError(f"{stage}.parts: expected a part that learns, found all frozen")
        return self

    def parts(self, stage: str) -> PartsLearning:
        """How each part of the model learns in "pretrain" or "finetune".

        What `<stage>.parts` leaves open follows the older keys: the encoder learns where
        `encoder_learning_rate` is above 0, the language model as `language_model.train` says, the
        projector always.
        """
        config: StageConfig = getattr(self, stage)
        rate = config.encoder_learning_rate
        wanted = config.parts.encoder
        if wanted.train == "frozen" and rate > 0:
            raise ValueError(
                f"{stage}.parts.encoder: train: frozen: expected encoder_learning_rate 0"
            )
        if wanted.train in ("full", "lora") and not (wanted.learning_rate or rate):
            raise ValueError(f"{stage}.parts.encoder: learning_rate: expected one, found none")
        trains = wanted.learning_rate is not None or rate > 0
        return PartsLearning(
            encoder=self._learning(wanted, "full" if trains else "frozen", rate),
            projector=self._learning(config.parts.projector, "full", config.learning_rate),
            language_model=self._learning(
                config.parts.language_model, self.language_model.train, config.learning_rate
            ),
        )

    def _learning(self, wanted: PartConfig, train: Learning, rate: float) -> PartLearning:
        train = wanted.train or train
        return PartLearning(
            train=train,
            learning_rate=0.0 if train == "frozen" else wanted.learning_rate or rate,
            lora_rank=wanted.lora_rank or self.language_model.lora_rank,
            lora_alpha=wanted.lora_alpha or self.language_model.lora_alpha,
        )

    def trains_encoder(self, stage: str) -> bool:
        """Whether the stage changes the encoder, so that its features cannot be computed ahead."""
        return self.parts(stage).encoder.train != "frozen"

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
