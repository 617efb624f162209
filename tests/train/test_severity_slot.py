"""A model with a severity slot under the engine, and how a stage comes to such a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from truelead.config import Recipe, StageConfig, TrainConfig, parse_recipe
from truelead.debias.adjustment import build_adjustment
from truelead.debias.setup.ptbxl_severity import PtbxlSeveritySetup
from truelead.debias.severity import SEVERITIES
from truelead.errors import ModelError
from truelead.model.batch import Batch
from truelead.model.build import (
    build_model,
    fit_to_strategy,
    load_model,
    prepare_for_training,
    save_model,
)
from truelead.model.encoder import build_encoder
from truelead.model.processing import GroupInput
from truelead.train.engine import Engine
from truelead.train.language_stage import _starting_model
from truelead.train.optimizer import Optimization
from truelead.train.plan import Plan
from truelead.train.question_task import QuestionTask
from truelead.train.stage import Stage
from truelead.types import Question, Record

TREE: dict[str, Any] = {
    "name": "tiny",
    "encoder": {"name": "resnet1d", "options": {"width": 16}},
    "projector": {"name": "mlp", "options": {"tokens": 2}},
    "language_model": {"hidden_size": 16, "layers": 1, "heads": 2, "vocabulary_size": 270},
    "questions": {"minimum_positives": 5},
}
PRIOR = [0.6, 0.4]


def losses(kind: str, train: TrainConfig, optimizer: Any) -> tuple[list[float], Any]:
    """Losses of three updates, and the slot's table after them."""
    recipe = parse_recipe(TREE)
    model, processor = build_model(recipe, None, ["Is there?", "Which?", "yes", "no"])
    fit_to_strategy(model, processor, seed=0, severity_slot={"kind": kind, "prior": PRIOR})
    prepare_for_training(model, recipe.language_model)
    questions = tuple(
        Question(text, (answer,), ("yes", "no"), (), "single-verify", 1, text, "0")
        for text, answer in (("Is there?", "yes"), ("Which?", "no"), ("Is there?", "no"))
    )
    features = np.random.default_rng(0).normal(size=(2, 4, 16)).astype(np.float32)
    groups = [
        GroupInput((0,), questions, told_strata=(0, 1, -1)),
        GroupInput((0, 1), questions[:1]),
    ]
    batch = processor.batch(groups, features=features)
    engine = Engine(model, train, Optimization(0.02, 0.0, 0, 3, optimizer=optimizer))
    found = []
    for step in range(3):
        output = engine(batch=batch)
        loss = output.loss_B.sum() / output.tokens_B.sum()
        engine.backward(loss)
        assert engine.update(step)
        found.append(float(loss.detach()))
    return found, engine.full_state()["severity_slot.table.weight"]


@pytest.mark.parametrize("kind", ["strata", "dictionary"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_sharding_changes_nothing(one_worker: None, kind: str, optimizer: str) -> None:
    plain, table = losses(kind, TrainConfig(zero_stage=0, gradient_clipping=1e6), optimizer)
    assert plain[2] < plain[0]
    sharded, other = losses(kind, TrainConfig(zero_stage=3, gradient_clipping=1e6), optimizer)
    assert sharded == pytest.approx(plain, rel=1e-4)
    torch.testing.assert_close(other, table, rtol=1e-3, atol=1e-4)
    half, _ = losses(kind, TrainConfig(dtype="bfloat16", gradient_clipping=1e6), optimizer)
    assert half == pytest.approx(plain, rel=0.05)


@pytest.mark.parametrize("strategy", ["strata", "none"])
def test_the_worker_tells_what_was_drawn(setup: PtbxlSeveritySetup, strategy: str) -> None:
    adjustment = build_adjustment(StageConfig(strategy=strategy), setup, 0)
    _, processor = build_model(parse_recipe(TREE), None, setup.corpus())
    plan = Plan(setup.groups("train"), adjustment.draw, size=8, seed=0)
    # Reading is not under test here: the arrays are given.
    task = QuestionTask(plan, lambda names: np.empty(0), processor, steps=1, rank=0, workers=1)
    step = next(plan.steps())
    batch = task._batch(step, np.zeros((8, 4, 16), np.float16))
    assert isinstance(batch, Batch)
    expected = batch.stratum_B if strategy == "strata" else torch.full_like(batch.stratum_B, -1)
    assert torch.equal(batch.told_stratum_B, expected)
    assert batch.rows > 8
    assert len(batch.stratum_B.unique()) > 1


@pytest.fixture
def setup() -> PtbxlSeveritySetup:
    rng = np.random.default_rng(0)
    records = []
    for index in range(60):
        codes = {code: 100.0 for code in ("IMI", "LVH", "AFIB") if rng.random() < 0.4}
        codes = codes or {"NORM": 100.0}
        records.append(Record(str(index), str(index), "hand", f"{index}", codes))
    config = parse_recipe(TREE).questions
    return PtbxlSeveritySetup.build(records, config, SEVERITIES["ptbxl"], test_split="valid")


class Stages:
    """Starting models of the two stages of an arm, as language_stage makes them."""

    def __init__(self, folder: Path, setup: PtbxlSeveritySetup) -> None:
        self.recipe: Recipe = parse_recipe({**TREE, "output": str(folder)})
        self.setup = setup
        self.encoder = folder / "encoder"
        build_encoder(self.recipe.encoder, 1000).save(self.encoder)

    def start(self, stage: Any, strategy: str, steps: int = 1, **options: Any) -> Path:
        config = StageConfig(strategy=strategy, options=options, steps=steps)
        recipe = self.recipe.model_copy(update={stage: config})
        adjustment = build_adjustment(config, self.setup, 0)
        place = Stage(recipe.output / "arm" / stage, {})
        place.begin(recipe)
        return _starting_model(recipe, "arm", stage, place, self.encoder, self.setup, adjustment)


def test_a_stage_starts_with_what_its_strategy_asks(
    tmp_path: Path, setup: PtbxlSeveritySetup
) -> None:
    stages = Stages(tmp_path, setup)
    pretrained = stages.start("pretrain", "strata")
    model, processor = load_model(pretrained)
    assert model.config.severity_slot["kind"] == processor.severity_slot == "strata"
    assert model.config.answer_rule == {"rule": "strata-sum"}
    save_model(pretrained.parent, model, processor)
    # Tuning by another strategy keeps the slot, and answers by the likelihood that it tunes.
    tuned, _ = load_model(stages.start("finetune", "none"))
    assert torch.equal(tuned.severity_slot.table.weight, model.severity_slot.table.weight)
    assert tuned.config.answer_rule is None
    # Without any tuning the pre-training's own rule stays.
    assert stages.start("finetune", "none", steps=0) == pretrained.parent
    again, _ = load_model(stages.start("finetune", "strata"))
    assert again.config.answer_rule == {"rule": "strata-sum"}
    assert torch.equal(again.severity_slot.table.weight, model.severity_slot.table.weight)
    with pytest.raises(ModelError, match="expected the model's own, strata"):
        stages.start("finetune", "dictionary")


def test_a_plain_arm_starts_from_its_pre_training_as_it_is(
    tmp_path: Path, setup: PtbxlSeveritySetup
) -> None:
    stages = Stages(tmp_path, setup)
    start = stages.start("pretrain", "none")
    model, processor = load_model(start)
    assert model.config.severity_slot is processor.severity_slot is None
    save_model(start.parent, model, processor)
    assert stages.start("finetune", "none") == start.parent
    late, _ = load_model(stages.start("finetune", "dictionary", entries=4))
    assert late.severity_slot.table.weight.shape == (4, 16)
