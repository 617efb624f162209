"""The stages on a small generated set: encoder, features, two arms, and what they leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelead.config import ArmConfig, Recipe, SeverityConfig, parse_recipe
from truelead.data.store import ShardStore
from truelead.debias.setup import build_setup
from truelead.debias.severity.embedding_clusters import clusters_file, read_clusters
from truelead.errors import ConfigError
from truelead.train import encoder_stage, language_stage
from truelead.train.features import FeatureCache
from truelead.train.metrics import read_metrics

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def recipe(generated_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A tiny recipe whose shards and encoder are there."""
    from truelead.data.ingest import ingest
    from truelead.data.sources import SOURCES

    recipe = parse_recipe(
        {
            "name": "stages",
            "output": str(tmp_path_factory.mktemp("stages")),
            "data": {"root": str(generated_set), "development_fraction": 0.0},
            "encoder": {"options": {"width": 16}},
            "encoder_training": {"epochs": 2, "batch_size": 16, "minimum_positives": 4},
            "language_model": {"hidden_size": 32, "layers": 1, "heads": 2},
            "questions": {"minimum_positives": 4},
            "pretrain": {"steps": 6, "ecgs_per_step": 4, "questions_per_ecg": 2},
            "finetune": {"steps": 3, "ecgs_per_step": 4, "questions_per_ecg": 2},
            "train": {"in_process": True, "log_every": 1},
            "arms": [
                {"name": "erm"},
                {"name": "debiased", "pretrain": "do-question-balanced"},
                {"name": "twin", "pretrain": "do-question-balanced"},
            ],
        }
    )
    records = SOURCES["ptbxl"].load_records(generated_set, recipe.data)
    ingest(records, generated_set, recipe.output / "shards", recipe.data)
    worker = recipe.train.model_copy(update={"in_process": False})
    encoder_stage.run(recipe.model_copy(update={"train": worker}))
    return recipe


def test_encoder_stage_leaves_an_encoder_and_its_metrics(recipe: Recipe) -> None:
    from truelead.model.encoder import load_encoder

    folder = recipe.output / "encoder"
    assert load_encoder(folder).width == 16
    rows = read_metrics(folder)
    assert all(np.isfinite(row["loss"]) for row in rows)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["split"] == recipe.evaluate.split
    before = (folder / "encoder.safetensors").stat().st_mtime_ns
    encoder_stage.run(recipe)
    assert (folder / "encoder.safetensors").stat().st_mtime_ns == before, "finished, so skipped"


def test_language_stages_share_and_chain(recipe: Recipe, capsys: Any) -> None:
    from truelead.model.build import load_model

    with pytest.raises(ConfigError, match="run the stage pretrain first"):
        language_stage.run(recipe, "debiased", "finetune")
    two = recipe.train.model_copy(
        update={"in_process": False, "workers": 2, "cpus_per_worker": 0.5}
    )
    both = recipe.model_copy(update={"train": two})
    pretrained = language_stage.run(both, "debiased", "pretrain")
    features = FeatureCache(recipe.output / "features")
    assert np.isfinite(features.features_NPD).all()
    copied = language_stage.run(recipe, "twin", "pretrain")
    weights = [(path / "model.safetensors").read_bytes() for path in (pretrained, copied)]
    assert weights[0] == weights[1]
    assert not (copied / "checkpoints").exists()
    tuned = language_stage.run(recipe, "debiased", "finetune")
    assert [row["step"] for row in read_metrics(tuned)] == [1, 2, 3]
    assert (tuned / "model.safetensors").read_bytes() != weights[0]
    assert "question_severity_bits" in json.loads((tuned / "diagnostics.json").read_text())
    for folder in (pretrained, copied, tuned):
        asked = json.loads((folder / "training_diagnostics.json").read_text())["overall"]
        assert asked["questions"] > 0
    for folder in (pretrained, tuned):
        model, _ = load_model(folder)
        assert not model.training
        assert not (folder / "start").exists()


def test_in_this_process_a_stage_trains_as_a_worker_does(recipe: Recipe) -> None:
    arms = (ArmConfig(name="worker"), ArmConfig(name="here", pretrain_options={}))
    found = []
    for arm, in_process in (("worker", False), ("here", True)):
        train = recipe.train.model_copy(update={"in_process": in_process})
        one = recipe.model_copy(update={"arms": arms, "train": train, "seed": 5})
        # Alone in its recipe, so that it does not copy the other's work.
        one = one.model_copy(update={"arms": tuple(a for a in arms if a.name == arm)})
        found.append(language_stage.run(one, arm, "pretrain"))
    weights = [(folder / "model.safetensors").read_bytes() for folder in found]
    assert weights[0] == weights[1]
    losses = [[row["loss"] for row in read_metrics(folder)] for folder in found]
    assert losses[0] == losses[1]


def test_trained_encoder_is_fed_signals(recipe: Recipe) -> None:
    from truelead.model.encoder import load_encoder

    changed = recipe.model_copy(
        update={
            "arms": (ArmConfig(name="whole"),),
            "pretrain": recipe.pretrain.model_copy(
                update={"steps": 2, "encoder_learning_rate": 1e-3}
            ),
        }
    )
    folder = language_stage.run(changed, "whole", "pretrain")
    before = load_encoder(recipe.output / "encoder").state_dict()
    after = load_encoder(folder / "encoder").state_dict()
    assert any(not before[name].equal(after[name]) for name in before)


def test_clustered_severity_is_fitted_before_the_stage_and_read_by_all(recipe: Recipe) -> None:
    changed = recipe.model_copy(
        update={
            "arms": (ArmConfig(name="clustered"),),
            "severity": SeverityConfig(name="embedding-clusters", strata=3),
            "pretrain": recipe.pretrain.model_copy(update={"steps": 0}),
        }
    )
    folder = language_stage.run(changed, "clustered", "pretrain")
    store = ShardStore(recipe.output / "shards")
    clusters = read_clusters(clusters_file(recipe.output, 3))
    features = FeatureCache(recipe.output / "features")
    assert clusters.digest == features.digest
    setup = build_setup(changed, store.records)
    for record in store.records:
        embedding_ND = features[[record.record_id]].astype(np.float32).mean(axis=1)
        stratum = int(clusters.clusters.assign(embedding_ND)[0])
        assert setup.stratum((record.record_id,)) == stratum == clusters.stratum[record.record_id]
    drawn = json.loads((folder / "diagnostics.json").read_text())
    assert set(drawn["strata"]) == set(setup.severity.strata)
    assert len(drawn["positivity_violation_names"]) == drawn["positivity_violations"]
    trained = json.loads((folder / "training_diagnostics.json").read_text())
    assert trained["split"] == "train"
    assert set(trained["by_severity"]) <= set(setup.severity.strata)


def test_engine_options_change_the_way_and_not_the_training(recipe: Recipe) -> None:
    """Micro-batches, recomputation, offload and ZeRO 3; twice the same bits where asked for."""
    options = {
        "tokens_per_micro_batch": 150,
        "gradient_checkpointing": True,
        "zero_stage": 3,
        "offload_optimizer": True,
        "offload_parameters": True,
        "deterministic": True,
        "probe_every": 2,
        "peak_flops": 1e10,
    }
    found = []
    for arm, changes in (("plain", {}), ("optioned", options), ("again", options)):
        one = recipe.model_copy(
            update={
                "arms": (ArmConfig(name=arm),),
                "train": recipe.train.model_copy(update=changes),
                "seed": 11,
            }
        )
        folder = language_stage.run(one, arm, "pretrain")
        rows = read_metrics(folder)
        found.append(((folder / "model.safetensors").read_bytes(), rows))
    losses = [[row["loss"] for row in rows] for _, rows in found]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[1] == losses[2]
    assert found[1][0] == found[2][0]
    last = found[1][1][-1]
    assert 0 < last["mfu"] < 1
    assert "mfu" not in found[0][1][-1]
    assert {"tokens_per_second", "ecgs_per_second", "questions_per_second"} <= last.keys()
    assert [("ecg_gain_nats" in row) for row in found[1][1]] == [False, True] * 3
    strata = build_setup(recipe, ShardStore(recipe.output / "shards").records).severity.strata
    asked = {name for _, rows in found for row in rows for name in row if name.startswith("nats_")}
    assert asked <= {f"nats_{name}" for name in strata}
    assert asked
    summary = json.loads((folder / "done.json").read_text())["summary"]
    assert summary["questions_per_second"] > 0
    assert summary["peak_memory_bytes"] > 0


def test_each_part_learns_as_the_recipe_says(recipe: Recipe) -> None:
    from safetensors.torch import load_file

    from truelead.model.encoder import load_encoder

    parts = {
        "encoder": {"train": "lora", "learning_rate": 1e-3, "lora_rank": 2},
        "projector": {"train": "lora", "learning_rate": 2e-3},
        "language_model": {"train": "frozen"},
    }
    tree = recipe.model_dump(mode="json")
    tree["arms"] = [{"name": "parts"}]
    tree["pretrain"] |= {"parts": parts, "steps": 2}
    changed = parse_recipe(tree)
    folder = language_stage.run(changed, "parts", "pretrain")
    tree["pretrain"]["steps"], tree["arms"] = 0, [{"name": "untrained"}]
    untrained = language_stage.run(parse_recipe(tree), "untrained", "pretrain")
    before, after = (load_file(one / "model.safetensors") for one in (untrained, folder))
    assert before.keys() == after.keys(), "adapters are merged"
    changed_names = {name for name in before if not before[name].equal(after[name])}
    assert not any(name.startswith("language_model.") for name in changed_names)
    for part in ("encoder.stem.0", "encoder.stages", "projector.linear"):
        assert any(name.startswith(part) for name in changed_names), part
    assert not any("norm" in name for name in changed_names), "only adapters have learned"
    own = load_encoder(folder / "encoder").state_dict()
    assert all(own[name].equal(after[f"encoder.{name}"]) for name in own)
