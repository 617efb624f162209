"""The parameter that makes the score is the important one, and few trials say nothing."""

from __future__ import annotations

import numpy as np

from truelead.sweep.front import TrialResult
from truelead.sweep.importance import importances
from truelead.sweep.space import parse_space

SPACE = parse_space(
    {
        "name": "weighed",
        "parameters": {
            "pretrain.learning_rate": {"loguniform": [1e-4, 1e-2]},
            "pretrain.weight_decay": {"uniform": [0.0, 0.2]},
            "pretrain.strategy": {"choice": ["none", "ipw"]},
            "pretrain.options.clip": {"uniform": [2, 9], "when": {"pretrain.strategy": "ipw"}},
        },
        "trials": 30,
    }
)


def trials(count: int) -> list[TrialResult]:
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        rate = 10 ** random.uniform(-4, -2)
        strategy = str(random.choice(["none", "ipw"]))
        values = {
            "pretrain.learning_rate": float(rate),
            "pretrain.weight_decay": float(random.uniform(0, 0.2)),
            "pretrain.strategy": strategy,
        }
        if strategy == "ipw":
            values["pretrain.options.clip"] = float(random.uniform(2, 9))
        score = 0.5 + 0.2 * (np.log10(rate) + 4) / 2 + 0.005 * random.standard_normal()
        reports: tuple[dict[str, float], ...] = ({"steps": 10.0, "balanced": float(score)},)
        if number == 0:
            reports += ({"steps": 30.0, "balanced": 0.9},)
        found.append(TrialResult(number, values, "finished", reports, ""))
    return found


def test_the_parameter_that_makes_the_score_is_first() -> None:
    found = importances(trials(30), SPACE)
    assert (found.steps, found.trials) == (10, 30), "most were not trained longer"
    assert set(found.values) == set(SPACE.parameters)
    first, second, *_ = found.values.items()
    assert first[0] == "pretrain.learning_rate"
    assert first[1].low > second[1].estimate
    assert abs(sum(one.estimate for one in found.values.values()) - 1) < 1e-6
    for one in found.values.values():
        assert one.low <= one.high
    assert importances(trials(7), SPACE) == importances(trials(7), SPACE)


def test_few_trials_say_nothing() -> None:
    assert importances(trials(5), SPACE).values == {}
