"""A language-model stage of an arm: de-biased (or plain) pre-training, or the tuning after it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from truelead.config import PartsConfig, Recipe, StageConfig
from truelead.data.durable import file_sha256
from truelead.data.measurements import measurement_digest
from truelead.data.store import ShardStore
from truelead.debias.adjustment import Adjustment, build_adjustment
from truelead.debias.setup import Setup, build_setup
from truelead.errors import ConfigError
from truelead.train.environment import prepare_driver, quieten_hub
from truelead.train.features import cache_digest, ensure_features
from truelead.train.launch import launch
from truelead.train.options import check_options
from truelead.train.progress import DIAGNOSTICS
from truelead.train.random_encoder import ensure_random_encoder
from truelead.train.severity_stage import ensure_severity
from truelead.train.stage import DONE, START, Stage
from truelead.train.training_diagnostics import write_training_diagnostics

StageName = Literal["pretrain", "finetune"]


@dataclasses.dataclass(frozen=True)
class Segment:
    """A piece of a pre-training whose configuration changes on its way.

    Attributes:
        until: step at which the piece ends; the learning rate follows the whole length.
        before: folder of the piece that it goes on from, perhaps of another training of the same
            model; None for the first.
    """

    until: int
    before: Path | None = None


def run(recipe: Recipe, arm: str, stage: StageName, *, segment: Segment | None = None) -> Path:
    """Train one stage of one arm, unless its folder holds it finished.

    Pre-training starts from the encoder and a new (or the configured) language model; tuning
    starts from the arm's pre-training. Two arms whose stages agree share the work. A segment
    trains a piece of the stage only, from the checkpoint of the piece before, which it leaves.

    Returns:
        `<output>/<arm>/<stage>`: the model in the hub's layout, recipe.yaml, metrics.jsonl,
        diagnostics.json (of the draw), training_diagnostics.json (of the trained model).

    Raises:
        ConfigError: no such arm or strategy, the stage before is not finished, or the engine's
            options do not fit this machine.
        ResourceError: the cluster cannot hold the workers.
    """
    prepare_driver()
    recipe = recipe.arm(arm)
    config: StageConfig = getattr(recipe, stage)
    if config.ecgs_per_step < recipe.train.workers:
        raise ConfigError(
            f"{stage}.ecgs_per_step: expected at least train.workers = {recipe.train.workers}, "
            f"found {config.ecgs_per_step}"
        )
    check_options(recipe.train, config.optimizer)
    shards, encoder = recipe.output / "shards", _encoder_folder(recipe, arm, stage)
    store = ShardStore(shards)
    parts = _parts(recipe, arm, stage, store, encoder)
    if segment is not None:
        parts["segment"] = _segment_parts(segment)
    place = Stage(recipe.output / arm / stage, parts)
    if place.is_finished():
        return place.folder
    place.begin(recipe)
    if segment is not None and segment.before is not None:
        _go_on_from(segment.before, place, recipe)
    summary: dict[str, float] = {}
    if segment is not None or not _copied_from_another_arm(recipe, arm, stage, place):
        ensure_severity(recipe)
        setup = build_setup(recipe, store.records)
        adjustment = build_adjustment(config, setup, recipe.seed)
        _write_diagnostics(place.folder, adjustment)
        until = None if segment is None else segment.until
        summary = _train(recipe, arm, stage, place, encoder, setup, adjustment, until)
        write_training_diagnostics(
            place.folder, f"{arm}: {stage}", store, setup, seed=recipe.questions.seed
        )
    steps = config.steps if segment is None else segment.until
    place.finish({"arm": arm, "stage": stage, "steps": steps, **summary})
    return place.folder


def pretraining_key(recipe: Recipe, arm: str) -> str:
    """Digest of everything that shapes an arm's pre-training; the shards and encoder are there.

    Raises:
        ConfigError: no such arm, or an encoder that cannot be trained.
        DataError: there are no shards.
    """
    recipe = recipe.arm(arm)
    store, encoder = ShardStore(recipe.output / "shards"), _first_encoder(recipe, arm)
    return Stage(
        recipe.output / arm / "pretrain", _parts(recipe, arm, "pretrain", store, encoder)
    ).key


def _train(
    recipe: Recipe,
    arm: str,
    stage: StageName,
    place: Stage,
    encoder: Path,
    setup: Setup,
    adjustment: Adjustment,
    until: int | None = None,
) -> dict[str, float]:
    from truelead.data.ray_session import ensure_ray
    from truelead.model.build import load_model, save_model
    from truelead.train.language_worker import LanguageArguments, language_worker

    quieten_hub()
    config: StageConfig = getattr(recipe, stage)
    start = _starting_model(recipe, arm, stage, place, encoder, setup, adjustment)
    if config.steps == 0:
        save_model(place.folder, *load_model(start))
        trained: dict[str, Any] = {}
    else:
        ensure_ray()
        import ray

        shards = recipe.output / "shards"
        features = None
        if not recipe.trains_encoder(stage):
            features = encoder.parent / "features"
            ensure_features(encoder, shards, features, recipe.data)
        told = LanguageArguments(
            recipe=recipe,
            stage=stage,
            start=start.resolve(),
            folder=place.folder.resolve(),
            features=None if features is None else features.resolve(),
            shards=shards.resolve(),
            adjustment=ray.put(adjustment),
            key=place.key,
            until=until,
        )
        trained = launch(
            language_worker,
            {f.name: getattr(told, f.name) for f in dataclasses.fields(told)},
            train=recipe.train,
            folder=place.folder,
            title=f"{arm}: {stage}",
            steps=until or config.steps,
        )
    if start.parent == place.folder:
        shutil.rmtree(start)
    speed: dict[str, float] = trained.get("summary", {})
    return speed


def _starting_model(
    recipe: Recipe,
    arm: str,
    stage: StageName,
    place: Stage,
    encoder: Path,
    setup: Setup,
    adjustment: Adjustment,
) -> Path:
    """Folder of the model to train: a new one, or the pre-trained one, as the strategy needs it."""
    from truelead.model.build import build_model, fit_to_strategy, load_model, save_model
    from truelead.model.configuration import TrueLeadConfig

    options = adjustment.model_options()
    if stage == "pretrain":
        model, processor = build_model(recipe, encoder, setup.corpus())
    else:
        before = recipe.output / arm / "pretrain"
        config = TrueLeadConfig.from_pretrained(before, local_files_only=True)
        untrained = getattr(recipe, stage).steps == 0
        if not options and (untrained or config.answer_rule is None):
            return before
        model, processor = load_model(before)
    # Without options the model answers by likelihood: another strategy's rule fits its own tuning.
    fit_to_strategy(model, processor, seed=recipe.seed, **options)
    return save_model(place.folder / START, model, processor)


def _encoder_folder(recipe: Recipe, arm: str, stage: StageName) -> Path:
    """The encoder that the stage starts with: the arm's own if its pre-training trained it."""
    before = recipe.output / arm / "pretrain"
    if stage == "finetune" and (before / "encoder").is_dir():
        return before / "encoder"
    return _first_encoder(recipe, arm)


def _first_encoder(recipe: Recipe, arm: str) -> Path:
    """The encoder that the arm's pre-training starts with.

    Raises:
        ConfigError: a random encoder is to be trained, which would be none after.
    """
    kind = next(known.encoder for known in recipe.arms if known.name == arm)
    if kind == "pretrained":
        return recipe.output / "encoder"
    for stage in ("pretrain", "finetune"):
        if recipe.trains_encoder(stage):
            raise ConfigError(
                f"arms: {arm}: encoder: random: expected {stage}.encoder_learning_rate 0"
            )
    return ensure_random_encoder(recipe)


def _parts(
    recipe: Recipe, arm: str, stage: StageName, store: ShardStore, encoder: Path
) -> dict[str, Any]:
    """Everything that shapes the stage's result."""
    tree = recipe.model_dump(mode="json")
    parts = {
        name: tree[name]
        for name in ("seed", "projector", "language_model", "questions", "severity", stage)
    }
    # Keys that say nothing leave the digests of earlier runs as they were.
    parts[stage] = {k: v for k, v in tree[stage].items() if k != "parts"}
    if getattr(recipe, stage).parts != PartsConfig():
        parts["learning"] = recipe.parts(stage).model_dump()
    if recipe.train.deepspeed:
        parts["deepspeed"] = tree["train"]["deepspeed"]
    if recipe.planted is not None:
        parts["planted"] = tree["planted"]
    parts["stage"] = stage
    parts["observed"] = recipe.finetune.questions_per_ecg
    parts["numbers"] = [recipe.train.dtype, recipe.train.gradient_clipping]
    parts["ecg_qa"] = _folder_digest(recipe.data.ecg_qa)
    parts["input"] = cache_digest(encoder, store.digest)
    if recipe.questions.measurements:
        parts["measurements"] = measurement_digest(recipe.output / "shards")
    if stage == "finetune":
        before = recipe.output / arm / "pretrain"
        start = Stage(before, _parts(recipe, arm, "pretrain", store, _first_encoder(recipe, arm)))
        if not start.is_finished():
            raise ConfigError(
                f"{before}: expected the arm's finished pre-training with this configuration, "
                "found none: run the stage pretrain first"
            )
        parts["start"] = start.key
    return parts


def _go_on_from(before: Path, place: Stage, recipe: Recipe) -> None:
    """Take over the checkpoint of the piece that lies in `before`."""
    from truelead.train.stage_checkpoints import stage_store

    key = json.loads((before / DONE).read_text(encoding="utf-8"))["key"]
    source = stage_store(before, key, recipe.train)
    stage_store(place.folder, place.key, recipe.train).adopt(source, place.key)


def _segment_parts(segment: Segment) -> list[Any]:
    before = segment.before
    done = None if before is None else json.loads((before / DONE).read_text(encoding="utf-8"))
    return [segment.until, None if done is None else done["key"]]


def _folder_digest(folder: Path | None) -> Mapping[str, str]:
    if folder is None:
        return {}
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def _copied_from_another_arm(recipe: Recipe, arm: str, stage: str, place: Stage) -> bool:
    others = [other.name for other in recipe.arms if other.name != arm]
    return any(place.reuse(recipe.output / other / stage) for other in others)


def _write_diagnostics(folder: Path, adjustment: Adjustment) -> None:
    text = json.dumps(adjustment.report(), indent=1)
    (folder / DIAGNOSTICS).write_text(text, encoding="utf-8")
