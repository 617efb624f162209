"""The strategies side by side, and their differences from the first."""

from __future__ import annotations

from truelead.evaluate.page.blocks import (
    Arm,
    Block,
    Cell,
    Group,
    Mark,
    Section,
    Table,
    Text,
    Track,
    Value,
)
from truelead.evaluate.page.numbers import difference_axis, share_axis, whole
from truelead.evaluate.page.view import (
    BALANCED,
    OWN_ECG_SUITES,
    QUESTION_ONLY,
    View,
    dot,
    reference,
    size,
    title,
)
from truelead.evaluate.results import CellResult
from truelead.evaluate.suites import SUITES

_RANDOM = ("random-ecg", f"{BALANCED}/random-ecg")


def section(view: View) -> Section | None:
    """Right answers on every main test, then paired differences."""
    cells = view.sets(OWN_ECG_SUITES)
    if view.results(*_RANDOM):
        cells.append(_RANDOM)
    if not cells:
        return None
    blocks: list[Block] = [
        Text(
            "Right answers in percent, with 95 % intervals over patients"
            + (" and training runs" if view.runs > 1 else "")
            + ". The dashed line is what a model scores that ignores the ECG. With another "
            "patient's ECG a model that reads the ECG must fall to it."
        ),
        forest(view, cells),
        *(
            Text(f"**{SUITES[suite].title}.** {SUITES[suite].explanation}", "soft")
            for suite in dict.fromkeys(suite for suite, _ in cells)
            if suite in SUITES and suite != "random-ecg"
        ),
    ]
    blocks += _differences(view, cells)
    return Section("strategies", "The strategies compared", "Strategies", tuple(blocks))


def forest(view: View, cells: list[tuple[str, str]]) -> Table:
    """One row for each name on each cell: dot, whisker and number."""
    groups = []
    shown: list[CellResult] = []
    for suite, cell in cells:
        results = view.results(suite, cell)
        shown += results
        rows: list[tuple[Cell, ...]] = [
            (Arm(one.arm), dot(one.arm, one.micro, reference(cell)), Value(one.micro))
            for one in results
        ]
        groups.append(Group(title(cell), tuple(rows), size(results[0])))
    return Table(
        "Right answers, %",
        ("model", "", "right answers, %"),
        tuple(groups),
        axis=share_axis([one.micro for one in shown]),
    )


def _differences(view: View, cells: list[tuple[str, str]]) -> list[Block]:
    base = view.arms[0]
    blocks: list[Block] = []
    pairs = [(f"Minus {base}", base, view.arms[1:])]
    if QUESTION_ONLY in view.baselines:
        pairs.append((f"Minus {QUESTION_ONLY}", QUESTION_ONLY, view.arms))
    for caption, second, firsts in pairs:
        found = [
            (cell, [view.difference(suite, cell, first, second) for first in firsts])
            for suite, cell in cells
        ]
        taken = [(cell, [one for one in some if one is not None]) for cell, some in found]
        taken = [(cell, some) for cell, some in taken if some]
        if not taken:
            continue
        axis = difference_axis([one.difference for _, some in taken for one in some])
        groups = tuple(
            Group(
                title(cell),
                tuple(
                    (
                        Arm(one.first),
                        Track(
                            (Mark(one.first, one.difference),),
                            f"{one.first} minus {second}: "
                            f"{whole(Value(one.difference, 'points'))} points",
                        ),
                        Value(one.difference, "points"),
                    )
                    for one in some
                ),
            )
            for cell, some in taken
        )
        blocks.append(Table(caption + ", points", ("model", "", "points"), groups, axis=axis))
    if blocks:
        blocks.insert(
            0,
            Text(
                "**Paired differences**, on the same questions in percentage points. Bold: the "
                "interval leaves out 0."
            ),
        )
    return blocks
