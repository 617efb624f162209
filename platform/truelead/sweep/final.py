"""The winner trained again over seeds, beside baselines, and judged once on the test set.

The winner's score is the largest of several and flatters it (the winner's curse): trained again
with other seeds, it shows how much of it was luck. The test set is opened for one trial only; the
journal says for which, and a later winner of the same sweep is not judged on it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from truelead.config import ArmConfig, Recipe
from truelead.errors import TrueLeadError
from truelead.evaluate.bootstrap import Interval
from truelead.study.table import (
    BALANCED,
    CONFOUNDED,
    Value,
    columns_of,
    differences_of,
    values_of,
    verdict,
)
from truelead.sweep.front import TrialResult
from truelead.sweep.journal import Journal, Report
from truelead.sweep.objective import SweepPlan
from truelead.sweep.space import Values
from truelead.sweep.tuning import run_listed, trace_of
from truelead.train.progress import say
from truelead.train.stage import Stage

WINNER, OPENED = "winner", "test opened"
FOLDER = "final"


@dataclass(frozen=True)
class Curse:
    """How the winner does when it is trained again.

    Attributes:
        found: the score by which it was chosen.
        again: mean over the further seeds, with Student's 95 % interval of that mean (over the
            seeds alone: the questions are the same).
        seeds: each seed's score.
    """

    found: float
    again: Interval
    seeds: Mapping[int, float]


@dataclass(frozen=True)
class Final:
    """What the last judgement has shown.

    Attributes:
        curses: metric -> the winner's score and that of its repetitions.
        report: the judge's report, seen from the sweep's folder; empty where it is not there.
        values: arm -> column title -> its number on the test set.
        differences: baseline -> column title -> the winner minus the baseline, paired.
        verdicts: baseline -> what the intervals show.
        reason: why there is no report.
        failures: one line for each training that failed.
    """

    seeds: tuple[int, ...]
    curses: Mapping[str, Curse] = field(default_factory=dict)
    report: str = ""
    values: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    failures: tuple[str, ...] = ()


def judge_winner(
    plan: SweepPlan, winner: TrialResult, journal: Journal, concurrent: int
) -> Final | None:
    """Train the winner and the baselines over the space's seeds, and judge them; what is there is
    found. None where the space asks for no seeds."""
    space = plan.space
    if not space.final.seeds:
        return None
    opened = journal.of(OPENED)
    if opened and opened[0]["trial"] != winner.trial:
        return Final(
            space.final.seeds,
            reason=(
                f"the test set was opened for trial {opened[0]['trial']}; trial {winner.trial}, "
                "which wins now, is not judged on it"
            ),
        )
    arms: dict[str, Values] = {WINNER: winner.values, **space.final.baselines}
    configs = [
        {
            "name": f"{FOLDER}-{arm}-seed-{seed}",
            "values": values,
            "seed": seed,
            "rungs": [plan.rungs[-1]],
        }
        for seed in space.final.seeds
        for arm, values in arms.items()
    ]
    say(f"sweep {space.name}: trial {winner.trial} and {len(arms) - 1} baseline(s), seeds "
        f"{', '.join(map(str, space.final.seeds))}")  # fmt: skip
    found = run_listed(plan, f"{FOLDER}-{journal.starts:03d}", configs, concurrent)
    failures = tuple(
        f"{name}: {line}" for name, result in found.items() if (line := trace_of(result))
    )
    scores = {name: result.metrics for name, result in found.items() if not trace_of(result)}
    curses = _curses(plan, winner, scores)
    seeds = [
        seed
        for seed in space.final.seeds
        if all(f"{FOLDER}-{arm}-seed-{seed}" in scores for arm in arms)
    ]
    if not seeds:
        return Final(space.final.seeds, curses, reason="no seed of all arms", failures=failures)
    if not opened:
        journal.append(OPENED, trial=winner.trial, seeds=seeds, split=plan.recipe.evaluate.split)
    try:
        report = _judge(plan, arms, seeds)
    except TrueLeadError as error:
        return Final(space.final.seeds, curses, reason=str(error), failures=failures)
    tree = json.loads((report / "report.json").read_text(encoding="utf-8"))["examination"]
    columns = columns_of(tree)
    # The report compares every later arm with the first, which is the winner.
    differences = {
        name: {
            title: turned(value)
            for title, value in differences_of(tree, name, WINNER, columns).items()
        }
        for name in space.final.baselines
    }
    return Final(
        tuple(seeds),
        curses,
        report.relative_to(plan.folder).as_posix(),
        {name: values_of(tree, name, columns) for name in arms},
        differences,
        {name: verdict(one, space.final.margin_points) for name, one in differences.items()},
        failures=failures,
    )


def _judge(plan: SweepPlan, arms: Mapping[str, Values], seeds: Sequence[int]) -> Path:
    from truelead.evaluate.judge import evaluate_runs

    folders = {
        arm: [
            (plan.folder / f"{FOLDER}-{arm}-seed-{seed}" / f"steps-{plan.rungs[-1]:06d}").resolve()
            for seed in seeds
        ]
        for arm in arms
    }
    recipe = judged_recipe(plan, arms)
    tree = recipe.model_dump(mode="json")
    models = {arm: [str(folder) for folder in found] for arm, found in folders.items()}
    stage = Stage(
        plan.folder / FOLDER / "report",
        {"models": models, "evaluate": tree["evaluate"], "questions": tree["questions"]},
    )
    if not stage.is_finished():
        stage.begin(recipe)
        evaluate_runs(
            recipe, folders, output=stage.folder, progress=lambda message: say(f"test: {message}")
        )
        stage.finish({"seeds": list(seeds)})
    return stage.folder


def judged_recipe(plan: SweepPlan, arms: Mapping[str, Values]) -> Recipe:
    """The sweep's recipe with the arms of the last judgement."""
    recipes = {arm: plan.trial_recipe(values, plan.rungs[-1], arm) for arm, values in arms.items()}
    tuned = "finetune" in plan.space.stages
    listed = tuple(
        ArmConfig(
            name=arm,
            pretrain=recipe.pretrain.strategy,
            pretrain_options=dict(recipe.pretrain.options),
            finetune=recipe.finetune.strategy if tuned else "none",
            finetune_options=dict(recipe.finetune.options) if tuned else {},
        )
        for arm, recipe in recipes.items()
    )
    return plan.recipe.model_copy(update={"arms": listed})


def _curses(plan: SweepPlan, winner: TrialResult, scores: Mapping[str, Report]) -> dict[str, Curse]:
    found: dict[str, Curse] = {}
    for metric in ("balanced", "confounded", "reliance"):
        again = {
            seed: float(scores[name][metric])
            for seed in plan.space.final.seeds
            if (name := f"{FOLDER}-{WINNER}-seed-{seed}") in scores and metric in scores[name]
        }
        if again and metric in winner.reports[-1]:
            found[metric] = Curse(
                winner.reports[-1][metric], mean_over_seeds(list(again.values())), again
            )
    return found


def mean_over_seeds(values: Sequence[float]) -> Interval:
    """Mean with Student's 95 % interval; no bounds for a single value."""
    from scipy import stats

    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1))
    reach /= math.sqrt(len(values))
    return Interval(mean, mean - reach, mean + reach)


def turned(value: Value) -> Value:
    """A difference seen from its other side."""
    low, high = value.low, value.high
    return Value(-value.estimate, None if high is None else -high, None if low is None else -low)


def beats(final: Final, baseline: str) -> str:
    """One sentence about the winner and a baseline on the held-out test, from the intervals."""
    parts = []
    for column in (BALANCED, CONFOUNDED):
        found = final.differences.get(baseline, {}).get(column.title)
        if found is None or found.low is None or found.high is None:
            continue
        word = "beats" if found.low > 0 else "is worse than" if found.high < 0 else "does not beat"
        points = f"{100 * found.estimate:+.1f} points"
        bounds = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
        parts.append(f"{word} {baseline} on the {column.title} test ({points}, {bounds})")
    return f"The winner {', and '.join(parts)}." if parts else f"Not compared with {baseline}."


def as_tree(final: Final) -> dict[str, Any]:
    """The judgement as JSON values."""
    from dataclasses import asdict

    tree = asdict(final)
    tree["sentences"] = [beats(final, name) for name in final.differences]
    return tree
