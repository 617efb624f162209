"""Rows made of figures that a report holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def row(
    name: str,
    value: float,
    unit: str,
    command: str,
    *,
    goal: float | None = None,
    holds: bool | None = None,
    peer: str | None = None,
    interval: list[float] | None = None,
) -> dict[str, Any]:
    """One row of a section's table."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "goal": goal,
        "holds": holds,
        "peer": peer,
        "interval": interval,
        "command": command,
    }


def in_percent(value: Mapping[str, float]) -> tuple[float, list[float]]:
    """Estimate and interval of a share, in percent."""
    return 100 * value["estimate"], [100 * value["low"], 100 * value["high"]]


def lead_of(arm: str, comparison: Mapping[str, Any]) -> tuple[float, list[float]]:
    """`arm` minus the other one of a paired comparison, in percentage points."""
    estimate, interval = in_percent(comparison["difference"])
    if comparison["first"] == arm:
        return estimate, interval
    return -estimate, [-interval[1], -interval[0]]
