"""The report's drawings, as SVG without any outside part: Pareto front and parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from truelead.config import Scalar
from truelead.evaluate.page.markup import element
from truelead.study.table import pareto_front
from truelead.sweep.distributions import Distribution

_WIDE, _HIGH = 720.0, 360.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 20.0, 24.0, 46.0
WINNER, FRONT, OTHER = "var(--good)", "var(--accent)", "var(--faint)"


@dataclass(frozen=True)
class Dot:
    """A trial among the objectives.

    Attributes:
        x, y: shares.
        kind: "winner", "front" or "other".
    """

    name: str
    x: float
    y: float
    kind: str


def scatter(dots: Sequence[Dot], x_title: str, y_title: str, alt: str) -> Markup:
    """Two objectives against each other, in percent; those that no other beats by the two alone
    are joined."""
    xs, ys = _span([dot.x for dot in dots]), _span([dot.y for dot in dots])

    def place(dot: Dot) -> tuple[float, float]:
        return (
            _LEFT + (dot.x - xs[0]) / (xs[1] - xs[0]) * (_WIDE - _LEFT - _RIGHT),
            _HIGH - _BOTTOM - (dot.y - ys[0]) / (ys[1] - ys[0]) * (_HIGH - _TOP - _BOTTOM),
        )

    parts = [*_frame(xs, ys), _text(x_title, _WIDE / 2, _HIGH - 8), _text(y_title, _LEFT, 14)]
    unbeaten = pareto_front({dot.name: (dot.x, dot.y) for dot in dots})
    stairs = sorted((dot for dot in dots if dot.name in unbeaten), key=lambda dot: dot.x)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, stairs))
    if len(stairs) > 1:
        parts.append(
            element("polyline", points=points, style=f"fill:none;stroke:{FRONT};opacity:.5")
        )
    for dot in sorted(dots, key=lambda dot: dot.kind != "other"):
        x, y = place(dot)
        colour = {"winner": WINNER, "front": FRONT}.get(dot.kind, OTHER)
        title = element("title", f"{dot.name}: {100 * dot.x:.1f} %, {100 * dot.y:.1f} %")
        radius = 7.0 if dot.kind == "winner" else 5.0
        parts.append(element("circle", title, cx=x, cy=y, r=radius, style=f"fill:{colour}"))
        if dot.kind != "other":
            parts.append(_text(dot.name, x, y - 10, size=10))
    return _drawing(parts, _HIGH, alt)


@dataclass(frozen=True)
class Line:
    """A trial across the parallel coordinates.

    Attributes:
        values: config path -> value; a parameter that the trial does not have is left out.
        share: 0 to 1, how good it is among all.
        kind: as of a `Dot`.
    """

    name: str
    values: Mapping[str, Scalar]
    score: float
    share: float
    kind: str


def parallel_coordinates(
    lines: Sequence[Line], parameters: Mapping[str, Distribution], metric: str, alt: str
) -> Markup:
    """An axis for every parameter and one for the metric; a line for every trial, better ones
    stronger. A parameter that a trial does not have is passed by below its axis."""
    low, high = _span([line.score for line in lines])
    names = [*parameters, metric]
    step = (_WIDE - _LEFT - 70) / max(1, len(names) - 1)
    places = {name: _LEFT + number * step for number, name in enumerate(names)}
    top, bottom = 44.0, _HIGH - 50
    scales = {path: _scale(one, top, bottom) for path, one in parameters.items()}

    def height(line: Line, name: str) -> float:
        if name == metric:
            return bottom - (line.score - low) / (high - low) * (bottom - top)
        return scales[name](line.values[name]) if name in line.values else bottom + 24

    parts: list[Markup] = []
    for line in sorted(lines, key=lambda line: (line.kind == "winner", line.share)):
        points = " ".join(f"{places[name]:.1f},{height(line, name):.1f}" for name in names)
        colour = WINNER if line.kind == "winner" else FRONT
        width, opacity = (3.0, 1.0) if line.kind == "winner" else (1.4, 0.12 + 0.6 * line.share)
        style = f"fill:none;stroke:{colour};stroke-width:{width};opacity:{opacity:.2f}"
        title = element("title", f"{line.name}: {100 * line.score:.1f} %")
        parts.append(element("polyline", title, points=points, style=style))
    for number, name in enumerate(names):
        x = places[name]
        parts.append(element("line", x1=x, x2=x, y1=top, y2=bottom, class_="zero"))
        # Long names stand by turns on two lines.
        parts.append(_text(_last(name), x, 14 if number % 2 else 30, size=11))
        if name == metric:
            ends = [(f"{100 * high:.1f}", top), (f"{100 * low:.1f}", bottom)]
        else:
            ends = _labels(parameters[name], scales[name])
        parts += [
            element("text", text, x=x + 5, y=y + 4, class_="tick", text_anchor="start")
            for text, y in ends
        ]
    if any(len(line.values) < len(parameters) for line in lines):
        parts.append(
            element("text", "not there", x=4, y=bottom + 28, class_="hint", text_anchor="start")
        )
    return _drawing(parts, _HIGH, alt)


def _scale(one: Distribution, top: float, bottom: float) -> Callable[[Scalar], float]:
    if one.kind == "choice":
        count = len(one.values)
        return lambda value: bottom - (one.values.index(value) + 0.5) / count * (bottom - top)
    low, high = one.ends
    bend = math.log if one.is_logarithmic else float
    span = max(1e-12, bend(high) - bend(low))
    return lambda value: bottom - (bend(float(str(value))) - bend(low)) / span * (bottom - top)


def _labels(one: Distribution, scale: Callable[[Scalar], float]) -> list[tuple[str, float]]:
    values: Sequence[Scalar] = one.values if one.kind == "choice" else one.ends
    return [
        (f"{value:.4g}" if isinstance(value, float) else str(value), scale(value))
        for value in values
    ]


def _frame(xs: tuple[float, float], ys: tuple[float, float]) -> list[Markup]:
    parts = []
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + part * (_WIDE - _LEFT - _RIGHT)
        y = _HIGH - _BOTTOM - part * (_HIGH - _TOP - _BOTTOM)
        parts.append(element("line", x1=x, x2=x, y1=_TOP, y2=_HIGH - _BOTTOM, class_="grid"))
        parts.append(element("line", x1=_LEFT, x2=_WIDE - _RIGHT, y1=y, y2=y, class_="grid"))
        right, up = xs[0] + part * (xs[1] - xs[0]), ys[0] + part * (ys[1] - ys[0])
        parts.append(_text(f"{100 * right:.1f}", x, _HIGH - _BOTTOM + 16, size=10))
        parts.append(
            element(
                "text", f"{100 * up:.1f}", x=_LEFT - 6, y=y + 4, class_="tick", text_anchor="end"
            )
        )
    return parts


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = max(0.005, 0.06 * (high - low))
    return low - margin, high + margin


def _last(path: str) -> str:
    """The telling end of a config path."""
    parts = path.split(".")
    return ".".join(parts[-2:]) if len(parts) > 2 else path


def _text(text: str, x: float, y: float, *, size: int = 12) -> Markup:
    style = f"font:{size}px var(--font);fill:var(--soft)"
    return element("text", text, x=x, y=y, text_anchor="middle", style=style)


def _drawing(parts: Sequence[Markup], high: float, alt: str) -> Markup:
    return element("svg", *parts, viewBox=f"0 0 {_WIDE:.0f} {high:.0f}", role="img", aria_label=alt)
