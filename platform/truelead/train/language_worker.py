"""What a worker does in a language-model stage: planned questions in, answer loss out.

Shape suffixes: G groups, B question rows, N ECGs in the batch, P patches, D encoder width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from truelead.config import Recipe
from truelead.data.store import ShardStore
from truelead.debias.adjustment import Adjustment, DrawnQuestion
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.model.batch import Batch
from truelead.model.build import load_model, prepare_for_training, save_model
from truelead.model.export import save_adapter
from truelead.model.language_model import has_lora
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.train.answer_rows import OptionBatch, OptionBatches
from truelead.train.engine import Engine
from truelead.train.environment import prepare_worker
from truelead.train.features import FeatureCache
from truelead.train.feed import stream
from truelead.train.launch import reporting_errors
from truelead.train.loop import FeedBatch, LoopConfig, LossTerms, Trainer
from truelead.train.metrics import MetricsWriter
from truelead.train.objective_model import MODEL_PREFIX, ObjectiveModel, split_state
from truelead.train.optimizer import Optimization
from truelead.train.packing import Packer, make_packer
from truelead.train.plan import Plan, Planned, PlannedStep, Position
from truelead.train.readers import FeatureReader, Reader, SignalReader
from truelead.train.stage import ADAPTER
from truelead.train.stage_checkpoints import stage_checkpoints
from truelead.train.watchdog import Watchdog

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
    """

    recipe: Recipe
    stage: str
    start: Path
    folder: Path
    features: Path | None
    shards: Path
    adjustment: Any
    key: str


class QuestionTask:
    """Questions drawn for the planned groups; those about one ECG share its encoding."""

    def __init__(
        self,
        plan: Plan[Group, tuple[DrawnQuestion, ...]],
        reader: Reader,
        processor: TrueLeadProcessor,
        *,
        steps: int,
        rank: int,
        workers: int,
        options: OptionBatches | None = None,
        packer: Packer | None = None,
        in_process: bool = False,
    ) -> None:
        """Args:
        reader: gives features (a `FeatureReader`) or standardised signals.
        steps: length of the stage.
        rank, workers: which share of every step is this worker's.
        options: makes rows of options for an objective; None for the answers' likelihood.
        packer: lays rows of answers out in packed sequences; None leaves them to the cache.
        in_process: read the ECGs in this process, not by Ray Data.
        """
        self._plan = plan
        self._reader = reader
        self._processor = processor
        self._steps = steps
        self._rank = rank
        self._workers = workers
        self._options = options
        self._in_process = in_process
        self._packer = packer
        # The plan's groups follow the listing of the set, as the shards and the features do.
        names = dict.fromkeys(name for group in plan.items for name in group)
        self._storage_order = {name: number for number, name in enumerate(names)}

    def batches(self, step: int, position: dict[str, int] | None) -> Iterator[FeedBatch]:
        """This worker's batches from `step` on."""
        planned = self._plan.steps(Position(**position) if position else Position())
        arrays = stream(
            planned,
            self._record_ids,
            self._reader,
            limit=self._steps - step,
            storage_order=self._storage_order,
            in_process=self._in_process,
        )
        for item, values in arrays:
            yield FeedBatch(self._batch(item, values), dataclasses.asdict(item.after))

    def loss(self, engine: Engine, content: Batch | OptionBatch) -> LossTerms:
        """Weighted negative log-likelihood of the answers, or the strategy's own objective."""
        if isinstance(content, OptionBatch):
            options = content.to(engine.device)
            loss, batch = engine(options), options.batch
            tokens_B = options.answer_tokens_B
        else:
            batch = content.to(engine.device)
            output = engine(batch=batch)
            loss, tokens_B = (batch.weight_B * output.loss_B).sum(), output.tokens_B
        counts = {
            "answer_tokens": float(tokens_B.sum()),
            "questions": float(batch.rows),
            "ecgs": float((batch.ecg_index_GE >= 0).sum()),
        }
        return LossTerms(loss, (batch.weight_B * tokens_B).sum(), counts)

    def _mine(self, step: Step) -> Sequence[Planned[Group, tuple[DrawnQuestion, ...]]]:
        return step.share(self._rank, self._workers)

    def _record_ids(self, step: Step) -> list[str]:
        return list(dict.fromkeys(name for planned in self._mine(step) for name in planned.item))

    def _batch(self, step: Step, values: NDArray[Any]) -> Batch | OptionBatch:
        place = {name: index for index, name in enumerate(self._record_ids(step))}
        kind = "features" if values.dtype == np.float16 else "ecgs"
        if self._options is not None:
            drawn = [(planned.item, planned.content) for planned in self._mine(step)]
            return self._options(drawn, place, {kind: values})
        groups = [
            GroupInput(
                ecgs=tuple(place[name] for name in planned.item),
                questions=tuple(drawn.question for drawn in planned.content),
                weights=tuple(drawn.weight for drawn in planned.content),
                told_strata=tuple(drawn.told_stratum for drawn in planned.content),
            )
            for planned in self._mine(step)
        ]
        arrays: dict[str, Any] = {kind: values}
        batch = self._processor.batch(groups, **arrays)
        return batch if self._packer is None else self._packer(batch)


def language_worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """Ray Train's worker function; `arguments` are the fields of `LanguageArguments`."""
    return reporting_errors(_train, arguments)


def _train(arguments: dict[str, Any]) -> dict[str, Any]:
    told = LanguageArguments(**arguments)
    recipe, train = told.recipe, told.recipe.train
    config = getattr(recipe, told.stage)
    prepare_worker(train.threads_per_worker)
    import ray

    rank, workers = dist.get_rank(), dist.get_world_size()
    adjustment: Adjustment = ray.get(told.adjustment)
    model, processor = _start(told)
    objective = adjustment.objective(model.config.get_text_config().hidden_size)
    options = None
    if objective is not None:
        assert isinstance(adjustment, LossLevel), "objectives belong to loss-level strategies"
        options = OptionBatches(
            adjustment, processor, blind=objective.needs_blind, foil=objective.needs_foil
        )
    packer = make_packer(train, model, reads_options=objective is not None)
    trained = model if objective is None else ObjectiveModel(model, objective)
    engine = Engine(
        trained,
        train,
        Optimization(
            learning_rate=config.learning_rate,
            encoder_learning_rate=config.encoder_learning_rate,
            weight_decay=config.weight_decay,
            warmup_steps=int(config.warmup_fraction * config.steps),
            steps=config.steps,
            optimizer=config.optimizer,
            matrix_learning_rate=config.matrix_learning_rate,
            encoder_prefix="encoder." if objective is None else MODEL_PREFIX + "encoder.",
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
        steps=config.steps,
        rank=rank,
        workers=workers,
        options=options,
        packer=packer,
        in_process=train.in_process,
    )
    trainer = Trainer(
        engine,
        task,
        LoopConfig(config.steps, train.checkpoint_every, train.log_every, recipe.seed),
        checkpoints=stage_checkpoints(told.folder, told.key, train),
        writer_for=(lambda first: MetricsWriter(told.folder, first)) if rank == 0 else None,
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
    return {"metrics": metrics}


def _start(told: LanguageArguments) -> tuple[Any, TrueLeadProcessor]:
    """The model to train, the same in every worker: new adapters are drawn from the seed."""
    config = getattr(told.recipe, told.stage)
    model, processor = load_model(told.start)
    torch.manual_seed(told.recipe.seed)
    prepare_for_training(
        model, told.recipe.language_model, train_encoder=config.encoder_learning_rate > 0
    )
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
    if getattr(told.recipe, told.stage).encoder_learning_rate > 0:
        model.encoder.save(told.folder / "encoder")


def _reader(told: LanguageArguments) -> Reader:
    if told.features is not None:
        return FeatureReader(told.features, FeatureCache(told.features).digest)
    data, digest = told.recipe.data, ShardStore(told.shards).digest
    return SignalReader(told.shards, digest, float(data.sampling_rate), data.duration_seconds)
