"""The reliability plot: how often answers of a given confidence are right, and their number."""

from __future__ import annotations

import math

from markupsafe import Markup

from truelead.evaluate.calibration import Binned
from truelead.evaluate.page.markup import element

_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 286.0, 12.0, 232.0
_COUNT_TOP, _COUNT_BOTTOM = 256.0, 296.0


def reliability_plot(binned: Binned, colour: str, alt: str) -> Markup:
    """Accuracy against confidence for each bin, the diagonal, and the bins' counts below.

    Args:
        colour: CSS colour of the arm.
        alt: the plot in words.
    """
    low = min(
        value
        for one in binned.bins
        for value in (one.low, one.confidence, one.accuracy.low, one.accuracy.estimate)
        if math.isfinite(value)
    )
    low = max(0.0, min(0.9, math.floor(10 * low + 1e-9) / 10))

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value - low) / (1.0 - low)

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (min(1.0, max(low, value)) - low) / (1.0 - low)

    step = 0.1 if low >= 0.5 else 0.2
    ticks = [round(1.0 - i * step, 2) for i in range(round((1.0 - low) / step) + 1)]
    parts = []
    for tick in ticks:
        if tick < low - 1e-9:
            continue
        parts.append(_line(x(tick), _TOP, x(tick), _BOTTOM, "grid"))
        parts.append(_line(_LEFT, y(tick), _RIGHT, y(tick), "grid"))
        parts.append(_text(f"{100 * tick:.0f}", x(tick), _BOTTOM + 13, "middle"))
        parts.append(_text(f"{100 * tick:.0f}", _LEFT - 6, y(tick) + 3.5, "end"))
    parts.append(_line(x(low), y(low), x(1.0), y(1.0), "reference"))
    parts.append(_text("too unsure", _LEFT + 8, _TOP + 16, "start", "hint"))
    parts.append(_text("too sure", _RIGHT - 8, _BOTTOM - 9, "end", "hint"))
    for one in binned.bins:
        at = x(one.confidence)
        parts.append(_line(at, y(one.confidence), at, y(one.accuracy.estimate), "gap", colour))
    most = max(one.answers for one in binned.bins)
    for one in binned.bins:
        at = x(one.confidence)
        interval = one.accuracy
        if math.isfinite(interval.low) and math.isfinite(interval.high):
            parts.append(_line(at, y(interval.low), at, y(interval.high), "whisker", colour))
        parts.append(
            element("circle", cx=at, cy=y(interval.estimate), r=4.5, style=f"fill:{colour}")
        )
        left, right = x(max(low, one.low)) + 1, x(one.high) - 1
        height = (_COUNT_BOTTOM - _COUNT_TOP) * one.answers / most
        parts.append(
            element(
                "rect",
                x=left,
                y=_COUNT_BOTTOM - height,
                width=max(1.0, right - left),
                height=height,
                class_="bar",
                style=f"fill:{colour}",
            )
        )
        if right - left >= 20:
            parts.append(
                _text(_count(one.answers), (left + right) / 2, _COUNT_BOTTOM - height - 3, "middle")
            )
    parts.append(_line(_LEFT, _COUNT_BOTTOM, _RIGHT, _COUNT_BOTTOM, "base"))
    parts.append(_text("confidence, %; below: answers in each bin", 163, 312, "middle"))
    parts.append(
        element(
            "text",
            "right answers, %",
            x=-122,
            y=11,
            transform="rotate(-90)",
            class_="tick",
            text_anchor="middle",
        )
    )
    return element(
        "svg", *parts, class_="reliability", viewBox="0 0 300 318", role="img", aria_label=alt
    )


def _line(
    x1: float, y1: float, x2: float, y2: float, kind: str, colour: str | None = None
) -> Markup:
    style = f"stroke:{colour}" if colour else None
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind, style=style)


def _text(text: str, x: float, y: float, anchor: str, kind: str = "tick") -> Markup:
    return element("text", text, x=x, y=y, class_=kind, text_anchor=anchor)


def _count(answers: int) -> str:
    return f"{answers}" if answers < 1000 else f"{answers / 1000:.1f}k"
