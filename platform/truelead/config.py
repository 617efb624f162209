"""One run is one recipe: a YAML file plus `--set a.b=c`, frozen and checked before any work."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from truelead.errors import ConfigError

Scalar = str | int | float | bool | None


class Frozen(BaseModel):
    """Immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class GenerateConfig(Frozen):
    """A generated set in PTB-XL's layout, used where no real set is named."""

    patients: int = Field(400, ge=1)
    ecgs_per_patient: float = Field(1.5, ge=1.0, description="mean number of serial ECGs")
    sampling_rate: Literal[100, 500] = 100
    seed: int = 0


class PlantedConfig(Frozen):
    """A set with planted truth: the dials of `truelead.debias.planted.planted_model`.

    One ECG a patient, at 100 Hz. Confounding and positivity shape only what is asked, so that one
    set of ECGs serves several levels of them.
    """

    ecgs: int = Field(2000, ge=10)
    conditions: int = Field(6, ge=2, le=8)
    strata: int = Field(3, ge=2, le=4)
    confounding: float = Field(1.0, ge=0, le=1)
    positivity: float = Field(0.1, ge=0, le=1)
    noise: float = Field(0.4, ge=0, le=1)
    severity_readable: float = Field(0.0, ge=0, le=1)
    false_trace: float = Field(0.05, ge=0, le=1)
    seed: int = Field(0, ge=0)


class DataConfig(Frozen):
    """Which ECGs, how they are split, and how they are stored."""

    source: str = "ptbxl"
    root: Path | None = Field(None, description="folder of the set; None: generated ECGs")
    ecg_qa: Path | None = Field(None, description="folder of ECG-QA's official layout")
    split_by: Literal["strat_fold", "ecg_qa"] = "strat_fold"
    development_fraction: float = Field(
        0.1, ge=0.0, lt=0.5, description="share of the train patients kept for choosing"
    )
    sampling_rate: Literal[100, 500] = 100
    duration_seconds: float = Field(10.0, gt=0)
    records_per_shard: int = Field(256, ge=1)
    limit: int | None = Field(None, ge=1, description="first n records of the set only")


class EncoderConfig(Frozen):
    """ECG encoder: a name of `truelead.model.encoder.ENCODERS` and its arguments."""

    name: str = "resnet1d"
    options: dict[str, Scalar] = Field(default_factory=dict)


class EncoderTrainingConfig(Frozen):
    """Encoder pre-training by SCP labels, by contrast with the reports, or both."""

    objective: Literal["labels", "contrastive", "labels+contrastive"] = "labels+contrastive"
    epochs: int = Field(8, ge=1)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    minimum_positives: int = Field(8, ge=1, description="codes with fewer train ECGs are left out")
    notes_weight: float = Field(
        0.25, ge=0, description="of noise, extra beats and axis together beside the statements"
    )
    augment: bool = True


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


class QuestionsConfig(Frozen):
    """Which questions are asked: a name of `truelead.debias.setup.SETUPS` and its arguments."""

    setup: str = "ptbxl-severity"
    minimum_positives: int = Field(60, ge=1, description="codes with fewer train ECGs: not asked")
    templates: tuple[int, ...] | None = Field(
        None, min_length=1, description="ask only these of ECG-QA's 70 templates (setup ecg-qa)"
    )
    wording_folds: int = Field(3, ge=2, le=6, description="splits of the wordings for a k-fold")
    wording_fold: int = Field(0, ge=0, description="0: the usual test wordings; others in turn")
    trained_wordings: Literal["all", "template", "paraphrased"] = Field(
        "all", description="what training asks in: all, ECG-QA's own wording, or the others"
    )
    held_out_codes: tuple[str, ...] = Field(
        (), description="never asked in training, for the zero-shot test (setup ptbxl-severity)"
    )
    seed: int = 0

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> QuestionsConfig:
        if self.wording_fold >= self.wording_folds:
            raise ValueError(
                f"wording_fold: expected 0 to {self.wording_folds - 1} (wording_folds - 1), "
                f"found {self.wording_fold}"
            )
        if self.trained_wordings != "all" and self.wording_fold:
            raise ValueError(
                f"trained_wordings: {self.trained_wordings}: expected wording_fold 0, "
                f"found {self.wording_fold}"
            )
        return self


class StageConfig(Frozen):
    """One stage of language-model training: de-biased pre-training, or QA tuning."""

    strategy: str = Field("none", description="a name of truelead.debias.adjustment.ADJUSTMENTS")
    options: dict[str, Scalar] = Field(default_factory=dict, description="strategy arguments")
    steps: int = Field(400, ge=0)
    ecgs_per_step: int = Field(16, ge=1)
    questions_per_ecg: int = Field(8, ge=1, description="mean number drawn for an ECG an epoch")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw", description="muon: for the hidden matrices, best for a model from scratch"
    )
    learning_rate: float = Field(1e-3, gt=0)
    matrix_learning_rate: float = Field(0.02, gt=0, description="of what Muon updates")
    encoder_learning_rate: float = Field(0.0, ge=0, description="0 keeps the encoder frozen")
    weight_decay: float = Field(0.05, ge=0)
    warmup_fraction: float = Field(0.1, ge=0, lt=1)

    def with_strategy(self, strategy: str, options: Mapping[str, Scalar]) -> StageConfig:
        """The stage with another strategy, and `options` on top of its own."""
        return self.model_copy(
            update={"strategy": strategy, "options": {**self.options, **options}}
        )


class TrainConfig(Frozen):
    """How the work is spread; the same for every training stage."""

    workers: int = Field(1, ge=1)
    cpus_per_worker: float = Field(1.0, gt=0)
    threads_per_worker: int = Field(1, ge=1)
    use_gpu: bool = False
    zero_stage: Literal[0, 1, 2, 3] = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_clipping: float = Field(1.0, gt=0, description="largest norm; not with muon")
    checkpoint_every: int = Field(100, ge=1, description="steps (encoder: epochs)")
    keep_checkpoints: int = Field(2, ge=1)
    max_failures: int = Field(2, ge=0)
    log_every: int = Field(10, ge=1)


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


class SeverityConfig(Frozen):
    """A name of `truelead.debias.severity.SEVERITIES`, with a number of strata of its own."""

    name: str
    strata: int = Field(ge=2, le=32)


_FORMS = ("a provider's name", "a provider with its strata")
"""How a severity may be given; pydantic puts the form among the keys of an error."""

Severity = Annotated[
    Annotated[str, Tag(_FORMS[0])] | Annotated[SeverityConfig, Tag(_FORMS[1])],
    Discriminator(lambda found: _FORMS[0] if isinstance(found, str) else _FORMS[1]),
]
"""A plain name has the provider's usual strata."""


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


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a YAML recipe and apply `a.b=c` overrides (values are YAML).

    Raises:
        ConfigError: the file is missing or no mapping; a key is unknown; a value does not fit.
    """
    tree = read_mapping(path, file="a recipe file", keys="recipe keys")
    for override in overrides:
        _set(tree, override)
    return parse_recipe(tree, where=str(path))


def read_mapping(path: str | Path, *, file: str, keys: str) -> dict[str, Any]:
    """The mapping in a YAML file; `file` and `keys` name in errors what was expected.

    Raises:
        ConfigError: the file is missing, no YAML, or no mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: expected {file} (YAML), found none")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of {keys}")
    return tree


def parse_recipe(tree: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Check a mapping against `Recipe`; one line names the first wrong key."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        location = tuple(part for part in first["loc"] if part not in _FORMS)
        key = ".".join(str(part) for part in location)
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{where}: unknown key {key!r}{_hint(location)}") from None
        found = repr(first.get("input"))
        raise ConfigError(
            f"{where}: {key or 'recipe'}: {first['msg']}, found {found[:80]}"
        ) from None


def _set(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override}: expected key.path=value")
    node: Any = tree
    *parents, last = key.split(".")
    for part in parents:
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
            continue
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = {}
        if not isinstance(node, dict) or not isinstance(node[part], dict | list):
            raise ConfigError(f"--set {override}: {part!r} holds no keys")
        node = node[part]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: expected a YAML value") from error
    if isinstance(node, list):
        if not last.isdigit() or int(last) >= len(node):
            raise ConfigError(f"--set {override}: expected an index below {len(node)}")
        node[int(last)] = value
    else:
        node[last] = value


def _hint(location: tuple[int | str, ...]) -> str:
    """What the level of an unknown key accepts, nearest name first."""
    model: Any = Recipe
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        model = _model_of(model.model_fields[part].annotation)
        if model is None:
            return ""
    names = list(model.model_fields)
    near = difflib.get_close_matches(str(location[-1]), names, n=1)
    return (f", did you mean {near[0]!r}?" if near else "") + f" (expected {', '.join(names)})"


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    origins = (tuple, list, types.UnionType, typing.Union, typing.Annotated)
    if typing.get_origin(annotation) in origins:
        for argument in typing.get_args(annotation):
            if (model := _model_of(argument)) is not None:
                return model
    return None
