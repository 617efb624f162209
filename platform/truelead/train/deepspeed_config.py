"""DeepSpeed's configuration, derived from the recipe; its keys can be overridden whole.

Keys: https://www.deepspeed.ai/docs/config-json/. DeepSpeed passes over a key that it does not know,
so a misspelt one would change nothing and say nothing; here it is an error.
"""

from __future__ import annotations

import difflib
import shutil
from typing import Any

from truelead.config import TrainConfig
from truelead.errors import ConfigError
from truelead.train.optimizer import Optimization

ACCEPTED_KEYS = (
    "activation_checkpointing",
    "aio",
    "checkpoint",
    "comms_logger",
    "communication_data_type",
    "compile",
    "csv_monitor",
    "data_types",
    "disable_allgather",
    "dump_state",
    "flops_profiler",
    "gradient_clipping",
    "gradient_predivide_factor",
    "memory_breakdown",
    "prescale_gradients",
    "steps_per_print",
    "timers",
    "wall_clock_breakdown",
    "zero_allow_untested_optimizer",
    "zero_force_ds_cpu_optimizer",
    "zero_optimization",
)
"""What `train.deepspeed` may hold."""


def deepspeed_config(train: TrainConfig, optimization: Optimization) -> dict[str, Any]:
    """DeepSpeed's own configuration for the typed one, with the recipe's overrides.

    Raises:
        ConfigError: an override has an unknown key, or names another ZeRO stage.
    """
    config = _derived(train, optimization) | _checked(train)
    return config


def check_deepspeed(train: TrainConfig, optimization: Optimization) -> None:
    """Let DeepSpeed itself read the configuration, before any worker starts.

    Raises:
        ConfigError: it refuses the configuration, or a compiler that it needs is not there.
    """
    config = deepspeed_config(train, optimization)
    if train.offload_adam == "deepspeed":
        check_compiler()
    from deepspeed.runtime.config import DeepSpeedConfig

    try:
        DeepSpeedConfig(config)
    # DeepSpeed raises whatever its parts raise: assertions, pydantic's errors, its own.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"train.deepspeed: DeepSpeed refuses it: {reason}") from error


def check_compiler() -> None:
    """Check what DeepSpeed's CPU Adam is built with when it is first used.

    Raises:
        ConfigError: no C++ compiler, or no ninja.
    """
    from torch.utils.cpp_extension import get_cxx_compiler

    for tool in (get_cxx_compiler(), "ninja"):
        if shutil.which(tool) is None:
            raise ConfigError(
                f"train.offload_adam: deepspeed: expected the program {tool!r}, which its CPU Adam "
                "is compiled with, found none: install it, or set train.offload_adam=torch"
            )


def _derived(train: TrainConfig, optimization: Optimization) -> dict[str, Any]:
    # Muon needs a matrix's gradient whole, so ZeRO must not scatter it. Its updates have a fixed
    # size; ZeRO would clip them in place of the gradients, so nothing is clipped with Muon.
    muon = optimization.optimizer == "muon"
    zero: dict[str, Any] = {"stage": train.zero_stage, "reduce_scatter": not muon}
    memory = {"device": "cpu", "pin_memory": train.use_gpu}
    if train.offload_optimizer:
        zero["offload_optimizer"] = dict(memory)
    if train.offload_parameters:
        zero["offload_param"] = dict(memory)
    return {
        # The loop divides the loss by the global count and says itself which backward pass of a
        # step is its last, so this only satisfies DeepSpeed.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 0.0 if muon else train.gradient_clipping,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": train.offload_adam == "deepspeed",
        "bf16": {"enabled": train.dtype == "bfloat16"},
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }


def _checked(train: TrainConfig) -> dict[str, Any]:
    for key in train.deepspeed:
        if key not in ACCEPTED_KEYS:
            near = difflib.get_close_matches(key, ACCEPTED_KEYS, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"train.deepspeed: unknown key {key!r}{hint} (expected {', '.join(ACCEPTED_KEYS)})"
            )
    zero = train.deepspeed.get("zero_optimization")
    if zero is not None:
        stage = zero.get("stage", 0) if isinstance(zero, dict) else None
        if stage != train.zero_stage:
            raise ConfigError(
                f"train.deepspeed: zero_optimization: expected a mapping with stage "
                f"{train.zero_stage} (train.zero_stage), found {zero!r}"[:300]
            )
    return dict(train.deepspeed)
