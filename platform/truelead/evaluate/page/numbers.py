"""Numbers as text, the same on the page and in Markdown."""

from __future__ import annotations

import math

from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.page.blocks import Axis, Value

MINUS = "\N{MINUS SIGN}"


def estimate(value: Value) -> str:
    """The estimate alone: "79.4", "+2.1" or "0.0312"."""
    return _form(value.interval.estimate, value.kind)


def bounds(value: Value) -> str:
    """The interval alone: "77.0 to 81.3"; empty where there is none."""
    low, high = value.interval.low, value.interval.high
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{_form(low, value.kind)} to {_form(high, value.kind)}"


def whole(value: Value) -> str:
    """Estimate and interval: "79.4 (77.0 to 81.3)"."""
    between = bounds(value)
    return f"{estimate(value)} ({between})" if between else f"{estimate(value)} (no interval)"


def certain(value: Value) -> bool:
    """Whether a difference's interval leaves out 0."""
    return value.interval.above(0.0) or value.interval.below(0.0)


def plain(value: object) -> str:
    """A number or text of unknown meaning."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "not determined"
        return f"{value:,.0f}" if value.is_integer() and abs(value) >= 1 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def share_axis(intervals: list[Interval], *, from_zero: bool = False) -> Axis:
    """A scale of shares that holds all the intervals, its ends at tenths."""
    known = [
        number
        for one in intervals
        for number in (one.estimate, one.low, one.high)
        if math.isfinite(number)
    ]
    low = 0.0 if from_zero else max(0.0, math.floor(10 * min(known, default=0.0)) / 10)
    high = min(1.0, math.ceil(10 * max(known, default=1.0)) / 10)
    if high - low < 0.15:
        low, high = max(0.0, high - 0.2), max(high, 0.2)
    step = 0.1 if high - low < 0.55 else 0.2
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return Axis(low, high, tuple(round(i * step, 3) for i in range(first, last + 1)))


def difference_axis(intervals: list[Interval]) -> Axis:
    """A scale of differences about 0 that holds all the intervals."""
    known = [
        abs(number)
        for one in intervals
        for number in (one.estimate, one.low, one.high)
        if math.isfinite(number)
    ]
    reach = max(0.02, max(known, default=0.0) * 1.05)
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if reach / step <= 3.2)
    count = math.floor(reach / step + 1e-9)
    return Axis(
        -reach, reach, tuple(round(i * step, 3) for i in range(-count, count + 1)), signed=True
    )


def _form(number: float, kind: str) -> str:
    if not math.isfinite(number):
        return "not determined"
    if kind in ("percent", "loss"):
        return _minus(f"{100 * number:.1f}")
    if kind == "points":
        text = f"{100 * number:+.1f}"
        return _minus("0.0" if text in ("+0.0", "-0.0") else text)
    return _minus(f"{number:.3f}" if abs(number) < 10 else f"{number:.4g}")


def _minus(text: str) -> str:
    return "0.0" if text == "-0.0" else text.replace("-", MINUS)
