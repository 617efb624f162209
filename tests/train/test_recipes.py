"""The recipes that are shipped: their engines are DeepSpeed's, and shrunk they train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from truelead.config import Recipe, load_recipe, parse_recipe, read_mapping
from truelead.debias.adjustment import ADJUSTMENTS
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.train.deepspeed_config import check_deepspeed
from truelead.train.optimizer import Optimization

RECIPES = sorted((Path(__file__).resolve().parents[2] / "jobs" / "recipes").glob("*.yaml"))
LARGE = ("ptbxl-1b", "mimic-8b-zero3")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_deepspeed_accepts_the_recipe(path: Path) -> None:
    recipe = load_recipe(path)
    for arm in recipe.arms:
        for stage in ("pretrain", "finetune"):
            config = getattr(recipe.arm(arm.name), stage)
            check_deepspeed(
                recipe.train,
                Optimization(
                    learning_rate=config.learning_rate,
                    weight_decay=config.weight_decay,
                    warmup_steps=1,
                    steps=10,
                    optimizer=config.optimizer,
                ),
            )
            strategy = ADJUSTMENTS[config.strategy]
            if recipe.train.gradient_checkpointing:
                assert not issubclass(strategy, LossLevel), "which reads options from a cache"


def test_there_is_a_recipe_for_one_gpu_and_for_many() -> None:
    recipes = {path.stem: load_recipe(path) for path in RECIPES}
    one, many = (recipes[name] for name in LARGE)
    assert (one.train.workers, one.train.use_gpu, one.train.dtype) == (1, True, "bfloat16")
    assert (many.train.workers, many.train.zero_stage) == (16, 3)
    assert many.train.gradient_checkpointing


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama as the hub keeps it: config.json, safetensors, tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.model.conftest import CORPUS
    from truelead.model.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("hub") / "language-model"
    tokenizer = train_tokenizer(CORPUS, 300)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert (folder / "model.safetensors").is_file()
    return folder


def shrunk(name: str, output: Path, root: Path, language_model: Path) -> Recipe:
    """The recipe with small sizes, few steps, generated ECGs, and one worker on a CPU."""
    path = next(path for path in RECIPES if path.stem == name)
    tree: dict[str, Any] = read_mapping(path, file="a recipe", keys="keys")
    tree["output"] = str(output)
    # MIMIC-IV-ECG cannot be generated: its place is taken by a set with statements.
    tree["data"] = {"root": str(root), "development_fraction": 0.0}
    tree["severity"] = "ptbxl"
    tree["questions"] = {"setup": "ecg-qa", "minimum_positives": 4}
    tree["encoder"]["options"]["width"] = 16
    tree["encoder_training"] |= {"epochs": 1, "batch_size": 16, "minimum_positives": 4}
    tree["projector"]["options"]["tokens"] = 5
    tree["language_model"]["path"] = str(language_model)
    for stage in ("pretrain", "finetune"):
        tree[stage] |= {"steps": 3, "ecgs_per_step": 4, "questions_per_ecg": 3}
    tree["train"] |= {
        "workers": 1,
        "in_process": True,
        "use_gpu": False,
        "cpus_per_worker": 1,
        "threads_per_worker": 1,
        "tokens_per_micro_batch": 150,
        "log_every": 1,
    }
    tree["arms"] = tree["arms"][1:]
    return parse_recipe(tree)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_shrunk_it_trains_all_its_stages(
    name: str, generated_set: Path, hub_folder: Path, tmp_path: Path
) -> None:
    import numpy as np

    from truelead import chain
    from truelead.model.build import load_model
    from truelead.train.metrics import read_metrics

    recipe = shrunk(name, tmp_path / "run", generated_set, hub_folder)
    chain.ingest(recipe)
    chain.pretrain_encoder(recipe)
    folders = [chain.pretrain(recipe, "debiased"), chain.finetune(recipe, "debiased")]
    for folder in folders:
        rows = read_metrics(folder)
        assert len(rows) == 3
        assert all(np.isfinite(row["loss"]) for row in rows)
        assert rows[-1]["skipped_steps"] == 0
    model, _ = load_model(folders[-1])
    assert model.language_model.config.num_key_value_heads == 2
