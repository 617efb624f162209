"""The FLOPs that the MFU is made from, against PyTorch's own count of a real step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.train.test_objective_model import batch_of, built, features, setup, strategy_of
from truelead.config import PartLearning, PartsLearning
from truelead.model.build import build_model, prepare_parts
from truelead.model.packing import pack
from truelead.model.processing import GroupInput
from truelead.train.objective_model import ObjectiveModel
from truelead.train.work import ModelWork, reading_of, work_of

__all__ = ["built", "features", "setup"]


def parts(encoder: str, projector: str, language_model: str) -> PartsLearning:
    learning = {
        name: PartLearning(
            train=train,  # type: ignore[arg-type]
            learning_rate=0.0 if train == "frozen" else 1e-3,
            lora_rank=2,
            lora_alpha=4,
        )
        for name, train in (
            ("encoder", encoder),
            ("projector", projector),
            ("language_model", language_model),
        )
    }
    return PartsLearning(**learning)


def counted(step: Any) -> float:
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


@pytest.mark.parametrize(
    "learning",
    [
        ("frozen", "full", "full"),
        ("full", "full", "full"),
        ("frozen", "full", "lora"),
        ("frozen", "full", "frozen"),
    ],
)
def test_the_work_of_a_step_is_what_pytorch_counts(
    setup: Any, features: Any, learning: tuple[str, str, str]
) -> None:
    from tests.model.conftest import tiny_recipe

    model, processor = build_model(tiny_recipe(), None, setup.corpus())
    prepare_parts(model, parts(*learning))
    model.language_model.set_attn_implementation("eager")
    work = work_of(model)
    assert work is not None
    question = setup.observed(("0",), 0)[0]
    groups = [GroupInput((at,), (question,)) for at in range(3)]
    ecgs = torch.randn(3, 12, 1000).numpy()
    # One question a group and all as long: there is no padding, which would be counted here.
    # Packed: of a cached prefix nobody reads what the last layer says, nor is it trained.
    batch = pack(
        processor.batch(groups, ecgs=ecgs)
        if learning[0] == "full"
        else processor.batch(groups, features=features),
        1,
    )
    found = counted(lambda: model(batch=batch).loss_B.sum().backward())
    read = reading_of(batch)
    # PyTorch's products are of all pairs of a sequence, masked or not.
    width = batch.prefix_ids_GP.shape[1] + batch.input_ids_BS.shape[1]
    expected = work.flops(batch) + work.pair * (3 * width * width - read.pairs)
    # A learning encoder's first layer needs no gradient of its input, which is counted as if.
    assert expected == pytest.approx(found, rel=0.05 if learning[0] == "full" else 0.02)
    assert work.encoding > 0
    assert work.ecg > 0


def test_options_are_read_behind_their_questions(
    setup: Any, built: tuple[Any, Any], features: Any
) -> None:
    strategy = strategy_of(setup, "random-ecg-margin")
    content = batch_of(strategy, built, features)
    model = ObjectiveModel(built[0], strategy.objective(32))
    linear = ModelWork(token=1.0, pair=0.0, output=0.0, ecg=0.0, encoding=0.0)
    seen: list[int] = []
    handles = [
        module.register_forward_hook(
            lambda _m, inputs, _o: seen.append(inputs[0].shape[:-1].numel())
        )
        for name, module in built[0].language_model.named_modules()
        if name.endswith("layers.0.mlp")
    ]
    model(content)
    for handle in handles:
        handle.remove()
    # The layers also saw the padding.
    assert 0.5 * sum(seen) < linear.flops(content) <= sum(seen)


def test_a_mixture_of_experts_is_not_counted(built: tuple[Any, Any]) -> None:
    config = built[0].language_model.config
    config.num_experts = 4
    try:
        assert work_of(built[0]) is None
    finally:
        del config.num_experts
