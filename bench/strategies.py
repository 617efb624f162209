"""Does de-biasing pay? Studies of strategies over seeds, on planted truth and on real ECGs.

Runs jobs/studies/planted.yaml, planted-controls.yaml and ptbxl-severity.yaml; what is finished is
found.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bench.reported import row
from truelead import chain
from truelead.study.table import BALANCED, CONFOUNDED, ConditionTable, Value

COMMAND = "make soak SECTION=causal"
STUDIES = Path("jobs/studies")
SMALLER_TIMES, WITHOUT_CONFOUNDING_POINTS = 3.0, -1.0
BALANCED_POINTS, CONFOUNDED_POINTS, RANDOM_ECG_POINTS = 3.0, 0.0, 2.0
DIVERGENCE, RANDOM_ECG = "divergence from do(Q)", "random ECG"


def rows() -> list[dict[str, Any]]:
    """What each strategy gains over plain training, under every condition."""
    found = []
    for study in ("planted.yaml", "planted-controls.yaml"):
        for table in chain.study(STUDIES / study).tables:
            found += _planted(table)
    for table in chain.study(STUDIES / "ptbxl-severity.yaml", _real_data()).tables:
        found += _real(table)
    return found


def _real_data() -> list[str]:
    root = os.environ.get("TRUELEAD_DATA")
    return [f"data.root={root}/ptbxl", f"data.ecg_qa={root}/ecg-qa/ptbxl"] if root else []


def _planted(table: ConditionTable) -> list[dict[str, Any]]:
    found = []
    for arm in table.rows:
        name = f"planted, {table.name}, {arm.arm}"
        if DIVERGENCE in arm.values:
            value = arm.values[DIVERGENCE]
            found.append(_row(f"{name}: {DIVERGENCE}", value, "nats"))
        if DIVERGENCE in arm.reductions:
            strong = table.overrides == {}
            value = arm.reductions[DIVERGENCE]
            found.append(
                _row(
                    f"{name}: divergence, times smaller",
                    value,
                    "times",
                    goal=SMALLER_TIMES if strong else None,
                    holds=value.estimate >= SMALLER_TIMES if strong else None,
                    peer=table.baseline,
                )
            )
        if CONFOUNDED.title in arm.differences:
            value = arm.differences[CONFOUNDED.title]
            free = "planted.confounding" in table.overrides
            found.append(
                _row(
                    f"{name}: accuracy against plain",
                    value,
                    "points",
                    scale=100,
                    goal=WITHOUT_CONFOUNDING_POINTS if free else None,
                    holds=100 * value.estimate >= WITHOUT_CONFOUNDING_POINTS if free else None,
                    peer=table.baseline,
                )
            )
    return found


def _real(table: ConditionTable) -> list[dict[str, Any]]:
    found = []
    for arm in table.rows:
        name = f"ptbxl-severity, {len(table.seeds)} seeds, {arm.arm}"
        for title, value in arm.values.items():
            near = title == RANDOM_ECG
            found.append(
                _row(
                    f"{name}: {title}",
                    value,
                    "%",
                    scale=100,
                    goal=50.0 if near else None,
                    holds=abs(100 * value.estimate - 50) <= RANDOM_ECG_POINTS if near else None,
                )
            )
        goals = {BALANCED.title: BALANCED_POINTS, CONFOUNDED.title: CONFOUNDED_POINTS}
        for title, value in arm.differences.items():
            goal = goals.get(title)
            found.append(
                _row(
                    f"{name}: {title}, against plain",
                    value,
                    "points",
                    scale=100,
                    goal=goal,
                    holds=None if goal is None else 100 * value.estimate >= goal,
                    peer=table.baseline,
                )
            )
    return found


def _row(name: str, value: Value, unit: str, *, scale: float = 1, **more: Any) -> dict[str, Any]:
    interval = None
    if value.low is not None and value.high is not None:
        interval = [scale * value.low, scale * value.high]
    return row(name, scale * value.estimate, unit, COMMAND, interval=interval, **more)
