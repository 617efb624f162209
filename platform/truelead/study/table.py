"""The comparison of a condition: each arm's numbers, its difference to the baseline, a verdict.

Every number is read from the judge's report; nothing is computed from answers here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from truelead.evaluate.console import read_report
from truelead.study.judging import Judged
from truelead.study.plan import Condition, Run, StudyPlan
from truelead.study.training import RunRecord

_RIGHT = ("micro",)
"""Share of right answers."""


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        title: its head.
        cell: the report's cell.
        path: keys that lead to the number in a cell's result.
        smaller: whether less is better, and the ratio to the baseline is what tells.
    """

    title: str
    cell: str
    path: tuple[str, ...] = _RIGHT
    smaller: bool = False


CONFOUNDED = Column("confounded", "confounded/test-wordings")
BALANCED = Column("balanced", "balanced/test-wordings")
_INTERVENTIONAL = "interventional/test-wordings"
COLUMNS = (
    CONFOUNDED,
    BALANCED,
    Column("same severity", "balanced-same-severity/test-wordings"),
    Column("random ECG", "balanced/test-wordings/random-ecg"),
    Column("ECE", BALANCED.cell, ("calibration", "equal_mass", "error"), smaller=True),
    *(
        Column(f"{kind} from do(Q)", _INTERVENTIONAL, ("measures", f"{kind} from do(Q)"), True)
        for kind in ("divergence", "difference")
    ),
)
"""Those that a report does not have are left out: only planted truth has the last two."""


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval; None where it is not determined."""

    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Row:
    """One arm.

    Attributes:
        finished, failed, seeds: how many of its runs are, and how many the study has.
        reasons: of failures, each once.
        values: column title -> the arm's number; empty where the arm is not in the report.
        differences: column title -> the arm minus the baseline, paired.
        reductions: column title -> how many times smaller than the baseline's an error is.
        on_front: whether no other arm is as good on both tests and better on one.
        training_seconds: mean over the finished runs.
        verdict: plain words that follow from the intervals alone.
    """

    arm: str
    finished: int
    failed: int
    seeds: int
    reasons: tuple[str, ...]
    values: Mapping[str, Value]
    differences: Mapping[str, Value]
    reductions: Mapping[str, Value]
    on_front: bool
    training_seconds: float | None
    verdict: str


@dataclass(frozen=True)
class ConditionTable:
    """All arms under one condition, the baseline first.

    Attributes:
        report: the judge's report, seen from the study's folder; empty where there is none.
        seeds: those compared over.
        questions: column title -> how many questions and patients the number rests on.
        reason: why there is no report.
    """

    name: str
    overrides: Mapping[str, Any]
    baseline: str
    report: str
    seeds: tuple[int, ...]
    questions: Mapping[str, tuple[int, int]]
    rows: tuple[Row, ...]
    reason: str = ""


def condition_table(
    plan: StudyPlan, condition: Condition, judged: Judged, records: Mapping[Run, RunRecord]
) -> ConditionTable:
    """The table of one condition from its report and its runs' records."""
    tree = read_report(judged.report)["examination"] if judged.report else {}
    names = [arm.name for arm in condition.recipe.arms]
    columns = columns_of(tree)
    values = {name: values_of(tree, name, columns) for name in judged.arms}
    front = pareto_front(
        {
            name: (found[CONFOUNDED.title].estimate, found[BALANCED.title].estimate)
            for name, found in values.items()
            if CONFOUNDED.title in found and BALANCED.title in found
        }
    )
    rows = []
    for name in names:
        runs = [run for run in plan.runs if (run.condition, run.arm) == (condition.name, name)]
        own = [records[run] for run in runs if run in records]
        finished = [record for record in own if record.is_finished]
        differences = differences_of(tree, name, names[0], columns)
        rows.append(
            Row(
                arm=name,
                finished=len(finished),
                failed=len(own) - len(finished),
                seeds=len(runs),
                reasons=tuple(dict.fromkeys(r.reason for r in own if not r.is_finished)),
                values=values.get(name, {}),
                differences=differences,
                reductions=_reductions(values, name, names[0], columns),
                on_front=name in front,
                training_seconds=_mean([record.training_seconds for record in finished]),
                verdict=_verdict_of(name, names[0], judged, differences, plan.study.margin_points),
            )
        )
    report = judged.report.relative_to(plan.folder).as_posix() if judged.report else ""
    counts = {
        column.title: (int(cell["questions"]), int(cell["patients"]))
        for column in columns
        if (cell := _cell(tree, column, names[0])) is not None
    }
    return ConditionTable(
        condition.name,
        condition.overrides,
        names[0],
        report,
        judged.seeds,
        counts,
        tuple(rows),
        judged.reason,
    )


def columns_of(tree: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns that a report's examination has numbers for."""
    names = dict.fromkeys(cell["arm"] for cell in tree.get("cells", ()))
    return tuple(
        column for column in COLUMNS if any(_cell(tree, column, name) is not None for name in names)
    )


def pareto_front(points: Mapping[str, tuple[float, ...]]) -> frozenset[str]:
    """Names of the points that no other is at least as good as on all axes, and better on one.

    More is better on every axis.
    """
    return frozenset(
        name
        for name, point in points.items()
        if not any(
            other != point and all(a >= b for a, b in zip(other, point, strict=True))
            for other in points.values()
        )
    )


def verdict(differences: Mapping[str, Value], margin_points: float) -> str:
    """What the paired intervals show, and nothing beyond them.

    Better or worse: the interval leaves 0 out. Not worse: it leaves out a loss of more than the
    margin. Otherwise no difference is shown, which does not mean that there is none.
    """
    words = []
    for column in (BALANCED, CONFOUNDED):
        found = differences.get(column.title)
        if found is None or found.low is None or found.high is None:
            continue
        if found.low > 0:
            words.append(f"better on {column.title}")
        elif found.high < 0:
            words.append(f"worse on {column.title}")
        elif 100 * found.low > -margin_points:
            words.append(f"not worse on {column.title}")
        else:
            words.append(f"no difference shown on {column.title}")
    return ", ".join(words) or "not determined"


def _verdict_of(
    arm: str, baseline: str, judged: Judged, differences: Mapping[str, Value], margin: float
) -> str:
    if arm not in judged.arms:
        return "left out: runs are missing" if judged.arms else "not judged"
    return "baseline" if arm == baseline else verdict(differences, margin)


def values_of(tree: Mapping[str, Any], arm: str, columns: Sequence[Column]) -> dict[str, Value]:
    """Column title -> an arm's number in a report's examination."""
    found = {}
    for column in columns:
        cell = _cell(tree, column, arm)
        if cell is not None:
            found[column.title] = Value(**_number(cell, column.path))
    return found


def _cell(tree: Mapping[str, Any], column: Column, arm: str) -> Mapping[str, Any] | None:
    """The first of the report's results that has the column's number."""
    for cell in tree.get("cells", ()):
        if (cell["cell"], cell["arm"]) == (column.cell, arm) and _number(cell, column.path):
            result: Mapping[str, Any] = cell
            return result
    return None


def _number(cell: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """The interval at a path; empty where there is none, or its estimate is not determined."""
    node: Any = cell
    for part in path:
        node = node.get(part) if isinstance(node, Mapping) else None
    return node if isinstance(node, dict) and node.get("estimate") is not None else {}


def differences_of(
    tree: Mapping[str, Any], arm: str, baseline: str, columns: Sequence[Column]
) -> dict[str, Value]:
    """Column title -> an arm minus another, paired, as the report has it."""
    found: dict[str, Value] = {}
    for pair in tree.get("comparisons", ()):
        for column in columns:
            place = (column.cell, arm, baseline, _RIGHT)
            if (pair["cell"], pair["first"], pair["second"], column.path) == place:
                found.setdefault(column.title, Value(**pair["difference"]))
    return found


def _reductions(
    values: Mapping[str, Mapping[str, Value]], arm: str, baseline: str, columns: Sequence[Column]
) -> dict[str, Value]:
    own, other = values.get(arm, {}), values.get(baseline, {})
    found = {
        column.title: reduction(other[column.title], own[column.title])
        for column in columns
        if arm != baseline and column.smaller and column.title in own and column.title in other
    }
    return {title: value for title, value in found.items() if value is not None}


def reduction(baseline: Value, arm: Value) -> Value | None:
    """How many times smaller the arm's error is, with a 95 % interval; None where one is 0.

    By the delta method on the logarithm, as if the two were independent. They answer the same
    questions, so that their errors mostly rise together and the interval is wider than it need be.
    """
    if not (baseline.estimate > 0 and arm.estimate > 0):
        return None
    ratio = baseline.estimate / arm.estimate
    spread = 0.0
    for value in (baseline, arm):
        if value.low is None or value.high is None:
            return Value(ratio, None, None)
        spread += ((value.high - value.low) / 2 / value.estimate) ** 2
    factor = math.exp(math.sqrt(spread))
    return Value(ratio, ratio / factor, ratio * factor)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
