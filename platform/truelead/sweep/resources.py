"""How many trials the cluster holds at once; asked before the first, since too many wait for ever.

A trial holds its driver's share all its life and its workers' while they train; all trials
together need a CPU for Ray Data.
"""

from __future__ import annotations

from truelead.config import TrainConfig
from truelead.errors import ResourceError
from truelead.train.resources import check_cluster

DRIVER_CPUS = 0.01
"""CPUs reserved by a trial's driver, which mostly waits; Ray Tune takes no 0."""


def concurrent_trials(train: TrainConfig, trials: int, wanted: int | None) -> int:
    """Trials to run at the same time on the connected cluster.

    Args:
        train: the workers of one trial.
        trials: of the whole sweep.
        wanted: the space's own number; None for as many as fit.

    Raises:
        ResourceError: `wanted` trials, or even one, do not fit.
    """
    if wanted is not None:
        _check(train, min(wanted, trials))
        return min(wanted, trials)
    _check(train, 1)
    fitting = 1
    while fitting < trials:
        try:
            _check(train, fitting + 1)
        except ResourceError:
            break
        fitting += 1
    return fitting


def _check(train: TrainConfig, trials: int) -> None:
    together = train.model_copy(
        update={
            "workers": trials * train.workers,
            "cpus_per_worker": train.cpus_per_worker + DRIVER_CPUS / train.workers,
        }
    )
    try:
        check_cluster(together)
    except ResourceError as error:
        raise ResourceError(
            f"sweep: {trials} trial(s) at once, each a driver of {DRIVER_CPUS:g} CPU and "
            f"{train.workers} worker(s) of {train.cpus_per_worker:g} CPU, do not fit: {error}"
        ) from None
