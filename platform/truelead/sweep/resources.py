"""How many trials the cluster holds at once; asked before the first, since too many wait for ever.

A trial by Ray Train's workers holds its driver's share all its life and its workers' while they
train; all trials together need a CPU for Ray Data. A trial that trains in its own process holds
that process's share, and reads its ECGs by itself.
"""

from __future__ import annotations

from truelead.config import TrainConfig
from truelead.errors import ResourceError
from truelead.train.resources import DATA_CPUS, check_cluster

DRIVER_CPUS = 0.01
"""CPUs reserved by a trial's driver, which mostly waits; Ray Tune takes no 0."""


def trial_resources(train: TrainConfig) -> dict[str, float]:
    """What Ray Tune reserves for a trial's own process."""
    if not train.in_process:
        return {"CPU": DRIVER_CPUS}
    resources = {"CPU": train.cpus_per_worker}
    return resources | ({"GPU": train.gpus_per_worker} if train.use_gpu else {})


def concurrent_trials(
    train: TrainConfig, trials: int, wanted: int | None, *, together: bool = False
) -> int:
    """Trials to run at the same time on the connected cluster.

    Args:
        train: the workers of one trial.
        trials: of the whole sweep.
        wanted: the space's own number; None for as many as fit.
        together: all trials must fit at once, since each waits for the others.

    Raises:
        ResourceError: `wanted` trials, or even one, do not fit.
    """
    if together and not train.in_process:
        _check(train, trials)
        return trials
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
    update: dict[str, float] = {"workers": trials * train.workers}
    if train.in_process:
        # No Ray Data beside them: its CPU is not missing.
        update["cpus_per_worker"] = train.cpus_per_worker
    else:
        update["cpus_per_worker"] = train.cpus_per_worker + DRIVER_CPUS / train.workers
    try:
        check_cluster(
            train.model_copy(update=update), data_cpus=0.0 if train.in_process else DATA_CPUS
        )
    except ResourceError as error:
        driver = "" if train.in_process else f"a driver of {DRIVER_CPUS:g} CPU and "
        gpus = f" and {train.gpus_per_worker:g} GPU" if train.use_gpu else ""
        raise ResourceError(
            f"sweep: {trials} trial(s) at once, each {driver}{train.workers} worker(s) of "
            f"{train.cpus_per_worker:g} CPU{gpus}, do not fit: {error}"
        ) from None
