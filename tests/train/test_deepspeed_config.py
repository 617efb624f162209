"""The configuration derived for DeepSpeed, its overrides, and what is refused with one line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.train.test_optimizer import optimization
from truelead.config import TrainConfig, parse_recipe
from truelead.errors import ConfigError
from truelead.train.deepspeed_config import ACCEPTED_KEYS, check_deepspeed, deepspeed_config

ENGINES: list[dict[str, Any]] = [
    *({"zero_stage": stage} for stage in (0, 1, 2, 3)),
    {"zero_stage": 1, "dtype": "bfloat16", "use_gpu": True},
    {"zero_stage": 2, "offload_optimizer": True},
    {"zero_stage": 3, "offload_optimizer": True, "offload_parameters": True},
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_deepspeed_accepts_what_is_derived(engine: dict[str, Any], optimizer: str) -> None:
    train = TrainConfig(**engine)
    check_deepspeed(train, optimization(optimizer=optimizer))
    config = deepspeed_config(train, optimization(optimizer=optimizer))
    assert config["zero_optimization"]["stage"] == train.zero_stage
    assert ("offload_param" in config["zero_optimization"]) == train.offload_parameters
    assert config["gradient_clipping"] == (0.0 if optimizer == "muon" else 1.0)


def test_an_override_takes_the_place_of_a_whole_key() -> None:
    zero = {"stage": 2, "overlap_comm": False, "reduce_bucket_size": 1000}
    train = TrainConfig(zero_stage=2, deepspeed={"zero_optimization": zero, "dump_state": False})
    config = deepspeed_config(train, optimization())
    assert config["zero_optimization"] == zero
    assert config["dump_state"] is False
    assert config["gradient_clipping"] == 1.0
    check_deepspeed(train, optimization())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"zero_optimisation": {}}, "unknown key 'zero_optimisation', did you mean 'zero_opt"),
        ({"zero_optimization": {"stage": 3}}, "expected a mapping with stage 0"),
        ({"zero_optimization": 2}, "expected a mapping with stage 0"),
        ({"zero_optimization": {"stage": 0, "bucket": 1}}, "DeepSpeed refuses it: .*bucket"),
        ({"gradient_predivide_factor": 2.0, "aio": 7}, "DeepSpeed refuses it"),
    ],
)
def test_a_wrong_override_is_one_line(override: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        check_deepspeed(TrainConfig(deepspeed=override), optimization())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["optimizer", "train_batch_size", "bf16", "fp16", "scheduler"])
def test_what_the_loop_owns_cannot_be_overridden(key: str) -> None:
    assert key not in ACCEPTED_KEYS
    with pytest.raises(ConfigError, match=rf"train\.deepspeed: .*{key}: expected it unset"):
        parse_recipe({"name": "x", "train": {"deepspeed": {key: {}}}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offload_optimizer": True}, "expected zero_stage 1, 2 or 3"),
        ({"offload_parameters": True, "zero_stage": 2}, "expected zero_stage 3, found 2"),
        ({"offload_adam": "deepspeed"}, "expected with offload_optimizer"),
        ({"gradient_checkpointing": True, "packing": "cache"}, "expected packing auto or packed"),
    ],
)
def test_options_that_do_not_fit_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe({"name": "x", "train": options})


def test_cpu_adam_without_a_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    train = TrainConfig(zero_stage=2, offload_optimizer=True, offload_adam="deepspeed")
    with pytest.raises(ConfigError, match=r"'no-such-compiler'.*offload_adam=torch"):
        check_deepspeed(train, optimization())
