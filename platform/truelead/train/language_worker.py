"""What a worker does in a language-model stage: it loads, trains and saves the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from truelead.config import Recipe
from truelead.data.store import ShardStore
from truelead.debias.adjustment import Adjustment, DrawnQuestion
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.model.build import load_model, prepare_parts, save_model
from truelead.model.export import save_adapter
from truelead.model.language_model import has_lora
from truelead.model.processing import TrueLeadProcessor
from truelead.train.answer_rows import OptionBatches
from truelead.train.device import peak_flops
from truelead.train.engine import Engine
from truelead.train.environment import prepare_worker
from truelead.train.features import FeatureCache
from truelead.train.launch import reporting_errors
from truelead.train.loop import LoopConfig, Trainer
from truelead.train.metrics import MetricsWriter
from truelead.train.objective_model import MODEL_PREFIX, ObjectiveModel, split_state
from truelead.train.optimizer import Optimization
from truelead.train.packing import make_packer
from truelead.train.plan import Plan, PlannedStep
from truelead.train.question_task import QuestionTask
from truelead.train.readers import FeatureReader, Reader, SignalReader
from truelead.train.speed import check_separable, speed_up
from truelead.train.stage import ADAPTER
from truelead.train.stage_checkpoints import stage_checkpoints
from truelead.train.trackers import TrackedRun
from truelead.train.watchdog import Watchdog
from truelead.train.work import work_of

Group = tuple[str, ...]
Step = PlannedStep[Group, tuple[DrawnQuestion, ...]]


@dataclass(frozen=True)
class LanguageArguments:
    """What the driver tells every worker.

    Attributes:
        recipe: of the arm.
        stage: "pretrain" or "finetune", the field of the recipe.
        start: folder of the model to start from.
        folder: of the stage; rank 0 saves the trained model there.
        features: feature cache of the frozen encoder; None where the encoder is trained.
        shards: the stored signals.
        adjustment: Ray reference of the `Adjustment`.
        key: digest of the stage.
        until: step at which the training ends for now; None for its whole length.
    """

    recipe: Recipe
    stage: str
    start: Path
    folder: Path
    features: Path | None
    shards: Path
    adjustment: Any
    key: str
    until: int | None = None


def language_worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """Ray Train's worker function; `arguments` are the fields of `LanguageArguments`."""
    return reporting_errors(_train, arguments)


def _train(arguments: dict[str, Any]) -> dict[str, Any]:
    told = LanguageArguments(**arguments)
    recipe, train = told.recipe, told.recipe.train
    config = getattr(recipe, told.stage)
    prepare_worker(train.threads_per_worker, deterministic=train.deterministic)
    import ray

    rank, workers = dist.get_rank(), dist.get_world_size()
    adjustment: Adjustment = ray.get(told.adjustment)
    model, processor = _start(told)
    objective = adjustment.objective(model.config.get_text_config().hidden_size)
    options = None
    if objective is not None:
        assert isinstance(adjustment, LossLevel), "objectives belong to loss-level strategies"
        options = OptionBatches(
            adjustment,
            processor,
            blind=objective.needs_blind,
            foil=objective.needs_foil,
            company=train.zero_stage == 3 and workers > 1,
        )
    packer = make_packer(train, model, reads_options=objective is not None)
    check_separable(train, objective)
    work = work_of(model)
    speed_up(model, train, optimizer=config.optimizer)
    trained = model if objective is None else ObjectiveModel(model, objective)
    prefix = "" if objective is None else MODEL_PREFIX
    parts = recipe.parts(told.stage)
    engine = Engine(
        trained,
        train,
        Optimization(
            learning_rate=config.learning_rate,
            encoder_learning_rate=parts.encoder.learning_rate,
            weight_decay=config.weight_decay,
            warmup_steps=int(config.warmup_fraction * config.steps),
            steps=config.steps,
            optimizer=config.optimizer,
            matrix_learning_rate=config.matrix_learning_rate,
            encoder_prefix=prefix + "encoder.",
            part_learning_rates=(
                (prefix + "projector.", parts.projector.learning_rate),
                (prefix + "language_model.", parts.language_model.learning_rate),
            ),
        ),
    )
    task = QuestionTask(
        Plan(
            adjustment.setup.groups("train"),
            adjustment.draw,
            size=config.ecgs_per_step,
            seed=recipe.seed,
        ),
        _reader(told),
        processor,
        steps=told.until or config.steps,
        rank=rank,
        workers=workers,
        options=options,
        packer=packer,
        in_process=train.in_process,
        tokens_per_part=train.tokens_per_micro_batch,
        work=work,
        strata=adjustment.setup.severity.strata,
    )
    trainer = Trainer(
        engine,
        task,
        LoopConfig(
            config.steps,
            train.checkpoint_every,
            train.log_every,
            recipe.seed,
            probe_every=train.probe_every * train.log_every,
            peak_flops=peak_flops(train),
            until=told.until,
        ),
        checkpoints=stage_checkpoints(told.folder, told.key, train),
        writer_for=(lambda first: _writer(told, first)) if rank == 0 else None,
        watchdog=Watchdog(train.step_timeout_seconds, rank=rank, folder=told.folder),
    )
    metrics = trainer.fit()
    state = engine.full_state()
    if rank == 0:
        rule = None
        if objective is not None:
            state, own = split_state(state)
            objective.load_state_dict(own)
            rule = objective.answer_rule()
        _save(told, state, rule)
    return {"metrics": metrics, "summary": trainer.throughput.whole_run()}


def _writer(told: LanguageArguments, first_step: int) -> MetricsWriter:
    run = TrackedRun(
        told.folder,
        first_step,
        project=told.recipe.name,
        name=f"{told.folder.parent.name}/{told.stage}",
        parameters=told.recipe.model_dump(mode="json"),
    )
    return MetricsWriter(told.folder, first_step, told.recipe.train.trackers, run)


def _start(told: LanguageArguments) -> tuple[Any, TrueLeadProcessor]:
    """The model to train, the same in every worker: new adapters are drawn from the seed."""
    model, processor = load_model(told.start)
    torch.manual_seed(told.recipe.seed)
    prepare_parts(model, told.recipe.parts(told.stage))
    return model, processor


def _save(
    told: LanguageArguments, state: dict[str, torch.Tensor], rule: dict[str, float | str] | None
) -> None:
    # A fresh model takes the gathered state: the engine's own may be sharded or in bfloat16.
    model, processor = _start(told)
    model.load_state_dict(state)
    if rule is not None:
        model.config.answer_rule = rule
    if has_lora(model.language_model):
        save_adapter(told.folder / ADAPTER, model.language_model)
    save_model(told.folder, model.eval(), processor)
    if told.recipe.trains_encoder(told.stage):
        # As it was saved, with its adapters merged.
        load_model(told.folder)[0].encoder.save(told.folder / "encoder")


def _reader(told: LanguageArguments) -> Reader:
    if told.features is not None:
        return FeatureReader(told.features, FeatureCache(told.features).digest)
    data, digest = told.recipe.data, ShardStore(told.shards).digest
    return SignalReader(told.shards, digest, float(data.sampling_rate), data.duration_seconds)
