"""Drawn questions as rows of options, through the real processor and model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from truelead.config import QuestionsConfig, StageConfig, parse_recipe
from truelead.debias.adjustment import ADJUSTMENTS, build_adjustment
from truelead.debias.adjustment.logit_adjustment import AdjustedLikelihood
from truelead.debias.adjustment.loss_level import LossLevel
from truelead.debias.setup.ptbxl_severity import PtbxlSeveritySetup
from truelead.debias.severity import SEVERITIES
from truelead.model.build import build_model
from truelead.model.grouped import answer_loss
from truelead.model.processing import GroupInput
from truelead.train.answer_rows import OptionBatch, OptionBatches
from truelead.train.objective_model import ObjectiveModel, split_state
from truelead.types import Record

GROUPS = 6
LOSS_LEVEL = [name for name, kind in ADJUSTMENTS.items() if issubclass(kind, LossLevel)]


@pytest.fixture(scope="module")
def setup() -> PtbxlSeveritySetup:
    """Records whose statements are as different as neighbours can be."""
    records = [
        Record(
            record_id=str(index),
            patient_id=str(index),
            source="hand",
            path=str(index),
            scp_codes={"IMI": 100.0, "LVH": 100.0} if index % 2 else {"NORM": 100.0},
            split="train",
        )
        for index in range(GROUPS)
    ]
    return PtbxlSeveritySetup.build(
        records, QuestionsConfig(minimum_positives=1), SEVERITIES["ptbxl"], test_split="valid"
    )


@pytest.fixture(scope="module")
def built(setup: PtbxlSeveritySetup) -> tuple[Any, Any]:
    recipe = parse_recipe(
        {
            "name": "tiny",
            "encoder": {"name": "resnet1d", "options": {"width": 16}},
            "projector": {"name": "mlp", "options": {"tokens": 5}},
            "language_model": {
                "hidden_size": 32,
                "layers": 2,
                "heads": 2,
                "vocabulary_size": 300,
            },
        }
    )
    model, processor = build_model(recipe, None, setup.corpus())
    return model.eval(), processor


@pytest.fixture(scope="module")
def features(built: tuple[Any, Any]) -> np.ndarray:
    ecg_NLT = torch.randn(GROUPS, 12, 1000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return built[0].encode(ecg_NLT).numpy().astype(np.float16)


def strategy_of(setup: PtbxlSeveritySetup, name: str) -> LossLevel:
    found = build_adjustment(StageConfig(strategy=name, questions_per_ecg=4), setup, 0)
    assert isinstance(found, LossLevel)
    return found


def batch_of(strategy: LossLevel, built: tuple[Any, Any], features: np.ndarray) -> OptionBatch:
    objective = strategy.objective(32)
    make = OptionBatches(strategy, built[1], blind=objective.needs_blind, foil=objective.needs_foil)
    groups = strategy.setup.groups("train")
    return make(
        [(group, strategy.draw(group, 0)) for group in groups],
        {group[0]: at for at, group in enumerate(groups)},
        {"features": features},
    )


def test_the_cross_entropy_of_the_options_is_the_likelihood_of_the_answers(
    setup: PtbxlSeveritySetup, built: tuple[Any, Any], features: np.ndarray
) -> None:
    model, processor = built
    strategy = strategy_of(setup, "logit-adjustment")
    content = batch_of(strategy, built, features)
    groups = strategy.setup.groups("train")
    plain = processor.batch(
        [
            GroupInput((at,), tuple(item.question for item in strategy.draw(group, 0)))
            for at, group in enumerate(groups)
        ],
        features=features,
    )
    with torch.no_grad():
        found = ObjectiveModel(model, AdjustedLikelihood(0.0))(content)
        expected = answer_loss(model, plain)
    assert found.item() == pytest.approx(expected.loss_B.sum().item(), rel=1e-5)
    assert torch.equal(content.answer_tokens_B.long(), expected.tokens_B)


@pytest.mark.parametrize("name", LOSS_LEVEL)
def test_every_objective_moves_the_model_and_itself(
    name: str, setup: PtbxlSeveritySetup, built: tuple[Any, Any], features: np.ndarray
) -> None:
    strategy = strategy_of(setup, name)
    whole = ObjectiveModel(built[0], strategy.objective(32))
    whole.zero_grad()
    loss = whole(batch_of(strategy, built, features))
    loss.backward()
    assert torch.isfinite(loss)
    trained = {n: p for n, p in whole.named_parameters() if p.requires_grad}
    assert any(n.startswith("model.projector.") for n in trained)
    for parameter_name, parameter in trained.items():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), parameter_name
    assert built[0].get_input_embeddings().weight.grad.abs().sum() > 0
    own = [p for n, p in trained.items() if n.startswith("objective.")]
    assert all(p.grad is not None for p in own)
    model_state, objective_state = split_state(whole.state_dict())
    assert model_state.keys() == built[0].state_dict().keys()
    assert len(model_state) + len(objective_state) == len(whole.state_dict())


def test_foils_are_read_where_the_labels_differ_and_nowhere_else(
    setup: PtbxlSeveritySetup, built: tuple[Any, Any], features: np.ndarray
) -> None:
    strategy = strategy_of(setup, "random-ecg-margin")
    content = batch_of(strategy, built, features)
    groups = setup.groups("train")
    answers = [{cell.question_id: cell.answer for cell in setup.cells(group)} for group in groups]
    items = [item for group in groups for item in strategy.draw(group, 0)]
    for row, item in enumerate(items):
        group = int(content.facts.group_B[row])
        other = answers[(group + 1) % GROUPS][item.question.question_id]
        assert bool(content.facts.foil_differs_B[row]) == (other != item.question.answer_text)
    assert content.foil is not None
    assert content.foil.rows == int(content.facts.foil_differs_B.sum())
    assert content.foil.ecg_index_GE[:, 0].tolist() == [1, 2, 3, 4, 5, 0]


def test_a_blind_reading_does_not_depend_on_the_ecg(
    setup: PtbxlSeveritySetup, built: tuple[Any, Any], features: np.ndarray
) -> None:
    strategy = strategy_of(setup, "cf-vqa")
    whole = ObjectiveModel(built[0], strategy.objective(32)).eval()
    with torch.no_grad():
        one = whole._blind(batch_of(strategy, built, features))
        other = whole._blind(batch_of(strategy, built, features[::-1].copy()))
    assert one is not None
    assert other is not None
    assert torch.allclose(one, other, atol=1e-6)
