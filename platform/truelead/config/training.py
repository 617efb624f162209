"""How the stages train, and how their work is spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from truelead.config.base import Frozen, Scalar
from truelead.config.parts import PartsConfig

OWNED_BY_THE_LOOP = {
    "train_batch_size": "ecgs_per_step of the stage",
    "train_micro_batch_size_per_gpu": "train.tokens_per_micro_batch",
    "gradient_accumulation_steps": "train.tokens_per_micro_batch",
    "managed_gradient_accumulation": "train.tokens_per_micro_batch",
    "optimizer": "optimizer of the stage",
    "scheduler": "learning_rate and warmup_fraction of the stage",
    "bf16": "train.dtype",
    "bfloat16": "train.dtype",
    "fp16": "train.dtype",
    "torch_autocast": "train.dtype",
}
"""Keys of DeepSpeed that a recipe may not override, with what says the same in its stead."""

TrackerName = Literal["tensorboard", "mlflow", "wandb"]


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
    parts: PartsConfig = Field(
        PartsConfig(), description="how encoder, projector and language model learn, each its own"
    )
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
    in_process: bool = Field(
        False, description="without Ray Train's workers: starts at once, one worker, no restarts"
    )
    cpus_per_worker: float = Field(1.0, gt=0)
    threads_per_worker: int = Field(1, ge=1)
    use_gpu: bool = False
    gpus_per_worker: float = Field(
        1.0, gt=0, le=1, description="with use_gpu; below 1 several trainings share a GPU"
    )
    zero_stage: Literal[0, 1, 2, 3] = 0
    offload_optimizer: bool = Field(
        False, description="optimizer state and its update in CPU memory; ZeRO 1 to 3"
    )
    offload_parameters: bool = Field(False, description="parameters in CPU memory; ZeRO 3")
    offload_adam: Literal["torch", "deepspeed"] = Field(
        "torch", description="deepspeed: its CPU Adam, faster, compiled at start by a C++ compiler"
    )
    deepspeed: dict[str, Any] = Field(
        default_factory=dict,
        description="keys of DeepSpeed's configuration, each in place of the derived one, whole",
    )
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_clipping: float = Field(1.0, gt=0, description="largest norm; not with muon")
    gradient_checkpointing: bool = Field(
        False, description="recompute the language model's layers in backward: memory for time"
    )
    tokens_per_micro_batch: int | None = Field(
        None,
        ge=1,
        description="a worker's share of a step in parts of at most so many tokens; None: whole",
    )
    compile: bool = Field(False, description="torch.compile the language model's layers")
    deterministic: bool = Field(False, description="the same run twice is the same bit for bit")
    peak_flops: float | None = Field(
        None, gt=0, description="of one worker's device, FLOP/s, for the MFU; None: by its name"
    )
    trackers: tuple[TrackerName, ...] = Field(
        ("tensorboard",), description="where metrics go beside metrics.jsonl"
    )
    checkpoint_every: int = Field(100, ge=1, description="steps (encoder: epochs)")
    keep_checkpoints: int = Field(2, ge=1)
    checkpoints_url: str | None = Field(
        None, description="folder of all stages' checkpoints, any fsspec URL; None: in the run"
    )
    max_failed_saves: int = Field(3, ge=1, description="in a row, before training stops")
    max_failures: int = Field(2, ge=0, description="restarts after lost workers; not in_process")
    max_controller_failures: int = Field(2, ge=0, description="restarts of Ray Train's controller")
    min_workers: int | None = Field(
        None, ge=1, description="elastic: train with as many, up to `workers`, as there is room for"
    )
    resize_seconds: float = Field(60.0, gt=0, description="elastic: how often to look for room")
    step_timeout_seconds: float | None = Field(
        None, gt=0, description="a worker without a finished step for so long is ended"
    )
    log_every: int = Field(10, ge=1)
    probe_every: int = Field(
        5, ge=0, description="logged steps between two looks at the loss with exchanged ECGs; 0: no"
    )
    packing: Literal["auto", "cache", "packed"] = Field(
        "auto",
        description="how questions share their ECG: a key-value cache, or packed sequences",
    )
    packed_attention: Literal["auto", "sdpa", "flex_attention"] = Field(
        "auto", description="of packed sequences; auto: sdpa on a CPU, flex_attention on a GPU"
    )
    tokens_per_sequence: int | None = Field(
        None, ge=1, description="bound of a packed sequence; None: a step's longest group, >= 256"
    )

    @field_validator("deepspeed")
    @classmethod
    def _owned_keys_stay(cls, found: dict[str, Any]) -> dict[str, Any]:
        for key in found:
            if key in OWNED_BY_THE_LOOP:
                raise ValueError(f"{key}: expected it unset: {OWNED_BY_THE_LOOP[key]} decides it")
        return found

    @model_validator(mode="after")
    def _options_fit_each_other(self) -> TrainConfig:
        if self.in_process and self.workers != 1:
            raise ValueError(f"workers: expected 1 with in_process, found {self.workers}")
        if self.offload_optimizer and self.zero_stage == 0:
            raise ValueError("offload_optimizer: expected zero_stage 1, 2 or 3, found 0")
        if self.offload_parameters and self.zero_stage != 3:
            raise ValueError(f"offload_parameters: expected zero_stage 3, found {self.zero_stage}")
        if self.offload_adam == "deepspeed" and not self.offload_optimizer:
            raise ValueError("offload_adam: deepspeed: expected with offload_optimizer")
        if self.gradient_checkpointing and self.packing == "cache":
            raise ValueError(
                "gradient_checkpointing: expected packing auto or packed, found cache: a key-value "
                "cache keeps what recomputation would drop"
            )
        if self.min_workers is not None and self.min_workers > self.workers:
            raise ValueError(
                f"min_workers: expected at most workers = {self.workers}, found {self.min_workers}"
            )
        return self

    @model_validator(mode="after")
    def _workers_have_whole_gpus(self) -> TrainConfig:
        # NCCL refuses two ranks of one group on the same GPU.
        if self.use_gpu and self.workers > 1 and self.gpus_per_worker < 1:
            raise ValueError(
                f"gpus_per_worker: expected 1 with {self.workers} workers, found "
                f"{self.gpus_per_worker:g}: only trainings of one worker share a GPU"
            )
        return self
