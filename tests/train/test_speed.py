"""Recomputed and compiled layers change nothing but memory and time; what cannot have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.model.conftest import CORPUS, make_question, tiny_recipe
from truelead.config import TrainConfig
from truelead.debias.adjustment.group_dro import WorstGroupLikelihood
from truelead.errors import ConfigError
from truelead.model.build import build_model
from truelead.model.processing import GroupInput
from truelead.train.packing import make_packer
from truelead.train.speed import check_separable, speed_up

Built = tuple[Any, Any]


@pytest.fixture
def fresh() -> Built:
    return build_model(tiny_recipe(), None, CORPUS)


def trained(model: Any, batch: Any) -> tuple[float, dict[str, Tensor]]:
    model.zero_grad()
    loss = model(batch=batch).loss_B.sum()
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return float(loss.detach()), gradients


def compare(fresh: Built, change: Callable[[Any], None]) -> None:
    model, processor = fresh
    question = make_question(CORPUS[0])
    features = torch.randn(2, 63, 16).numpy()
    batch = processor.batch(
        [GroupInput((at,), (question,) * 5) for at in (0, 1)], features=features
    )
    packer = make_packer(TrainConfig(packing="packed"), model, reads_options=False)
    assert packer is not None
    packed = packer(batch)
    expected = trained(model, packed)
    change(model)
    found = trained(model, packed)
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-3, atol=1e-5)


def test_recomputed_layers(fresh: Built) -> None:
    runs: list[int] = []
    # Before the forward: recomputation ends as soon as it has all it needs.
    layer = fresh[0].language_model.base_model.layers[0].mlp
    layer.register_forward_pre_hook(lambda *_: runs.append(1))

    def change(model: Any) -> None:
        runs.clear()
        speed_up(model, TrainConfig(gradient_checkpointing=True), optimizer="adamw")

    compare(fresh, change)
    assert len(runs) == 2, "run again in backward"


def test_compiled_layers(fresh: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captured as in a training, but run without generated code, which takes minutes to build."""
    compiled: list[Any] = []
    really = torch.nn.Module.compile

    def captured(module: torch.nn.Module, **options: Any) -> None:
        compiled.append(module)
        really(module, backend="eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", captured)
    compare(fresh, lambda model: speed_up(model, TrainConfig(compile=True), optimizer="adamw"))
    assert compiled == list(fresh[0].language_model.base_model.layers)


def test_recomputing_packs_every_step(fresh: Built) -> None:
    model, _ = fresh
    train = TrainConfig(gradient_checkpointing=True, use_gpu=True, packed_attention="sdpa")
    packer = make_packer(train, model, reads_options=False)
    assert packer is not None
    assert packer.always
    assert packer.multiple == 1
    with pytest.raises(ConfigError, match=r"gradient_checkpointing: expected false.*options"):
        make_packer(train, model, reads_options=True)


def test_compiling_with_muon_on_a_cpu_is_refused(fresh: Built) -> None:
    with pytest.raises(ConfigError, match=r"train\.compile: expected false with optimizer muon"):
        speed_up(fresh[0], TrainConfig(compile=True), optimizer="muon")


def test_objectives_over_a_whole_step_are_not_run_in_parts() -> None:
    objective = WorstGroupLikelihood.__new__(WorstGroupLikelihood)
    check_separable(TrainConfig(), objective)
    with pytest.raises(ConfigError, match="tokens_per_micro_batch: expected none"):
        check_separable(TrainConfig(tokens_per_micro_batch=100), objective)
