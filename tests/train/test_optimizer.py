"""Parameter groups and the schedule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from tests.train.stand_in import SmallModel
from truelead.train.optimizer import Optimization, parameter_groups


def optimization(**changes: float | str) -> Optimization:
    values = {"learning_rate": 1e-3, "weight_decay": 0.1, "warmup_steps": 4, "steps": 20}
    return Optimization(**{**values, **changes})  # type: ignore[arg-type]


def test_groups_split_by_rate_and_decay() -> None:
    model = SmallModel()
    groups = parameter_groups(model, optimization(encoder_learning_rate=1e-4))
    found = {(group["lr"], group["weight_decay"]): group["params"] for group in groups}
    assert set(found) == {(1e-4, 0.1), (1e-4, 0.0), (1e-3, 0.1), (1e-3, 0.0)}
    assert [id(p) for p in found[1e-3, 0.1]] == [id(model.head.weight)]
    without = {id(p) for p in found[1e-3, 0.0]}
    assert without == {id(model.embedding.weight), id(model.head.bias)}
    trainable = sum(p.requires_grad for p in model.parameters())
    assert sum(len(group["params"]) for group in groups) == trainable


def test_muon_takes_the_hidden_matrices_alone() -> None:
    model = SmallModel()
    groups = parameter_groups(
        model, optimization(encoder_learning_rate=1e-4, optimizer="muon", matrix_learning_rate=0.02)
    )
    taken = [group for group in groups if group["use_muon"]]
    assert [(g["lr"], [id(p) for p in g["params"]]) for g in taken] == [
        (0.02, [id(model.head.weight)])
    ]
    trainable = sum(p.requires_grad for p in model.parameters())
    assert sum(len(group["params"]) for group in groups) == trainable


def test_muon_leaves_the_output_layer_of_a_language_model() -> None:
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            tie_word_embeddings=False,
        )
    )
    groups = parameter_groups(model, optimization(optimizer="muon"))
    taken = {id(p) for group in groups if group["use_muon"] for p in group["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in taken}
    assert names == {
        name for name, p in model.model.layers.named_parameters(prefix="model.layers") if p.ndim > 1
    }


@given(steps=st.integers(1, 500), share=st.floats(0, 0.99))
def test_schedule_rises_then_falls(steps: int, share: float) -> None:
    schedule = optimization(steps=steps, warmup_steps=int(share * steps))
    factors = [schedule.factor(step) for step in range(steps)]
    peak = max(range(steps), key=factors.__getitem__)
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert schedule.factor(steps) == pytest.approx(0, abs=1e-12)
