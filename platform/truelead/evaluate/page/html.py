"""Blocks as the page's HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from markupsafe import Markup, escape

from truelead.evaluate.page.blocks import (
    Arm,
    Block,
    Card,
    Cell,
    Code,
    Facts,
    Figure,
    Figures,
    Fold,
    Group,
    Heat,
    Points,
    Section,
    Table,
    Text,
    Track,
    Value,
    Verdict,
    Verdicts,
)
from truelead.evaluate.page.markup import element, joined
from truelead.evaluate.page.numbers import bounds, certain, estimate
from truelead.evaluate.page.tracks import axis_labels, track

_NUMBER = re.compile(r"[+\N{MINUS SIGN}-]?[\d.,]+")
_TEXT_CLASS = {"plain": None, "soft": "soft", "lead": "lead", "notice": "notice"}


class Html:
    """Renders blocks.

    Args:
        colours: name of a model or baseline -> CSS colour.
    """

    def __init__(self, colours: Mapping[str, str]) -> None:
        self._colours = dict(colours)

    def section(self, section: Section) -> Markup:
        """A chapter with its heading."""
        return element(
            "section",
            element("h2", section.title),
            *(self.block(block) for block in section.blocks),
            id=section.key,
        )

    def block(self, block: Block) -> Markup:
        """Any block."""
        match block:
            case Text():
                role = "note" if block.kind == "notice" else None
                return element("p", _bold(block.text), class_=_TEXT_CLASS[block.kind], role=role)
            case Points():
                items = [element("li", _bold(item)) for item in block.items]
                return element("ul", *items)
            case Facts():
                pairs = [
                    element("div", element("dt", key), element("dd", value))
                    for key, value in block.values.items()
                ]
                return element("dl", *pairs)
            case Code():
                return element("pre", block.text, tabindex=0)
            case Table():
                return self._table(block)
            case Figure():
                return self._figure(block)
            case Figures():
                drawn = [self._figure(figure) for figure in block.figures]
                return element("div", *drawn, class_="wide" if block.wide else "figures")
            case Verdicts():
                drawn = [self._verdict(verdict) for verdict in block.verdicts]
                return element("div", *drawn, class_="verdicts")
            case Fold():
                inside = [self.block(one) for one in block.blocks]
                return element("details", element("summary", block.title), *inside)
            case Card():
                inside = [self.block(one) for one in block.blocks]
                return element("article", element("h3", block.title), *inside, class_="card")

    def arm(self, name: str) -> Markup:
        """A model's name with its colour."""
        colour = self._colours.get(name, "var(--faint)")
        dot = element("span", class_="dot", style=f"background:{colour}", aria_hidden="true")
        return element("span", dot, name, class_="arm")

    def _verdict(self, verdict: Verdict) -> Markup:
        numbers = [
            element(
                "div",
                element("dt", what),
                element("dd", element("b", share), " ", element("small", between)),
            )
            for what, share, between in verdict.numbers
        ]
        return element(
            "article",
            element("h3", self.arm(verdict.arm)),
            element("p", verdict.verdict, class_=f"verdict {verdict.tone}"),
            element("dl", *numbers, class_="numbers"),
            element("p", verdict.summary, class_="soft"),
            class_="card",
            style=f"--arm:{self._colours.get(verdict.arm, 'var(--faint)')}",
        )

    def _figure(self, figure: Figure) -> Markup:
        title = element("figcaption", _bold(figure.title)) if figure.title else None
        note = element("p", _bold(figure.note), class_="soft") if figure.note else None
        return element("figure", title, figure.svg, note)

    def _table(self, table: Table) -> Markup:
        first = next(row for group in table.groups for row in group.rows)
        kinds = [type(cell) for cell in first]
        numeric = [_is_numeric(table, i) for i in range(len(kinds))]
        titles = [column.name if isinstance(column, Arm) else column for column in table.columns]
        head = []
        for column, kind, number in zip(table.columns, kinds, numeric, strict=True):
            shown: Markup | str = self.arm(column.name) if isinstance(column, Arm) else column
            if kind is Track and table.axis is not None:
                shown = joined([escape(shown), axis_labels(table.axis)])
            class_ = "n" if number else _cell_class(kind)
            head.append(element("th", shown, class_=class_, scope="col", role="columnheader"))
        body = [self._group(group, table, titles) for group in table.groups]
        plot = Track in kinds
        look = "plot" if plot else "matrix"
        look += " dense" * table.dense + " stacked" * table.stacked
        drawn = element(
            "table",
            element("caption", _bold(table.caption)),
            element("thead", element("tr", *head, role="row"), role="rowgroup"),
            *body,
            class_=look,
            role="table",
        )
        return element("div", drawn, class_="scroll", tabindex=None if plot else 0,
                       role=None if plot else "region",
                       aria_label=None if plot else _plain(table.caption))  # fmt: skip

    def _group(self, group: Group, table: Table, titles: list[str]) -> Markup:
        rows = []
        if group.title:
            note = element("small", group.note) if group.note else None
            heading = element(
                "th", group.title, " ", note, colspan=len(titles), scope="rowgroup",
                role="rowheader",
            )  # fmt: skip
            rows.append(element("tr", heading, class_="group", role="row"))
        for row in group.rows:
            assert len(row) == len(titles), "as many cells as columns"
            cells = [
                self._cell(cell, table, title) if i else self._row_head(cell)
                for i, (cell, title) in enumerate(zip(row, titles, strict=True))
            ]
            rows.append(element("tr", *cells, role="row"))
        return element("tbody", *rows, role="rowgroup")

    def _row_head(self, cell: Cell) -> Markup:
        assert isinstance(cell, str | Arm), "a row begins with what it is about"
        shown = self.arm(cell.name) if isinstance(cell, Arm) else cell
        return element("th", shown, scope="row", role="rowheader")

    def _cell(self, cell: Cell, table: Table, title: str) -> Markup:
        data = partial(element, "td", class_=_cell_class(type(cell)), role="cell")
        match cell:
            case Arm():
                return data(self.arm(cell.name), data_label=title)
            case Track():
                assert table.axis is not None, "a track needs an axis"
                return data(track(cell, table.axis, self._colours, dense=table.dense))
            case Value():
                doubted = cell.kind in ("points", "loss") and not certain(cell)
                name = "span" if doubted else "b"
                shown = [element(name, estimate(cell)), element("small", bounds(cell))]
                return data(joined(shown, " "), data_label=title)
            case Heat():
                value = Value(cell.interval)
                shown = [element("b", estimate(value)), element("small", bounds(value))]
                return data(joined(shown, " "), data_label=title,
                            style=f"--heat:{12 + 48 * cell.level:.0f}%")  # fmt: skip
            case str():
                plain_class = "n" if _NUMBER.fullmatch(cell) else None
                label = title if cell else None
                return element("td", cell, class_=plain_class, role="cell", data_label=label)


def _is_numeric(table: Table, column: int) -> bool:
    """Whether a column holds estimates, or texts that are numbers; its title then goes right."""
    cells = [row[column] for group in table.groups for row in group.rows if row[column] != ""]
    return bool(cells) and all(
        isinstance(cell, Value) or (isinstance(cell, str) and _NUMBER.fullmatch(cell))
        for cell in cells
    )


def _cell_class(kind: type) -> str | None:
    return {Track: "track", Value: "n", Heat: "n heat"}.get(kind)


def _bold(text: str) -> Markup:
    """Escaped text with **this** in bold."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", str(escape(text))))  # noqa: S704


def _plain(text: str) -> str:
    return text.replace("**", "")
