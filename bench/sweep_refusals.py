"""Impossible spaces: each is refused before the first trial, by one line that names the place."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.reported import row
from bench.sweep_run import SHORT, small_recipe
from truelead.config import Recipe, TrainConfig
from truelead.errors import TrueLeadError
from truelead.sweep.checking import check_space
from truelead.sweep.resources import concurrent_trials
from truelead.sweep.space import parse_space

_RATE = "pretrain.learning_rate"
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown path": ({"parameters": {"projector.nmae": {"choice": ["mlp"]}}}, ("projector.nmae",)),
    "unknown room": ({"parameters": {"projctor.name": {"choice": ["mlp"]}}}, ("projctor.name",)),
    "unknown option": (
        {"parameters": {"projector.options.depht": {"choice": [2]}}},
        ("depht", "tokens"),
    ),
    "unknown value": (
        {"parameters": {"projector.name": {"choice": ["mlp", "mpl"]}}},
        ("projector.name", "'mpl'"),
    ),
    "empty range": ({"parameters": {_RATE: {"uniform": [0.1, 0.1]}}}, (_RATE, "empty range")),
    "range upside down": ({"parameters": {_RATE: {"uniform": [0.2, 0.1]}}}, (_RATE, "empty range")),
    "no choices": ({"parameters": {"severity": {"choice": []}}}, ("severity", "none")),
    "logarithm of zero": ({"parameters": {_RATE: {"loguniform": [0, 1]}}}, (_RATE, "above 0")),
    "text for a number": ({"parameters": {_RATE: {"choice": ["fast"]}}}, (_RATE, "'fast'")),
    "part of a layer": (
        {"parameters": {"language_model.layers": {"uniform": [1, 4]}}},
        ("language_model.layers", "integer"),
    ),
    "end of the range outside": ({"parameters": {_RATE: {"uniform": [-1, 1]}}}, (_RATE, "-1")),
    "heads that do not divide": (
        {"parameters": {"language_model.heads": {"choice": [4, 5]}}},
        ("5 heads",),
    ),
    "what trials share": (
        {"parameters": {"data.sampling_rate": {"choice": [100, 500]}}},
        ("data.sampling_rate", "share"),
    ),
    "condition on nothing": (
        {"parameters": {_RATE: {"uniform": [0.1, 0.2], "when": {"projector.nam": "mlp"}}}},
        ("when", "projector.nam"),
    ),
    "grid of real numbers": ({"search": {"name": "grid"}}, ("points",)),
    "unknown scheduler": ({"scheduler": {"name": "hyperband"}}, ("scheduler.name", "hyperband")),
    "unknown key": ({"trails": 3}, ("'trails'",)),
    "no trials": ({"trials": 0}, ("trials", "0")),
    "no seed to repeat": (
        {"deterministic": True, "scheduler": {"name": "pbt", "mutate": [_RATE]}},
        ("deterministic", "pbt"),
    ),
}
GOOD: dict[str, Any] = {
    "name": "refused",
    "parameters": {_RATE: {"loguniform": [1e-4, 1e-2]}},
    "trials": 4,
}


def rows() -> list[dict[str, Any]]:
    """How many impossible spaces are refused as they should be, and the slowest refusal."""
    recipe = small_recipe(Path(tempfile.gettempdir()) / "never-written")
    check_space(recipe, parse_space(GOOD))
    missed, slowest = [], 0.0
    for name, (changes, words) in CASES.items():
        start = time.monotonic()
        message = _refusal(recipe, {**GOOD, **changes})
        slowest = max(slowest, time.monotonic() - start)
        if message is None or "\n" in message or not all(word in message for word in words):
            missed.append(f"{name}: {message}")
    missed += _unrefused_resources()
    total = len(CASES) + len(_RESOURCES)
    for line in missed:
        print(f"not refused as it should be: {line}")
    return [
        row(
            "impossible spaces refused before the first trial, in one line",
            float(total - len(missed)),
            f"of {total}",
            SHORT,
            goal=float(total),
            holds=not missed,
        ),
        row("slowest refusal", slowest, "s", SHORT),
    ]


def _refusal(recipe: Recipe, tree: dict[str, Any]) -> str | None:
    try:
        check_space(recipe, parse_space(tree))
    except TrueLeadError as error:
        return str(error)
    return None


_RESOURCES: dict[str, tuple[TrainConfig, int | None, bool]] = {
    "more CPUs than there are": (TrainConfig(cpus_per_worker=999), None, False),
    "GPUs on a machine without": (TrainConfig(use_gpu=True, in_process=True), None, False),
    "too many trials at once": (TrainConfig(in_process=True), 999, False),
    "a population that waits for itself": (TrainConfig(cpus_per_worker=1), None, True),
}


def _unrefused_resources() -> list[str]:
    from truelead.sweep.driver import start_session

    start_session(TrainConfig())
    missed = []
    for name, (train, wanted, together) in _RESOURCES.items():
        try:
            found = concurrent_trials(train, 999, wanted, together=together)
            missed.append(f"{name}: {found} trials at once")
        except TrueLeadError as error:
            if "\n" in str(error) or not str(error).startswith("sweep: "):
                missed.append(f"{name}: {error}")
    return missed
