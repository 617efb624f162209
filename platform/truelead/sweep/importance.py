"""How much of the trials' scores each parameter explains, with an interval.

PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023) as Optuna has it: it compares the values of the
best trials with those of all, and takes parameters that not every trial has. The interval is a
bootstrap over trials: with few trials it is wide, and that is the message.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from truelead.evaluate.bootstrap import Interval
from truelead.sweep.distributions import Distribution
from truelead.sweep.front import TrialResult
from truelead.sweep.sampling import ordered
from truelead.sweep.space import SearchSpace, Values

MINIMUM_TRIALS = 6
_SAMPLES = 60


@dataclass(frozen=True)
class Importances:
    """Importance of each parameter.

    Attributes:
        values: config path -> share of what all parameters explain together, with its 95 %
            interval; empty where there are too few trials.
        steps: after how many steps the scores were taken: the longest rung that most trials saw.
        trials: how many were scored there.
    """

    values: Mapping[str, Interval]
    steps: int
    trials: int


def importances(trials: Sequence[TrialResult], space: SearchSpace) -> Importances:
    """Importances for the space's metric; none of them where fewer than 6 trials were scored."""
    steps, rows = _common_rung(trials, space.metric)
    if len(rows) < MINIMUM_TRIALS:
        return Importances({}, steps, len(rows))
    parameters = ordered(space)
    whole = _shares(rows, parameters)
    random = np.random.default_rng(0)
    replicates: dict[str, list[float]] = {path: [] for path in whole}
    for _ in range(_SAMPLES):
        drawn = [rows[i] for i in random.integers(len(rows), size=len(rows))]
        found = _shares(drawn, parameters)
        for path in whole:
            replicates[path].append(found.get(path, 0.0))
    values = {}
    for path, share in whole.items():
        low, high = np.percentile(replicates[path], [2.5, 97.5])
        values[path] = Interval(share, float(low), float(high))
    return Importances(
        dict(sorted(values.items(), key=lambda item: -item[1].estimate)), steps, len(rows)
    )


def _common_rung(
    trials: Sequence[TrialResult], metric: str
) -> tuple[int, list[tuple[Values, float]]]:
    """The longest rung at which at least half of the scored trials were scored, and the scores."""
    scored = [trial for trial in trials if trial.reports]
    rungs = sorted({int(report["steps"]) for trial in scored for report in trial.reports})
    for steps in reversed(rungs):
        rows = [
            (trial.values, report[metric])
            for trial in scored
            for report in trial.reports
            if int(report["steps"]) == steps
        ]
        if 2 * len(rows) >= len(scored):
            return steps, rows
    return 0, []


def _shares(
    rows: Sequence[tuple[Values, float]], parameters: Mapping[str, Distribution]
) -> dict[str, float]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = {path: found.optuna() for path, found in parameters.items()}
    study = optuna.create_study(direction="maximize")
    for values, score in rows:
        study.add_trial(
            optuna.trial.create_trial(
                params=values,
                distributions={path: known[path] for path in values},
                value=score,
            )
        )
    if len({score for _, score in rows}) == 1:
        return dict.fromkeys(parameters, 0.0)
    with warnings.catch_warnings():
        # That few trials make it inaccurate is what the interval tells.
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(study)
    return {path: float(found.get(path, 0.0)) for path in parameters}
