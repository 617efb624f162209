"""Which form of the shared prefix a training uses, and that the choice is a pure one."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from tests.model.conftest import CORPUS, make_question, tiny_recipe
from truelead.config import TrainConfig
from truelead.errors import ConfigError
from truelead.model.build import build_model
from truelead.model.processing import GroupInput
from truelead.train.packing import LONGEST_PACKED_GROUP, SHORTEST_BOUND, longest_group, make_packer


@pytest.fixture(scope="module")
def built() -> tuple[Any, Any]:
    return build_model(tiny_recipe(), None, CORPUS)


def batch_of(processor: Any, questions: int, groups: int = 2) -> Any:
    question = make_question(CORPUS[0])
    features = np.zeros((groups, 63, 16), dtype=np.float32)
    return processor.batch(
        [GroupInput((at,), (question,) * questions) for at in range(groups)], features=features
    )


def test_auto_packs_where_it_was_measured_to_pay(built: tuple[Any, Any]) -> None:
    model, processor = built
    packer = make_packer(TrainConfig(), model, reads_options=False)
    assert packer is not None
    row = int(batch_of(processor, 1).mask_BS.sum(dim=1)[0])
    prefix = int(batch_of(processor, 1).prefix_mask_GP.sum(dim=1)[0])
    most = (LONGEST_PACKED_GROUP - prefix) // row
    for questions, packs in ((3, False), (4, True), (most, True), (most + 1, False)):
        batch = packer(batch_of(processor, questions))
        assert (batch.layout is not None) == packs, questions
    batch = batch_of(processor, most)
    assert longest_group(batch) == prefix + most * row > SHORTEST_BOUND
    layout = packer(batch).layout
    assert layout is not None
    # One group a sequence: none is split, and no prefix is repeated.
    assert layout.segment_CW.shape == (2, longest_group(batch))


def test_packed_keeps_to_the_given_bound(built: tuple[Any, Any]) -> None:
    model, processor = built
    train = TrainConfig(packing="packed", tokens_per_sequence=70)
    packer = make_packer(train, model, reads_options=False)
    assert packer is not None
    layout = packer(batch_of(processor, 12)).layout
    assert layout is not None
    assert layout.segment_CW.shape[1] <= 70


def test_cache_gpu_and_options_keep_the_cache(
    built: tuple[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    model, _ = built
    assert make_packer(TrainConfig(packing="cache"), model, reads_options=False) is None
    assert make_packer(TrainConfig(use_gpu=True), model, reads_options=False) is None
    assert make_packer(TrainConfig(), model, reads_options=True) is None
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert make_packer(TrainConfig(packing="packed"), model, reads_options=True) is None
    assert "reads options" in caplog.text


def test_a_language_model_that_cannot_be_packed(
    built: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = built
    monkeypatch.setattr(model.language_model.config, "sliding_window", 16, raising=False)
    monkeypatch.setattr(model.language_model.config, "layer_types", None, raising=False)
    assert make_packer(TrainConfig(), model, reads_options=False) is None
    with pytest.raises(ConfigError, match=r"train\.packing: packed: .*sliding window"):
        make_packer(TrainConfig(packing="packed"), model, reads_options=False)


def test_packed_on_a_gpu_asks_for_flex_attention(built: tuple[Any, Any]) -> None:
    model, _ = built
    packer = make_packer(TrainConfig(packing="packed", use_gpu=True), model, reads_options=False)
    try:
        assert packer is not None
        assert packer.multiple == 128
        assert model.language_model.config._attn_implementation == "flex_attention"
    finally:
        model.language_model.set_attn_implementation("sdpa")
