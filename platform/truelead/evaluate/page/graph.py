"""The causal graph of one way of drawing questions, with what was measured on its arrows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from truelead.evaluate.page.markup import element

_PLACES = {"S": (96.0, 58.0), "E": (262.0, 58.0), "Q": (58.0, 204.0), "A": (262.0, 204.0)}
_NAMES = {"S": "severity", "E": "ECG", "Q": "question", "A": "answer"}
_RADIUS = 25.0
EDGES = {
    "question_severity_bits": ("S", "Q"),
    "answer_severity_bits": ("S", "A"),
    "question_answer_bits": ("Q", "A"),
}
"""Diagnostic of a draw -> the arrow that it measures."""

CUT = 0.2
"""An arrow that carries less than this share of what it carries as observed is drawn as cut."""


@dataclass(frozen=True)
class _Edge:
    start: str
    end: str
    bits: float | None
    kind: str


def causal_graph(
    bits: Mapping[str, float], observed: Mapping[str, float], widest: float, alt: str
) -> Markup:
    """The graph S -> Q, S -> A, Q -> A, E -> A.

    Args:
        bits: diagnostics of this way of drawing, by the keys of `EDGES`; in bits.
        observed: the same as observed, to tell which arrows are cut.
        widest: the bits of the thickest arrow of all graphs that are to be compared.
        alt: the graph in words.
    """
    edges = [_Edge("E", "A", None, "wanted")]
    for key, (start, end) in EDGES.items():
        if key in bits:
            kind = "cut" if is_cut(bits[key], observed.get(key, 0.0)) else "carried"
            edges.append(_Edge(start, end, bits[key], kind))
    parts = [piece for edge in edges for piece in _arrow(edge, widest)]
    parts += [piece for edge in edges for piece in _label(edge)]
    for name, (x, y) in _PLACES.items():
        above = y < 130
        parts.append(element("circle", cx=x, cy=y, r=_RADIUS, class_="node"))
        parts.append(element("text", name, x=x, y=y + 6.5, class_="letter", text_anchor="middle"))
        parts.append(
            element(
                "text",
                _NAMES[name],
                x=x,
                y=y - _RADIUS - 9 if above else y + _RADIUS + 18,
                class_="name",
                text_anchor="middle",
            )
        )
    return element("svg", *parts, class_="graph", viewBox="0 0 320 262", role="img", aria_label=alt)


def is_cut(bits: float, observed: float) -> bool:
    """Whether hardly anything is left of what the arrow carries as observed."""
    return bits < CUT * observed


def _arrow(edge: _Edge, widest: float) -> list[Markup]:
    (x0, y0), (x1, y1) = _PLACES[edge.start], _PLACES[edge.end]
    length = math.hypot(x1 - x0, y1 - y0)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    if edge.bits is None or edge.kind == "cut" or widest <= 0:
        width = 3.0 if edge.kind == "wanted" else 1.6
    else:
        width = 1.6 + 7.0 * max(0.0, edge.bits) / widest
    head = 7.0 + 1.3 * width
    sx, sy = x0 + ux * (_RADIUS + 4), y0 + uy * (_RADIUS + 4)
    tx, ty = x1 - ux * (_RADIUS + 4), y1 - uy * (_RADIUS + 4)
    bx, by = tx - ux * head, ty - uy * head
    half = head * 0.48
    points = " ".join(
        f"{x:.1f},{y:.1f}"
        for x, y in ((tx, ty), (bx - uy * half, by + ux * half), (bx + uy * half, by - ux * half))
    )
    line = element(
        "line", x1=sx, y1=sy, x2=bx, y2=by, class_=f"edge {edge.kind}", stroke_width=width
    )
    return [line, element("polygon", points=points, class_=f"head {edge.kind}")]


def _label(edge: _Edge) -> list[Markup]:
    (x0, y0), (x1, y1) = _PLACES[edge.start], _PLACES[edge.end]
    # Off the crossing of lines: nearer to the start on the long diagonal.
    along = 0.47 if (edge.start, edge.end) == ("S", "A") else 0.5
    x, y = x0 + along * (x1 - x0), y0 + along * (y1 - y0)
    if edge.bits is None:
        return [
            _words("to be", x + 12, y - 4, "wanted", "start"),
            _words("read", x + 12, y + 11, "wanted", "start"),
        ]
    text = f"{max(0.0, edge.bits):.2f} bit"
    if edge.kind == "cut":
        text = f"✕ {text}"
    wide = 7.6 * len(text) + 10
    pill = element(
        "rect", x=x - wide / 2, y=y - 11, width=wide, height=22, rx=11, class_=f"pill {edge.kind}"
    )
    return [pill, _words(text, x, y + 4.5, edge.kind, "middle")]


def _words(text: str, x: float, y: float, kind: str, anchor: str) -> Markup:
    return element("text", text, x=x, y=y, class_=f"bits {kind}", text_anchor=anchor)
