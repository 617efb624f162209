"""Exported models as other programs read them: in a fresh process, with equal logits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.model.tuned_stage import HUB_SIZES
from truelead.config import Recipe, parse_recipe
from truelead.data.durable import file_sha256
from truelead.errors import CheckpointError, ConfigError, ModelError
from truelead.model.adapted import adapted_model
from truelead.model.adapter_folder import read_adapter, read_adapter_manifest
from truelead.model.build import build_model, load_model, prepare_for_training, save_model
from truelead.model.export import check_layout, save_adapter
from truelead.model.tokenizer import train_tokenizer
from truelead.train.checkpoint_shard import BUFFER, WEIGHT, Fragment, Snapshot, write_shard
from truelead.train.checkpoint_store import CheckpointName, CheckpointStore, WrittenFile
from truelead.train.export import export
from truelead.train.stage import ADAPTER, Stage

CORPUS = ("Is there any sign of infarction?", "Which leads show noise?", "yes", "no")
IDS = torch.tensor([[5, 9, 12, 7, 30, 11]])
STAGES = ("pretrain", "finetune")
HUB = {
    "qwen2": lambda n: Qwen2ForCausalLM(
        Qwen2Config(vocab_size=n, tie_word_embeddings=True, **HUB_SIZES)
    ),
    "llama": lambda n: LlamaForCausalLM(LlamaConfig(vocab_size=n, **HUB_SIZES)),
}


def _recipe(run: Path, base: Path, train: str) -> Recipe:
    return parse_recipe(
        {
            "name": "export",
            "output": str(run),
            "encoder": {"options": {"width": 16}},
            "projector": {"options": {"tokens": 4}},
            "language_model": {"path": str(base), "train": train, "lora_rank": 3},
        }
    )


def _logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model.eval()(input_ids=IDS).logits
    return logits


def _write_stage(recipe: Recipe, stage: str, model: Any, processor: Any) -> Path:
    """What a finished stage leaves, as far as an export reads it."""
    place = Stage(recipe.output / "arm" / stage, {"stage": stage})
    place.begin(recipe)
    if recipe.language_model.train == "lora":
        save_adapter(place.folder / ADAPTER, model.language_model)
    save_model(place.folder, model.eval(), processor)
    place.finish({})
    return place.folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """For each architecture an arm whose two stages trained adapters of a hub's model."""
    return {name: _make_run(tmp_path_factory.mktemp(name), name) for name in HUB}


@pytest.fixture(scope="module")
def run(runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The one with tied embeddings."""
    return runs["qwen2"]


def _make_run(folder: Path, architecture: str) -> dict[str, Any]:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(CORPUS, 200)
    base = folder / "base"
    HUB[architecture](len(tokenizer)).save_pretrained(base)
    tokenizer.save_pretrained(base)
    recipe = _recipe(folder / "run", base, "lora")
    found: dict[str, Any] = {"recipe": recipe, "base": base}
    model, processor = build_model(recipe, None, CORPUS)
    for stage in STAGES:
        for name, parameter in model.language_model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3)
        found[f"{stage} logits"] = _logits(model.language_model)
        found[stage] = _write_stage(recipe, stage, model, processor)
        found[f"{stage} model"] = model
        model, processor = load_model(found[stage])
        prepare_for_training(model, recipe.language_model)
    return found


READ = """
import json, sys, torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
ids = torch.tensor(json.loads(sys.argv[1]))
for folder in sys.argv[2:]:
    kind, path = folder.split("=")
    if kind == "adapter":
        model = AutoPeftModelForCausalLM.from_pretrained(path)
        assert isinstance(model, PeftModel)
    else:
        model = AutoModelForCausalLM.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert tokenizer.decode(tokenizer("yes").input_ids, skip_special_tokens=True).strip() == "yes"
    model.eval().generate(ids, max_new_tokens=2, do_sample=False)
    with torch.inference_mode():
        print(json.dumps(model(input_ids=ids).logits.tolist()))
assert not any(name.split(".")[0] == "truelead" for name in sys.modules)
"""


def test_other_programs_read_what_is_written(
    runs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    asked = [(a, stage, kind) for a in HUB for stage in STAGES for kind in ("merged", "adapter")]
    folders = [
        f"{kind}={export(runs[a][stage], tmp_path / f'{a}-{stage}-{kind}', kind)}"  # type: ignore[arg-type]
        for a, stage, kind in asked
    ]
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(IDS.tolist()), *folders],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [torch.tensor(json.loads(line)) for line in done.stdout.splitlines()]
    for (architecture, stage, _), found in zip(asked, lines, strict=True):
        run = runs[architecture]
        # An adapter's base does not know the ECG placeholders, which the model never reads.
        words = json.loads((run["base"] / "config.json").read_text())["vocab_size"]
        expected = run[f"{stage} logits"]
        torch.testing.assert_close(found[..., :words], expected[..., :words], rtol=1e-4, atol=1e-4)
        base = _logits(load_model(run["pretrain"])[0].language_model)
        assert torch.allclose(expected, base, atol=1e-2) == (stage == "pretrain")
    for stage, base in (
        ("finetune", tmp_path / "llama-finetune-adapter" / "base"),
        ("pretrain", runs["llama"]["base"]),
    ):
        config = json.loads(
            (tmp_path / f"llama-{stage}-adapter" / "adapter_config.json").read_text()
        )
        assert config["base_model_name_or_path"] == str(base)


def test_whole_model_is_the_same_bit_for_bit(run: dict[str, Any], tmp_path: Path) -> None:
    out = export(run["finetune"], tmp_path / "whole", "whole")
    names = ("model.safetensors", "config.json", "processor_config.json", "tokenizer.json")
    for name in names:
        assert (out / name).is_file()
    written, trained = (load_file(f / names[0]) for f in (out, run["finetune"]))
    assert written.keys() == trained.keys()
    assert all(written[name].equal(trained[name]) for name in trained)


def test_layout_is_what_servers_look_for(run: dict[str, Any], tmp_path: Path) -> None:
    out = export(run["finetune"], tmp_path / "merged", "merged", dtype="bfloat16")
    config = json.loads((out / "config.json").read_text())
    assert config["architectures"][0].endswith("ForCausalLM")
    assert config["dtype"] == "bfloat16"
    tensors = load_file(out / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert "model.layers.0.self_attn.q_proj.weight" in tensors
    assert not any("lora" in name for name in tensors)
    (out / "generation_config.json").unlink()
    with pytest.raises(ModelError, match=r"expected generation_config\.json"):
        check_layout(out)


def test_weights_in_several_files_have_an_index(run: dict[str, Any], tmp_path: Path) -> None:
    from truelead.model.export import write_language_model

    model, processor = load_model(run["finetune"])
    write_language_model(tmp_path, model, processor.tokenizer, largest_shard="20KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = set(index["weight_map"].values())
    assert len(files) > 1
    next(iter(tmp_path.glob("model-00001*"))).unlink()
    with pytest.raises(ModelError, match="expected model-00001"):
        check_layout(tmp_path)


def test_newest_checkpoint_is_put_together(run: dict[str, Any], tmp_path: Path) -> None:
    """Two workers' parts of the tuning under way; the stage's own end counts for nothing."""
    recipe = run["recipe"].model_copy(update={"output": tmp_path / "run"})
    stage = tmp_path / "run" / "arm" / "finetune"
    (stage.parent).mkdir(parents=True)
    (stage.parent / "pretrain").symlink_to(run["pretrain"])
    place = Stage(stage, {"stage": "finetune"})
    place.begin(recipe)
    with pytest.raises(CheckpointError, match="expected a whole checkpoint"):
        export(stage, tmp_path / "none", "merged", from_checkpoint=True)
    assert not list(tmp_path.glob(".none*"))

    trained = run["finetune model"]
    store = CheckpointStore(stage / "checkpoints")
    name = CheckpointName(3, 0)
    store.folder(name).make()
    files = {}
    learned = [(n, p.detach()) for n, p in trained.named_parameters() if p.requires_grad]
    kept = set(trained.state_dict())
    buffers = [(n, b) for n, b in trained.named_buffers() if n in kept]
    for rank in range(2):
        parts = []
        for n, p in learned:
            half = p.numel() // 2
            values = p.reshape(-1)[:half] if rank == 0 else p.reshape(-1)[half:]
            parts.append(Fragment(n, WEIGHT, rank * half, values))
        if rank == 0:
            parts += [Fragment(n, BUFFER, 0, b.reshape(-1)) for n, b in buffers]
        shapes = {n: tuple(t.shape) for n, t in [*learned, *buffers]}
        path = stage / "checkpoints" / str(name) / f"shard-{rank}.safetensors"
        write_shard(path, Snapshot(parts, shapes))
        files[path.name] = WrittenFile(file_sha256(path), path.stat().st_size)
    store.finish(name, files, {"key": place.key})

    export(stage, tmp_path / "merged", "merged", from_checkpoint=True)
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(_logits(found), run["finetune logits"], rtol=1e-4, atol=1e-4)
    export(stage, tmp_path / "adapter", "adapter", from_checkpoint=True)
    written = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    expected = load_file(run["finetune"] / ADAPTER / "adapter_model.safetensors")
    assert all(written[n].equal(expected[n]) for n in expected)
    export(stage, tmp_path / "whole", "whole", from_checkpoint=True)
    whole, _ = load_model(tmp_path / "whole")
    logits = _logits(whole.language_model)
    torch.testing.assert_close(logits, run["finetune logits"], rtol=1e-4, atol=1e-4)


def test_a_served_adapter_makes_the_stage_again(run: dict[str, Any], tmp_path: Path) -> None:
    out = export(run["finetune"], tmp_path / "served", "served-adapter")
    base, _ = load_model(run["pretrain"])
    model, _ = adapted_model(base, read_adapter(out))
    logits = _logits(model.language_model)
    torch.testing.assert_close(logits, run["finetune logits"], rtol=1e-4, atol=1e-4)
    assert read_adapter_manifest(out).name == "arm/finetune"
    with pytest.raises(ModelError, match="whose start is kept"):
        export(run["pretrain"], tmp_path / "out", "served-adapter")
    with pytest.raises(ConfigError, match="of a finished stage"):
        export(run["finetune"], tmp_path / "out", "served-adapter", from_checkpoint=True)
    assert [path.name for path in tmp_path.iterdir()] == ["served"]


def test_wrong_requests_are_one_line(run: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(ConfigError, match="there: expected a new or empty folder"):
        export(run["finetune"], tmp_path / "there", "merged")
    with pytest.raises(ConfigError, match="dtype: expected one of float32"):
        export(run["finetune"], tmp_path / "out", "merged", dtype="int3")
    with pytest.raises(ModelError, match="expected the folder of a stage"):
        export(tmp_path / "there", tmp_path / "out", "adapter")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_what_was_trained_in_full_has_no_adapter(run: dict[str, Any], tmp_path: Path) -> None:
    recipe = _recipe(tmp_path / "run", run["base"], "full")
    model, processor = build_model(recipe, None, CORPUS)
    stage = _write_stage(recipe, "pretrain", model, processor)
    for kind in ("adapter", "served-adapter"):
        with pytest.raises(ModelError, match="there is no adapter"):
            export(stage, tmp_path / "out", kind)  # type: ignore[arg-type]
    out = export(stage, tmp_path / "merged", "merged")
    assert _logits(AutoModelForCausalLM.from_pretrained(out)).equal(_logits(model.language_model))
    scratch = yaml.safe_load((stage / "recipe.yaml").read_text())
    scratch["language_model"] |= {"path": None, "train": "lora"}
    (stage / "recipe.yaml").write_text(yaml.safe_dump(scratch))
    (stage / ADAPTER).mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (stage / ADAPTER / name).write_text("{}")
    with pytest.raises(ModelError, match="random weights"):
        export(stage, tmp_path / "out", "adapter")
