"""How the stages train, and how their work is spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from truelead.config.base import Frozen, Scalar


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
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_clipping: float = Field(1.0, gt=0, description="largest norm; not with muon")
    checkpoint_every: int = Field(100, ge=1, description="steps (encoder: epochs)")
    keep_checkpoints: int = Field(2, ge=1)
    max_failures: int = Field(2, ge=0)
    log_every: int = Field(10, ge=1)
    packing: Literal["auto", "cache", "packed"] = Field(
        "auto",
        description="how questions share their ECG: a key-value cache, or packed sequences",
    )
    tokens_per_sequence: int | None = Field(
        None, ge=1, description="bound of a packed sequence; None: a step's longest group, >= 256"
    )

    @model_validator(mode="after")
    def _one_worker_in_process(self) -> TrainConfig:
        if self.in_process and self.workers != 1:
            raise ValueError(f"workers: expected 1 with in_process, found {self.workers}")
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
