"""What a report is made of: text, tables, figures. HTML and Markdown are two ways of showing them.

Sections build blocks and never markup of the page, so that both show the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from truelead.evaluate.bootstrap import Interval


@dataclass(frozen=True)
class Text:
    """A paragraph; **double stars** make bold text.

    Attributes:
        kind: "plain", "soft" (an aside), "lead" (larger) or "notice" (a warning).
    """

    text: str
    kind: Literal["plain", "soft", "lead", "notice"] = "plain"


@dataclass(frozen=True)
class Points:
    """A list of paragraphs."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Code:
    """Text to be shown as it stands."""

    text: str


@dataclass(frozen=True)
class Arm:
    """A cell that names a model or baseline, with its colour."""

    name: str


@dataclass(frozen=True)
class Value:
    """A cell with an estimate and its interval.

    Attributes:
        kind: "percent" (a share), "points" (a difference of shares), "loss" (a difference that
            is called a loss, without a plus sign) or "number" (as it is).
    """

    interval: Interval
    kind: Literal["percent", "points", "loss", "number"] = "percent"


@dataclass(frozen=True)
class Heat:
    """A share in a cell whose colour says how high it is: 0 the palest, 1 the strongest."""

    interval: Interval
    level: float


@dataclass(frozen=True)
class Axis:
    """The scale of a column of tracks, in the values' own unit."""

    low: float
    high: float
    ticks: tuple[float, ...]
    signed: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0 to 1; what is outside lies on the edge."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True)
class Mark:
    """One arm's value on a track."""

    arm: str
    interval: Interval


@dataclass(frozen=True)
class Track:
    """A cell with a piece of a plot: values on the table's axis.

    Attributes:
        kind: "dots" with whiskers, or "bar" from the axis' low end.
        reference: where a dashed line stands.
        alt: the same in words.
    """

    marks: tuple[Mark, ...]
    alt: str
    kind: Literal["dots", "bar"] = "dots"
    reference: float | None = None


Cell = str | Arm | Value | Heat | Track


@dataclass(frozen=True)
class Group:
    """Rows under a common heading, without one where the title is empty."""

    title: str
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table; with an axis, the column of tracks is a plot.

    Attributes:
        caption: says what the numbers are.
        columns: their titles, or whose they are; a column of tracks is left out of Markdown.
        axis: of the tracks.
        dense: small rows.
        stacked: intervals stand below their estimates, for tables of many columns.
    """

    caption: str
    columns: tuple[str | Arm, ...]
    groups: tuple[Group, ...]
    axis: Axis | None = None
    dense: bool = False
    stacked: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        svg: finished markup.
        alt: what it shows, in words.
        title: stands above it.
        note: stands below it.
    """

    svg: Markup
    alt: str
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """Figures side by side as far as the page is wide; `wide` ones take its whole width."""

    figures: tuple[Figure, ...]
    wide: bool = False


@dataclass(frozen=True)
class Verdict:
    """One model's verdict.

    Attributes:
        tone: "good", "unsure" or "bad".
        numbers: (what, share as text, its interval as text), the most telling first.
        summary: the same in sentences.
    """

    arm: str
    verdict: str
    tone: Literal["good", "unsure", "bad"]
    numbers: tuple[tuple[str, str, str], ...]
    summary: str


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of all models."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Fold:
    """Blocks that the reader may open."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Card:
    """Blocks that belong together under a small heading."""

    title: str
    blocks: tuple[Block, ...]


Block = Text | Points | Facts | Code | Table | Figure | Figures | Verdicts | Fold | Card


@dataclass(frozen=True)
class Section:
    """One chapter of the report.

    Attributes:
        key: its anchor.
        short: its title in the list of contents.
    """

    key: str
    title: str
    short: str
    blocks: tuple[Block, ...]
