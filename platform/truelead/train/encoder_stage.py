"""Encoder pre-training: by SCP statements and notes, by contrast with the reports, or both."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from truelead.config import Recipe
from truelead.data.store import ShardStore
from truelead.errors import ConfigError
from truelead.train.encoder_targets import build_targets
from truelead.train.environment import prepare_driver
from truelead.train.launch import launch
from truelead.train.options import check_options
from truelead.train.progress import say
from truelead.train.stage import Stage


def run(recipe: Recipe) -> Path:
    """Train the encoder for the configured epochs, unless its folder holds it finished.

    Returns:
        `<output>/encoder`: encoder.json, encoder.safetensors, metrics.json (AUROC of every
        statement on the split that the recipe judges by), metrics.jsonl, recipe.yaml.

    Raises:
        ConfigError: the batch is smaller than the number of workers, or the engine's options do
            not fit this machine.
        DataError: the shards hold no train ECGs, or no label with enough of them.
        ResourceError: the cluster cannot hold the workers.
    """
    prepare_driver()
    config = recipe.encoder_training
    if config.batch_size < 2 * recipe.train.workers:
        raise ConfigError(
            "encoder_training.batch_size: expected at least 2 for each of train.workers = "
            f"{recipe.train.workers}, found {config.batch_size}"
        )
    check_options(recipe.train, "adamw")
    shards = recipe.output / "shards"
    store = ShardStore(shards)
    tree = recipe.model_dump(mode="json")
    stage = Stage(
        recipe.output / "encoder",
        {
            **{name: tree[name] for name in ("seed", "encoder", "encoder_training")},
            "numbers": [recipe.train.dtype, recipe.train.gradient_clipping],
            "split": recipe.evaluate.split,
            "input": store.digest,
            **({"deepspeed": tree["train"]["deepspeed"]} if recipe.train.deepspeed else {}),
        },
    )
    if stage.is_finished():
        return stage.folder
    stage.begin(recipe)
    targets = build_targets(store.records, config.minimum_positives)
    epoch_steps = max(1, len(targets.row) // config.batch_size)
    steps = config.epochs * epoch_steps
    from truelead.data.ray_session import ensure_ray
    from truelead.train.encoder_worker import EncoderArguments, encoder_worker

    ensure_ray()
    import ray

    told = EncoderArguments(
        recipe=recipe,
        folder=stage.folder.resolve(),
        shards=shards.resolve(),
        targets=ray.put(targets),
        key=stage.key,
        steps=steps,
        epoch_steps=epoch_steps,
    )
    metrics = launch(
        encoder_worker,
        {f.name: getattr(told, f.name) for f in dataclasses.fields(told)},
        train=recipe.train,
        folder=stage.folder,
        title="encoder",
        steps=steps,
    )
    if metrics.get("macro_auroc") is not None:
        say(
            f"encoder: macro AUROC {metrics['macro_auroc']:.3f} over {metrics['statements']} "
            f"SCP statements of {metrics['ecgs']} {metrics['split']} ECGs"
        )
    stage.finish(
        {"macro_auroc": metrics.get("macro_auroc"), "steps": steps, **metrics.get("summary", {})}
    )
    return stage.folder
