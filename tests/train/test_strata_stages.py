"""Strategies that change the model, through the stages on a small generated set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from truelead.config import Recipe, parse_recipe
from truelead.train import encoder_stage, language_stage
from truelead.train.metrics import read_metrics

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def recipe(generated_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    from truelead.data.ingest import ingest
    from truelead.data.sources import SOURCES

    recipe = parse_recipe(
        {
            "name": "strata",
            "output": str(tmp_path_factory.mktemp("strata")),
            "data": {"root": str(generated_set), "development_fraction": 0.0},
            "encoder": {"options": {"width": 16}},
            "encoder_training": {"epochs": 1, "batch_size": 16, "minimum_positives": 4},
            "language_model": {"hidden_size": 32, "layers": 1, "heads": 2},
            "questions": {"minimum_positives": 4},
            "pretrain": {"steps": 4, "ecgs_per_step": 4, "questions_per_ecg": 2},
            "finetune": {"steps": 2, "ecgs_per_step": 4, "questions_per_ecg": 2},
            "train": {"workers": 2, "cpus_per_worker": 0.5, "log_every": 1, "zero_stage": 3},
            "arms": [
                {
                    "name": "strata",
                    "pretrain": "strata",
                    "pretrain_options": {"draws": "do-question-balanced"},
                    "finetune": "strata",
                },
                {"name": "dictionary", "pretrain": "dictionary"},
            ],
        }
    )
    records = SOURCES["ptbxl"].load_records(generated_set, recipe.data)
    ingest(records, generated_set, recipe.output / "shards", recipe.data)
    encoder_stage.run(recipe)
    return recipe


@pytest.mark.parametrize("arm", ["strata", "dictionary"])
def test_slots_are_trained_and_kept(recipe: Recipe, arm: str) -> None:
    from truelead.model.answering import Answerer, Ask
    from truelead.model.build import load_model
    from truelead.types import Ecg

    pretrained = language_stage.run(recipe, arm, "pretrain")
    tuned = language_stage.run(recipe, arm, "finetune")
    (one, _), (other, _) = load_model(pretrained), load_model(tuned)
    assert one.config.severity_slot == other.config.severity_slot
    assert sum(one.config.severity_slot["prior"]) == pytest.approx(1)
    # Both stages train it: the tuning of the dictionary's arm does not name the strategy.
    assert not np.array_equal(
        one.severity_slot.table.weight.detach().numpy(),
        other.severity_slot.table.weight.detach().numpy(),
    )
    rule = {"rule": "strata-sum"} if arm == "strata" else None
    assert one.config.answer_rule == other.config.answer_rule == rule
    assert all(np.isfinite(row["loss"]) for row in read_metrics(tuned))
    assert "positivity_violations" in json.loads((pretrained / "diagnostics.json").read_text())
    assert not (pretrained / "start").exists()
    assert not (tuned / "start").exists()
    answerer = Answerer.from_pretrained(tuned, maximum_tokens=3)
    ecg = Ecg(np.zeros((12, 1000), np.float32), 100.0)
    closed, free = answerer.answer([Ask((ecg,), "Is there?", ("yes", "no")), Ask((ecg,), "Which?")])
    assert sum(closed.option_probabilities.values()) == pytest.approx(1)
    assert free.option_probabilities == {}
