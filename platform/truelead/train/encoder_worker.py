"""What a worker does in encoder pre-training: shuffled ECGs in, label and contrast loss out.

Shape suffixes: N ECGs in the batch, L leads (12), T samples, C targets, S tokens of a report.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from truelead.config import Recipe
from truelead.data.store import ShardStore
from truelead.model.encoder import build_encoder
from truelead.model.encoder.pretraining import EncoderPretrainingModel
from truelead.train.augmentation import Augmentation
from truelead.train.encoder_metrics import label_metrics
from truelead.train.encoder_targets import Targets
from truelead.train.engine import Engine
from truelead.train.environment import prepare_worker
from truelead.train.feed import stream
from truelead.train.launch import reporting_errors
from truelead.train.loop import LoopConfig, Trainer
from truelead.train.metrics import MetricsWriter
from truelead.train.optimizer import Optimization
from truelead.train.plan import Plan, PlannedStep, Position
from truelead.train.readers import SignalReader
from truelead.train.stage_checkpoints import stage_checkpoints
from truelead.train.step import FeedBatch, LossTerms
from truelead.train.throughput import Ratio
from truelead.train.trackers import TrackedRun
from truelead.train.watchdog import Watchdog

ENCODER_METRICS = "metrics.json"
_EVALUATION_BATCH = 128


@dataclass(frozen=True)
class EncoderArguments:
    """What the driver tells every worker.

    Attributes:
        folder: of the stage; rank 0 saves the encoder and its metrics there.
        shards: the stored signals.
        targets: Ray reference of the `Targets`.
        key: digest of the stage.
        steps: length of the stage; epoch_steps: of an epoch.
    """

    recipe: Recipe
    folder: Path
    shards: Path
    targets: Any
    key: str
    steps: int
    epoch_steps: int


class EncoderTask:
    """Standardised, augmented ECGs with their labels and reports."""

    def __init__(
        self,
        recipe: Recipe,
        targets: Targets,
        reader: SignalReader,
        *,
        steps: int,
        rank: int,
        workers: int,
    ) -> None:
        self._objective = recipe.encoder_training.objective
        self._augmentation = Augmentation() if recipe.encoder_training.augment else None
        self._targets = targets
        self._weight_C = targets.weights(recipe.encoder_training.notes_weight)
        self._reader = reader
        self._steps = steps
        self._rank = rank
        self._workers = workers
        self._in_process = recipe.train.in_process
        self._plan: Plan[str, bool] = Plan(
            list(targets.row),
            lambda record_id, epoch: True,
            size=recipe.encoder_training.batch_size,
            seed=recipe.seed,
        )

    def batches(self, step: int, position: dict[str, int] | None) -> Iterator[FeedBatch]:
        """This worker's batches from `step` on."""
        planned = self._plan.steps(Position(**position) if position else Position())
        arrays = stream(
            planned,
            self._mine,
            self._reader,
            limit=self._steps - step,
            storage_order=self._targets.row,
            in_process=self._in_process,
        )
        for item, ecg_NLT in arrays:
            rows = [self._targets.row[name] for name in self._mine(item)]
            content = {
                "ecg_NLT": torch.from_numpy(ecg_NLT),
                "labels_NC": torch.from_numpy(self._targets.label_NC[rows]).float(),
                "label_weight_NC": torch.from_numpy(self._targets.known_NC[rows] * self._weight_C),
            }
            if "contrastive" in self._objective:
                mask_NS = torch.from_numpy(self._targets.report_mask_NS[rows])
                length = max(1, int(mask_NS.sum(1).max()))
                ids_NS = torch.from_numpy(self._targets.report_ids_NS[rows])
                content["report_ids_NS"] = ids_NS[:, :length]
                content["report_mask_NS"] = mask_NS[:, :length]
            yield FeedBatch(content, dataclasses.asdict(item.after))

    def loss(self, engine: Engine, content: dict[str, Tensor]) -> LossTerms:
        """Mean loss of the share, weighted by its ECGs."""
        if self._augmentation is not None:
            content = {**content, "ecg_NLT": self._augmentation(content["ecg_NLT"])}
        content = {name: value.to(engine.device) for name, value in content.items()}
        content["ecg_NLT"] = content["ecg_NLT"].to(engine.dtype)
        output = engine(objective=self._objective, **content)
        n = len(content["ecg_NLT"])
        return LossTerms(output["loss"] * n, torch.tensor(float(n)), {"ecgs": float(n)})

    def probe(self, engine: Engine, content: Any) -> dict[str, Ratio]:
        """Nothing: there are no questions yet."""
        return {}

    def _mine(self, step: PlannedStep[str, bool]) -> list[str]:
        return [planned.item for planned in step.share(self._rank, self._workers)]


def encoder_worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """Ray Train's worker function; `arguments` are the fields of `EncoderArguments`."""
    return reporting_errors(_train, arguments)


def _train(arguments: dict[str, Any]) -> dict[str, Any]:
    told = EncoderArguments(**arguments)
    recipe, train = told.recipe, told.recipe.train
    config = recipe.encoder_training
    prepare_worker(train.threads_per_worker, deterministic=train.deterministic)
    import ray

    rank, workers = dist.get_rank(), dist.get_world_size()
    targets: Targets = ray.get(told.targets)
    store = ShardStore(told.shards)
    reader = SignalReader(
        told.shards, store.digest, float(recipe.data.sampling_rate), recipe.data.duration_seconds
    )
    engine = Engine(
        _model(told, targets),
        train,
        Optimization(
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            warmup_steps=int(config.warmup_fraction * told.steps),
            steps=told.steps,
        ),
    )
    trainer = Trainer(
        engine,
        EncoderTask(recipe, targets, reader, steps=told.steps, rank=rank, workers=workers),
        LoopConfig(
            told.steps,
            train.checkpoint_every * told.epoch_steps,
            train.log_every,
            recipe.seed,
        ),
        checkpoints=stage_checkpoints(told.folder, told.key, train),
        writer_for=(lambda first: _writer(told, first)) if rank == 0 else None,
        watchdog=Watchdog(train.step_timeout_seconds, rank=rank, folder=told.folder),
    )
    trainer.fit()
    summary = trainer.throughput.whole_run()
    state = engine.full_state()
    if rank > 0:
        return {}
    return {**_finish(told, targets, store, reader, state), "summary": summary}


def _writer(told: EncoderArguments, first_step: int) -> MetricsWriter:
    parameters = told.recipe.model_dump(mode="json")
    run = TrackedRun(told.folder, first_step, told.recipe.name, "encoder", parameters)
    return MetricsWriter(told.folder, first_step, told.recipe.train.trackers, run)


def _model(told: EncoderArguments, targets: Targets) -> EncoderPretrainingModel:
    recipe = told.recipe
    torch.manual_seed(recipe.seed)
    samples = round(recipe.data.sampling_rate * recipe.data.duration_seconds)
    contrastive = "contrastive" in recipe.encoder_training.objective
    return EncoderPretrainingModel(
        build_encoder(recipe.encoder, samples),
        len(targets.names),
        targets.vocabulary_size if contrastive else None,
    )


def _finish(
    told: EncoderArguments,
    targets: Targets,
    store: ShardStore,
    reader: SignalReader,
    state: dict[str, Tensor],
) -> dict[str, Any]:
    """Measure the encoder on the split of the judge, and save it."""
    model = _model(told, targets)
    model.load_state_dict(state)
    model.eval()
    split = told.recipe.evaluate.split
    ids = store.ids(split)
    logits = []
    with torch.inference_mode():
        for first in range(0, len(ids), _EVALUATION_BATCH):
            ecg_NLT = torch.from_numpy(reader(ids[first : first + _EVALUATION_BATCH]))
            labels_NC = torch.zeros(len(ecg_NLT), len(targets.names))
            logits.append(model(ecg_NLT, labels_NC)["logits"])
    metrics: dict[str, Any] = {"split": split, "ecgs": len(ids)}
    if ids and "labels" in told.recipe.encoder_training.objective:
        records = [store.record(name) for name in ids]
        metrics |= label_metrics(torch.cat(logits).numpy(), records, targets)
    (told.folder / ENCODER_METRICS).write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    model.encoder.save(told.folder)
    return metrics
