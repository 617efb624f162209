"""A sheet of paper in millimetres: strokes and words, rendered to SVG or PNG from one description.

Units: millimetres from the upper left corner, y downwards.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

MILLIMETRES_PER_INCH = 25.4
POINTS_PER_MILLIMETRE = 72 / MILLIMETRES_PER_INCH

_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Stroke:
    """A line through points.

    Attributes:
        lines: each of shape (points, 2): x and y; drawn without joining one to the next.
        colour: such as "#1a1a1a".
        width: of the pen.
        name: for a reader of the file, such as "lead II"; the SVG element's data-name.
        dashed: whether it is broken.
    """

    lines: tuple[NDArray[np.float64], ...]
    colour: str
    width: float
    name: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Words:
    """One line of text whose baseline begins, is centred or ends at (x, y)."""

    text: str
    x: float
    y: float
    size: float = 3.0
    colour: str = "#1a1a1a"
    anchor: Anchor = "start"
    bold: bool = False


@dataclass
class Sheet:
    """A page: what is added later lies above."""

    width: float
    height: float
    background: str
    title: str
    marks: list[Stroke | Words] = field(default_factory=list)

    def to_svg(self) -> str:
        """The page as a self-contained SVG of its true size."""
        width, height = _number(self.width), _number(self.height)
        title = escape(_printable(self.title))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
            f'viewBox="0 0 {width} {height}" role="img" aria-label="{_attribute(self.title)}" '
            f'font-family="Helvetica, Arial, sans-serif">',
            f"<title>{title}</title>",
            f'<rect width="{width}" height="{height}" fill="{self.background}"/>',
        ]
        parts.extend(
            _stroke_svg(mark) if isinstance(mark, Stroke) else _words_svg(mark)
            for mark in self.marks
        )
        parts.append("</svg>\n")
        return "\n".join(parts)

    def to_png(self, dots_per_inch: float) -> bytes:
        """The page as a PNG. Uses matplotlib without its global state, so threads may share it."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.collections import LineCollection
        from matplotlib.figure import Figure

        figure = Figure(
            figsize=(self.width / MILLIMETRES_PER_INCH, self.height / MILLIMETRES_PER_INCH),
            dpi=dots_per_inch,
            facecolor=self.background,
        )
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, self.width)
        axes.set_ylim(self.height, 0)
        for order, mark in enumerate(self.marks):
            if isinstance(mark, Stroke):
                axes.add_collection(
                    LineCollection(
                        mark.lines,
                        colors=mark.colour,
                        linewidths=mark.width * POINTS_PER_MILLIMETRE,
                        linestyles=(0, (4, 3)) if mark.dashed else "solid",
                        capstyle="round",
                        joinstyle="round",
                        zorder=order,
                    ),
                    autolim=False,
                )
            else:
                axes.text(
                    mark.x,
                    mark.y,
                    _printable(mark.text),
                    fontsize=mark.size * POINTS_PER_MILLIMETRE,
                    color=mark.colour,
                    ha={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
                    va="baseline",
                    weight="bold" if mark.bold else "normal",
                    zorder=order,
                    # A title is text, never a formula.
                    parse_math=False,
                )
        image = io.BytesIO()
        canvas.print_png(image)
        return image.getvalue()


def grid(width: float, height: float, step: float, top: float = 0.0) -> list[NDArray[np.float64]]:
    """Vertical and horizontal lines every `step` from (0, top) to (width, top + height)."""
    across = np.arange(0.0, width + step / 2, step)
    down = np.arange(top, top + height + step / 2, step)
    vertical = [np.array([(x, top), (x, top + height)]) for x in across]
    horizontal = [np.array([(0.0, y), (width, y)]) for y in down]
    return vertical + horizontal


def _number(value: float) -> str:
    # 0.01 mm is 1 microvolt on ECG paper.
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _printable(text: str) -> str:
    return _NOT_IN_XML.sub("", text)


def _attribute(text: str) -> str:
    return escape(_printable(text), {'"': "&quot;"})


def _path(lines: Sequence[NDArray[np.float64]]) -> str:
    pieces = []
    for line in lines:
        points = [f"{_number(x)} {_number(y)}" for x, y in line.tolist()]
        pieces.append("M" + " ".join(points))
    return "".join(pieces)


def _stroke_svg(mark: Stroke) -> str:
    name = f' data-name="{_attribute(mark.name)}"' if mark.name else ""
    dashes = ' stroke-dasharray="1.2 0.9"' if mark.dashed else ""
    return (
        f'<path{name} d="{_path(mark.lines)}" fill="none" stroke="{mark.colour}" '
        f'stroke-width="{_number(mark.width)}" stroke-linecap="round" '
        f'stroke-linejoin="round"{dashes}/>'
    )


def _words_svg(mark: Words) -> str:
    weight = ' font-weight="bold"' if mark.bold else ""
    return (
        f'<text x="{_number(mark.x)}" y="{_number(mark.y)}" font-size="{_number(mark.size)}" '
        f'fill="{mark.colour}" text-anchor="{mark.anchor}"{weight}>'
        f"{escape(_printable(mark.text))}</text>"
    )
