"""Options of the engine that are checked by the driver, where a mistake costs no workers."""

from __future__ import annotations

from typing import Literal

from truelead.config import TrainConfig
from truelead.train.trackers import check_trackers


def check_options(train: TrainConfig, optimizer: Literal["adamw", "muon"]) -> None:
    """Check what a recipe says of the engine and the trackers, against this machine's packages.

    Workers check again what they need. DeepSpeed, which is slow to import, is asked only where the
    recipe changes its configuration.

    Raises:
        ConfigError: a key that DeepSpeed refuses, a missing compiler, a missing package.
    """
    check_trackers(train.trackers)
    if train.deepspeed or train.offload_adam == "deepspeed":
        from truelead.train.deepspeed_config import check_deepspeed
        from truelead.train.optimizer import Optimization

        rates = Optimization(
            learning_rate=1.0, weight_decay=0.0, warmup_steps=0, steps=1, optimizer=optimizer
        )
        check_deepspeed(train, rates)
