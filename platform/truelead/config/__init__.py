"""One run is one recipe: a YAML file plus `--set a.b=c`, frozen and checked before any work."""

from truelead.config.base import Frozen, Scalar
from truelead.config.data import (
    DataConfig,
    GenerateConfig,
    PlantedConfig,
    SplitBy,
    StatedSignalConfig,
)
from truelead.config.evaluation import ArmConfig, EvaluateConfig
from truelead.config.loading import load_recipe, parse_recipe, read_mapping
from truelead.config.model import EncoderConfig, LanguageModelConfig, ProjectorConfig
from truelead.config.parts import PartConfig, PartLearning, PartsConfig, PartsLearning
from truelead.config.questions import QuestionsConfig, Severity, SeverityConfig
from truelead.config.recipe import Recipe
from truelead.config.training import EncoderTrainingConfig, StageConfig, TrainConfig

__all__ = [
    "ArmConfig",
    "DataConfig",
    "EncoderConfig",
    "EncoderTrainingConfig",
    "EvaluateConfig",
    "Frozen",
    "GenerateConfig",
    "LanguageModelConfig",
    "PartConfig",
    "PartLearning",
    "PartsConfig",
    "PartsLearning",
    "PlantedConfig",
    "ProjectorConfig",
    "QuestionsConfig",
    "Recipe",
    "Scalar",
    "Severity",
    "SeverityConfig",
    "SplitBy",
    "StageConfig",
    "StatedSignalConfig",
    "TrainConfig",
    "load_recipe",
    "parse_recipe",
    "read_mapping",
]
