"""Suites without a chapter of their own, the interventional test among them."""

from __future__ import annotations

from truelead.evaluate.page.blocks import Arm, Block, Cell, Group, Section, Table, Text
from truelead.evaluate.page.sections.random_ecg import SUITE as RANDOM_ECG
from truelead.evaluate.page.sections.strategies import forest
from truelead.evaluate.page.sections.wording import SUITE as WORDING
from truelead.evaluate.page.view import OWN_ECG_SUITES, View, measure_value, title
from truelead.evaluate.suites import SUITES

_SHOWN = {*OWN_ECG_SUITES, WORDING, RANDOM_ECG}


def section(view: View) -> Section | None:
    """For each such suite its right answers and its measures."""
    blocks: list[Block] = []
    for suite in dict.fromkeys(one.suite for one in view.cells if one.suite not in _SHOWN):
        cells = view.sets((suite,))
        known = SUITES.get(suite)
        words = known.explanation if known else ""
        blocks.append(Text(f"**{known.title if known else suite}.** {words}"))
        blocks.append(forest(view, cells))
        measures = _measures(view, cells)
        blocks += [measures] if measures is not None else []
    if not blocks:
        return None
    return Section("further", "Further tests", "Further tests", tuple(blocks))


def _measures(view: View, cells: list[tuple[str, str]]) -> Table | None:
    results = [one for suite, cell in cells for one in view.results(suite, cell)]
    names = list(dict.fromkeys(name for one in results for name in one.measures))
    if not names:
        return None
    groups = []
    for suite, cell in cells:
        rows: list[tuple[Cell, ...]] = []
        for one in view.results(suite, cell):
            if one.measures:
                values = [
                    measure_value(name, one.measures[name]) if name in one.measures else ""
                    for name in names
                ]
                rows.append((Arm(one.arm), *values))
        if rows:
            groups.append(Group(title(cell), tuple(rows)))
    # Shares in percent; so a divergence comes in hundredths of a nat.
    titles = [f"{name}, 0.01 nat" if "divergence" in name else f"{name}, %" for name in names]
    return Table("What the suite measures beside", ("model", *titles), tuple(groups))
