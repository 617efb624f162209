"""Shares in parts: the same rows, the same loss and gradients, and the bound kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.train.test_objective_model import batch_of, built, features, setup, strategy_of
from truelead.debias.adjustment.objective import RowObjective
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.train.answer_rows import OptionBatches
from truelead.train.micro_batches import split_answers, split_options, without_weight
from truelead.train.objective_model import ObjectiveModel
from truelead.train.work import reading_of

__all__ = ["built", "features", "setup"]

BOUNDS = [1, 45, 90, 10_000]
"""Single questions, groups torn apart, some groups together, and all in one."""


def gradients(model: Any) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert expected
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() <= 1e-4 * gradient.abs().max() + 1e-8, name


@pytest.fixture(scope="module")
def groups(setup: Any, features: Any) -> list[GroupInput]:
    """One ECG or two, one question to several, and weights that differ."""
    asked = [setup.observed(group, 0) for group in setup.groups("train")]
    ecgs = [(0,), (1, 2), (3,), (2,), (5, 0)]
    questions = [asked[0] * 3, asked[1][:1], asked[2], asked[3] * 2, asked[5]]
    return [
        GroupInput(one, tuple(many), tuple(0.5 + at for at in range(len(many))))
        for one, many in zip(ecgs, questions, strict=True)
    ]


@pytest.mark.parametrize("bound", BOUNDS)
def test_parts_add_up_to_the_whole(
    built: tuple[Any, TrueLeadProcessor], features: Any, groups: list[GroupInput], bound: int
) -> None:
    model, processor = built
    whole = processor.batch(groups, features=features)
    parts = split_answers(whole, bound)
    assert [uid for part in parts for uid in part.uid_B] == whole.uid_B
    for part in parts:
        assert reading_of(part).tokens <= bound or part.rows == 1
        assert part.features_NPD is not None
        used = part.ecg_index_GE[part.ecg_index_GE >= 0]
        assert sorted(used.unique().tolist()) == list(range(len(part.features_NPD)))
    assert (len(parts) == 1) == (bound == max(BOUNDS))

    def run(batches: Sequence[Any]) -> tuple[float, dict[str, Tensor]]:
        model.zero_grad()
        total = 0.0
        for batch in batches:
            output = model(batch=batch)
            loss = (batch.weight_B * output.loss_B).sum()
            loss.backward()
            total += float(loss.detach())
        return total, gradients(model)

    expected, found = run([whole]), run(parts)
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert_close(found[1], expected[1])
    filled = run([*parts, without_weight(parts[-1])])
    assert filled[0] == pytest.approx(found[0], rel=1e-7)
    assert_close(filled[1], found[1])


def test_a_foil_read_in_company_changes_nothing(
    setup: Any, built: tuple[Any, TrueLeadProcessor], features: Any
) -> None:
    """With ZeRO 3 a worker without foils runs the layers that the others run."""
    strategy = strategy_of(setup, "random-ecg-margin")
    model = ObjectiveModel(built[0], strategy.objective(32))
    make = OptionBatches(strategy, built[1], blind=False, foil=True, company=True)
    alone = [(("0",), strategy.draw(("0",), 0))]
    company = make(alone, {"0": 0}, {"features": features})
    assert company.foil is not None
    assert not company.facts.foil_differs_B.any()
    parts = split_options(company, 1)
    assert all(part.foil is not None for part in parts)
    found = []
    for contents in ([dataclasses.replace(company, foil=None, company=False)], [company], parts):
        model.zero_grad()
        losses = [model(content) for content in contents]
        torch.stack(losses).sum().backward()
        found.append((sum(float(loss.detach()) for loss in losses), gradients(model)))
    for other in found[1:]:
        assert other[0] == pytest.approx(found[0][0], rel=1e-5)
        assert_close(other[1], found[0][1])


@pytest.mark.parametrize("name", ["random-ecg-margin", "rubi", "product-of-experts"])
def test_parts_of_options_add_up_to_the_whole(
    setup: Any, built: tuple[Any, TrueLeadProcessor], features: Any, name: str
) -> None:
    strategy = strategy_of(setup, name)
    objective = strategy.objective(32)
    assert isinstance(objective, RowObjective)
    model = ObjectiveModel(built[0], objective)
    whole = batch_of(strategy, built, features)
    whole = dataclasses.replace(
        whole,
        facts=dataclasses.replace(whole.facts, weight_B=torch.rand(whole.batch.rows) + 0.5),
    )
    parts = split_options(whole, 160)
    assert len(parts) > 2
    assert all(reading_of(part.batch).tokens <= 160 for part in parts)

    def run(contents: Sequence[Any]) -> tuple[float, dict[str, Tensor]]:
        model.zero_grad()
        losses = [model(content) for content in contents]
        torch.stack(losses).sum().backward()
        return sum(float(loss.detach()) for loss in losses), gradients(model)

    expected, found = run([whole]), run([*parts, without_weight(parts[0])])
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert_close(found[1], expected[1])
