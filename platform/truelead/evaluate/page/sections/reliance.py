"""How well ECG reliance, the number that goes with each answer, tells a wrong ECG from a right."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.page.blocks import Arm, Cell, Group, Section, Table, Text, Value
from truelead.evaluate.page.numbers import plain
from truelead.evaluate.page.view import View, title


def section(view: View) -> Section | None:
    """Every number of the reliance calibration, an arm a column."""
    given = view.report.reliance_calibration
    if not given:
        return None
    columns: dict[str, dict[str, Cell]] = {}
    if isinstance(given, Mapping):
        columns = {arm: _flat(value) for arm, value in given.items()}
    else:
        for one in given:
            columns.setdefault(one.arm, {}).update(_flat({title(one.test_set): one}))
    names = dict.fromkeys(name for values in columns.values() for name in values)
    rows: list[tuple[Cell, ...]] = [
        (name, *(values.get(name, "") for values in columns.values())) for name in names
    ]
    if not rows:
        return None
    table = Table(
        "Shares in percent, with their 95 % intervals",
        ("", *(Arm(arm) for arm in columns)),
        (Group("", tuple(rows)),),
    )
    words = (
        "Reliance is the log-odds of an answer with the given ECG against reference ECGs: high "
        "where the answer comes from this ECG, near 0 where any ECG would have given it. A "
        "threshold on it flags answers that do not come from the ECG; its false-alarm rate is "
        "measured, not assumed."
    )
    return Section("reliance", "Reliance of single answers", "Reliance", (Text(words), table))


def _flat(value: Any) -> dict[str, Cell]:
    """Numbers, texts and intervals of a mapping or dataclass; nested ones with their path."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {
            one.name: getattr(value, one.name)
            for one in dataclasses.fields(value)
            if one.name not in ("arm", "test_set")
        }
    found: dict[str, Cell] = {}
    for key, item in value.items():
        name = str(key).replace("_", " ")
        if isinstance(item, Interval):
            found[name] = Value(item)
        elif isinstance(item, bool | int | float | str):
            found[name] = plain(item)
        elif isinstance(item, Mapping) or dataclasses.is_dataclass(item):
            found |= {f"{name}: {inner}": cell for inner, cell in _flat(item).items()}
    return found
