"""Ray Tune's schedulers, made from a space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from truelead.config import Recipe
from truelead.sweep.space import SearchSpace


def build_scheduler(space: SearchSpace, recipe: Recipe) -> Any:
    """The scheduler that the space names; it reads the reports' `steps` and metric."""
    return SCHEDULERS[space.scheduler.name](space, recipe)


def _asha(space: SearchSpace, recipe: Recipe) -> Any:
    """Asynchronous successive halving (Li et al., MLSys 2020)."""
    from ray.tune.schedulers import ASHAScheduler

    last = space.rungs(recipe)[-1]
    return ASHAScheduler(
        time_attr="steps",
        max_t=last,
        grace_period=min(space.scheduler.grace_steps, last),
        reduction_factor=space.scheduler.reduction,
    )


def _none(space: SearchSpace, recipe: Recipe) -> Any:
    from ray.tune.schedulers import FIFOScheduler

    return FIFOScheduler()


SCHEDULERS: dict[str, Callable[[SearchSpace, Recipe], Any]] = {"asha": _asha, "none": _none}
