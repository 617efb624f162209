"""A trained stage, or the newest checkpoint of one under way, written for other programs."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from truelead.config import Recipe, load_recipe
from truelead.errors import CheckpointError, ConfigError, ModelError
from truelead.model.adapter_writing import write_adapter
from truelead.model.build import load_model, prepare_for_training, save_model
from truelead.model.export import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    save_adapter,
    write_language_model,
)
from truelead.model.language_model import has_lora, merged_state
from truelead.model.processing import TrueLeadProcessor
from truelead.train.checkpoint_shard import BUFFER, WEIGHT, ShardReader
from truelead.train.objective_model import split_state
from truelead.train.stage import ADAPTER, START, stage_key
from truelead.train.stage_checkpoints import stage_store

Kind = Literal["whole", "merged", "adapter", "served-adapter"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def export(
    stage: Path,
    output: Path,
    kind: Kind,
    *,
    from_checkpoint: bool = False,
    dtype: str = "float32",
) -> Path:
    """Write the model of a language-model stage into a new folder.

    Args:
        stage: `<run>/<arm>/pretrain` or `<run>/<arm>/finetune`.
        kind: "whole": the TrueLead model; "merged": its language model alone, adapters added to
            its weights; "adapter": the adapters alone, with the model they belong to;
            "served-adapter": all that the stage has beyond the model it started from, for the
            service (`truelead.model.adapter_folder`).
        from_checkpoint: of the newest whole checkpoint, not of the finished stage.
        dtype: of the weights (a key of `DTYPES`); the whole model and a served adapter keep their
            own.

    Raises:
        ConfigError: the output is there already, or no such dtype.
        CheckpointError: there is no whole checkpoint.
        ModelError: the stage holds no model; it was trained without adapters.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"dtype: expected one of {', '.join(DTYPES)}, found {dtype!r}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{output}: expected a new or empty folder")
    with _in_one_step(output) as folder:
        if kind == "served-adapter":
            _write_served_adapter(stage, folder, from_checkpoint)
            return output
        if kind == "adapter":
            _write_adapter(stage, folder, output, from_checkpoint, DTYPES[dtype])
            return output
        model, processor = _checkpointed(stage) if from_checkpoint else load_model(stage)
        if kind == "whole":
            save_model(folder, model, processor)
        else:
            if has_lora(model):
                plain, _ = load_model(_start_of(stage))
                plain.load_state_dict(merged_state(model))
                model = plain
            write_language_model(folder, model, processor.tokenizer, dtype=DTYPES[dtype])
    return output


def _write_adapter(
    stage: Path, folder: Path, output: Path, from_checkpoint: bool, dtype: torch.dtype
) -> None:
    recipe = _recipe_of(stage)
    if recipe.language_model.train != "lora":
        raise ModelError(
            f"{stage}: expected language_model.train: lora, found "
            f"{recipe.language_model.train}: there is no adapter, export the merged model"
        )
    if from_checkpoint:
        model, _ = _checkpointed(stage)
        save_adapter(folder, model.language_model)
    else:
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            if not (stage / ADAPTER / name).is_file():
                raise ModelError(f"{stage / ADAPTER}: expected {name} of a finished stage")
            shutil.copyfile(stage / ADAPTER / name, folder / name)
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    path, revision = _base_of(stage, recipe)
    if path is None:
        base, own = load_model(stage.parent / "pretrain")
        write_language_model(folder / "base", base, own.tokenizer, dtype=dtype)
        path = str(output.absolute() / "base")
    config |= {"base_model_name_or_path": path, "revision": revision}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
    processor = TrueLeadProcessor.from_pretrained(_start_of(stage), local_files_only=True)
    processor.tokenizer.save_pretrained(folder)


def _write_served_adapter(stage: Path, folder: Path, from_checkpoint: bool) -> None:
    recipe = _recipe_of(stage)
    if from_checkpoint:
        raise ConfigError("export: expected --served-adapter of a finished stage, not --checkpoint")
    learned = recipe.parts(stage.name).language_model.train
    if learned != "lora":
        raise ModelError(
            f"{stage}: expected a language model trained by lora, found {learned}: there is no "
            "adapter, serve the whole model"
        )
    start = _start_of(stage)
    if start == stage:
        raise ModelError(
            f"{stage}: expected a stage whose start is kept, such as finetune beside its pretrain: "
            "serve the whole model"
        )
    write_adapter(folder, base=start, stage=stage, lora=stage / ADAPTER)


def _base_of(stage: Path, recipe: Recipe) -> tuple[str | None, str | None]:
    """Hub id and commit of what the adapter belongs to; None: the arm's pre-trained model."""
    if stage.name == "finetune":
        return None, None
    if recipe.language_model.path is None:
        raise ModelError(
            f"{stage}: its adapter belongs to a language model of random weights, which is not "
            "kept: export the merged model"
        )
    return recipe.language_model.path, recipe.language_model.revision


def _checkpointed(stage: Path) -> tuple[Any, Any]:
    """The model of the newest whole checkpoint, its adapters in place."""
    recipe = _recipe_of(stage)
    store = stage_store(stage, stage_key(stage), recipe.train)
    found = store.newest_whole()
    if found is None:
        raise CheckpointError(f"{store}: expected a whole checkpoint, found none")
    start = _start_of(stage)
    if start == stage and recipe.language_model.train == "lora":
        raise ModelError(
            f"{stage}: expected a stage under way, whose adapters are not merged yet: it is "
            "finished, export it without --checkpoint"
        )
    model, processor = load_model(start)
    config = getattr(recipe, stage.name)
    prepare_for_training(
        model, recipe.language_model, train_encoder=config.encoder_learning_rate > 0
    )
    name, manifest = found
    with store.opened(name, manifest) as paths, ShardReader(paths) as reader:
        state = {
            tensor: reader.whole(tensor, kind)
            for kind in (WEIGHT, BUFFER)
            for tensor in reader.names(kind)
        }
    if not set(state) <= set(model.state_dict()):
        state, _ = split_state(state)  # trained beside an objective's own parameters
    unknown = model.load_state_dict(state, strict=False).unexpected_keys
    if unknown:
        raise CheckpointError(f"{store}: {name}: expected no parameter {unknown[0]}")
    return model.eval(), processor


def _start_of(stage: Path) -> Path:
    """Folder of the model that the stage's training started from, as long as it is kept."""
    for folder in (stage / START, stage.parent / "pretrain"):
        if (folder / "config.json").is_file() and folder != stage:
            return folder
    return stage


def _recipe_of(stage: Path) -> Recipe:
    path = stage / "recipe.yaml"
    if stage.name not in ("pretrain", "finetune") or not path.is_file():
        raise ModelError(
            f"{stage}: expected the folder of a stage, <run>/<arm>/pretrain or finetune, with its "
            "recipe.yaml"
        )
    return load_recipe(path)


@contextmanager
def _in_one_step(output: Path) -> Iterator[Path]:
    """A folder beside `output` that takes its place when the block ends well."""
    folder = output.with_name(f".{output.name}.{uuid.uuid4().hex[:12]}")
    folder.mkdir(parents=True)
    try:
        yield folder
        if output.is_dir():
            output.rmdir()
        os.replace(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
