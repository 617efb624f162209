"""Ray Tune against a plain loop over the same trials, one after the other, on the same machine.

Both run the same function in one process at a time; each round trains everything anew, in turn. On
a machine that others use the two rounds are not alike; so the time that passes between the trials
of the sweep itself, with nothing of a trial in it, is told as well.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.reported import row
from bench.sweep_run import SHORT, base_run, copied
from truelead.config import Recipe, TrainConfig
from truelead.sweep.driver import make_plan, start_session
from truelead.sweep.journal import Journal
from truelead.sweep.objective import SweepPlan, train_and_score, trial_name
from truelead.sweep.sampling import draw
from truelead.sweep.space import parse_space
from truelead.sweep.stages import StagePool
from truelead.sweep.tuning import run_trials

ROUNDS, TRIALS, STEPS = 2, 4, 600
GOAL_PERCENT = 10.0
SPACE = {
    "name": "timed",
    "fixed": {"pretrain.strategy": "do-question-balanced"},
    "parameters": {"pretrain.learning_rate": {"loguniform": [5e-4, 2e-3]}},
    "trials": TRIALS,
    "max_steps": STEPS,
    "deterministic": True,
    "scheduler": {"name": "none"},
}


def rows() -> list[dict[str, Any]]:
    """Overhead in wall time, and what starting up takes."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        start_session(TrainConfig())
        session = time.monotonic() - began
        recipe = base_run()
        _by_hand(_plan(copied(recipe, Path(scratch) / "warm")), trials=1)
        hands, tunes = [], []
        for number in range(ROUNDS):
            hands.append(_by_hand(_plan(copied(recipe, Path(scratch) / f"hand-{number}"))))
            tunes.append(_by_tune(_plan(copied(recipe, Path(scratch) / f"tune-{number}"))))
    ratios = [100 * ((t[0] - t[1]) / h - 1) for h, t in zip(hands, tunes, strict=True)]
    whole = [100 * (t[0] / h - 1) for h, t in zip(hands, tunes, strict=True)]
    starts = [t[1] for t in tunes]
    between = [100 * t[2] / (t[0] - t[1] - t[2]) for t in tunes]
    name = f"Tune beside a plain loop, {TRIALS} trials of {STEPS} steps"
    return [
        row(
            f"{name}: more wall time, start-up apart",
            median(ratios),
            "%",
            SHORT,
            goal=GOAL_PERCENT,
            holds=median(ratios) <= GOAL_PERCENT,
            peer="plain loop",
            interval=[min(ratios), max(ratios)],
        ),
        row(
            f"{name}: time between the trials, of the time in them",
            median(between),
            "%",
            SHORT,
            goal=GOAL_PERCENT,
            holds=median(between) <= GOAL_PERCENT,
            interval=[min(between), max(between)],
        ),
        row(f"{name}: more wall time, start-up in it", median(whole), "%", SHORT,
            interval=[min(whole), max(whole)]),
        row("a trial of the plain loop", median(hands) / TRIALS, "s", SHORT),
        row("start-up of Tune, to the first training step's process", median(starts), "s", SHORT,
            interval=[min(starts), max(starts)]),
        row("start-up of a local Ray session", session, "s", SHORT),
    ]  # fmt: skip


def _plan(recipe: Recipe) -> SweepPlan:
    return make_plan(recipe, parse_space(SPACE))


def _by_hand(plan: SweepPlan, trials: int = TRIALS) -> float:
    """Wall seconds of the loop."""
    start = time.monotonic()
    for number, values in enumerate(draw(plan.space, plan.recipe, trials)):
        train_and_score(plan, trial_name(number, values), values, plan.rungs[-1])
    return time.monotonic() - start


def _by_tune(plan: SweepPlan) -> tuple[float, float, float]:
    """Wall seconds of the sweep, those before its first training began, and those that were spent
    in no trial afterwards."""
    began, start = time.time(), time.monotonic()
    journal = Journal(plan.folder, "timed")
    run_trials(plan, journal, 1, lambda number: None)
    assert all(log.status == "finished" for log in journal.trials.values())
    wall = time.monotonic() - start
    times = sorted(one["time"] for one in StagePool(plan.recipe).tries())
    reports = [log.reports[plan.rungs[-1]] for log in journal.trials.values()]
    inside = times[1] - times[0] + reports[0]["score_seconds"]
    inside += sum(one["wall_seconds"] + one["score_seconds"] for one in reports[1:])
    start_up = times[0] - began
    return wall, start_up, wall - start_up - inside
