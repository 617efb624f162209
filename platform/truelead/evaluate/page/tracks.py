"""Pieces of plots inside tables: SVG without a view box, so that it stretches and text does not.

Places along the axis are percentages, heights are pixels.
"""

from __future__ import annotations

import math

from markupsafe import Markup

from truelead.evaluate.page.blocks import Axis, Mark, Track
from truelead.evaluate.page.markup import element
from truelead.evaluate.page.numbers import MINUS

HEIGHT = 26
DENSE_HEIGHT = 20


def track(cell: Track, axis: Axis, colours: dict[str, str], *, dense: bool) -> Markup:
    """The drawing of one row."""
    height = DENSE_HEIGHT if dense else HEIGHT
    parts = [
        _vertical(axis, tick, height, "zero" if axis.signed and tick == 0 else "grid")
        for tick in axis.ticks
    ]
    if cell.reference is not None and axis.low <= cell.reference <= axis.high:
        parts.append(_vertical(axis, cell.reference, height, "reference"))
    draw = _bar if cell.kind == "bar" else _dot
    if cell.kind == "dots" and len(cell.marks) > 1:
        places = [axis.place(mark.interval.estimate) for mark in cell.marks]
        parts.append(_horizontal(min(places), max(places), height / 2, "span", None))
    for mark in cell.marks:
        parts += draw(mark, axis, height, colours.get(mark.arm, "var(--faint)"), dense)
    return element(
        "svg", *parts, class_="track", width="100%", height=height, role="img", aria_label=cell.alt
    )


def axis_labels(axis: Axis) -> Markup:
    """The ticks' numbers, in percent, for the head of the column."""
    parts = [
        element(
            "text",
            _tick(tick, axis.signed),
            x=_percent(axis.place(tick)),
            y=12,
            text_anchor="middle",
        )
        for tick in axis.ticks
    ]
    return element("svg", *parts, class_="axis", width="100%", height=16, aria_hidden="true")


def _dot(mark: Mark, axis: Axis, height: int, colour: str, dense: bool) -> list[Markup]:
    value = mark.interval
    parts = []
    if not dense and math.isfinite(value.low) and math.isfinite(value.high):
        low, high = axis.place(value.low), axis.place(value.high)
        parts.append(_horizontal(low, high, height / 2, "whisker", colour))
    if math.isfinite(value.estimate):
        parts.append(
            element(
                "circle",
                cx=_percent(axis.place(value.estimate)),
                cy=height / 2,
                r=4.0 if dense else 5.0,
                style=f"fill:{colour}",
            )
        )
    return parts


def _bar(mark: Mark, axis: Axis, height: int, colour: str, dense: bool) -> list[Markup]:
    value = mark.interval
    end = axis.place(value.estimate)
    parts = [
        element(
            "rect",
            x="0",
            y=height * 0.2,
            width=_percent(end),
            height=height * 0.6,
            rx=2,
            class_="bar",
            style=f"fill:{colour}",
        )
    ]
    if math.isfinite(value.low) and math.isfinite(value.high):
        low, high = axis.place(value.low), axis.place(value.high)
        parts.append(_horizontal(low, high, height / 2, "error", None))
    return parts


def _vertical(axis: Axis, value: float, height: int, kind: str) -> Markup:
    x = _percent(axis.place(value))
    return element("line", x1=x, x2=x, y1=0, y2=height, class_=kind)


def _horizontal(low: float, high: float, y: float, kind: str, colour: str | None) -> Markup:
    style = f"stroke:{colour}" if colour else None
    return element(
        "line", x1=_percent(low), x2=_percent(high), y1=y, y2=y, class_=kind, style=style
    )


def _tick(tick: float, signed: bool) -> str:
    text = f"{100 * tick:+.0f}" if signed and tick else f"{100 * tick:.0f}"
    return text.replace("-", MINUS)


def _percent(place: float) -> str:
    return f"{100 * place:.2f}%"
