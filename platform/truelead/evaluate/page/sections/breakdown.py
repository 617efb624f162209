"""Accuracy by severity, question type, template and statement, baselines beside every number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.page.blocks import (
    Arm,
    Block,
    Cell,
    Fold,
    Group,
    Mark,
    Section,
    Table,
    Text,
    Track,
    Value,
)
from truelead.evaluate.page.numbers import share_axis
from truelead.evaluate.page.view import (
    BALANCED,
    OWN_ECG_SUITES,
    QUESTION_ONLY,
    View,
    reference,
    title,
)
from truelead.evaluate.results import CellResult
from truelead.questions.scp import SCP_STATEMENTS
from truelead.questions.templates import TEMPLATES

_MAXIMUM_QUESTIONS = 80
_OPEN_QUESTIONS = 12


def section(view: View) -> Section | None:
    """A table for each way of dividing the questions."""
    blocks: list[Block] = []
    for caption, pick, name in (
        ("By severity of illness (stratum 0 is the least ill)", _severity, str),
        ("By question type", _types, str),
        ("By template", _templates, _template),
    ):
        found = _table(view, caption, pick, name)
        if found is not None:
            blocks.append(found)
    statements = _statements(view)
    if statements is not None:
        open_rows, rest = statements
        blocks.append(open_rows)
        blocks += [Fold("The other questions", (rest,))] if rest is not None else []
    if not blocks:
        return None
    first = Text("Right answers in percent with 95 % intervals.")
    return Section("breakdown", "Where it is good, and where not", "By kind", (first, *blocks))


def _severity(result: CellResult) -> Mapping[str, Interval]:
    return result.per_severity


def _types(result: CellResult) -> Mapping[str, Interval]:
    return result.per_type


def _templates(result: CellResult) -> Mapping[str, Interval]:
    return dict(sorted(result.per_template.items(), key=lambda item: _number(item[0])))


def _number(key: str) -> tuple[int, str]:
    return (int(key), "") if key.lstrip("-").isdigit() else (0, key)


def _template(key: str) -> str:
    number = _number(key)[0]
    if number not in TEMPLATES:
        return key
    return f"{key}: " + re.sub(r"\{\w+\}", "\N{HORIZONTAL ELLIPSIS}", TEMPLATES[number].official)


def _table(
    view: View,
    caption: str,
    pick: Callable[[CellResult], Mapping[str, Interval]],
    name: Callable[[str], str],
) -> Table | None:
    groups = []
    for suite, cell in view.sets(OWN_ECG_SUITES):
        results = {one.arm: pick(one) for one in view.results(suite, cell)}
        keys = dict.fromkeys(key for values in results.values() for key in values)
        rows: list[tuple[Cell, ...]] = [
            (
                name(key),
                *(
                    Value(results[arm][key]) if key in results.get(arm, {}) else ""
                    for arm in view.names
                ),
            )
            for key in keys
        ]
        if rows:
            groups.append(Group(title(cell), tuple(rows)))
    if not groups:
        return None
    return Table(caption, ("", *(Arm(arm) for arm in view.names)), tuple(groups))


def _statements(view: View) -> tuple[Table, Table | None] | None:
    """Each question with a dot for every arm, worst of the last arm first."""
    cells = view.sets(OWN_ECG_SUITES)
    chosen = next(((suite, cell) for suite, cell in cells if cell == BALANCED), None)
    if chosen is None or len(view.arms) > 6:
        return None
    results = [one for arm in view.arms if (one := view.result(*chosen, arm)) is not None]
    if not results:
        return None
    last = results[-1].per_question
    order = sorted(last, key=lambda question: (last[question].accuracy, question))
    order = order[:_MAXIMUM_QUESTIONS]
    words = [_question(question) for question in order]
    alone = view.result(*chosen, QUESTION_ONLY)
    columns = [*results, *([alone] if alone is not None else [])]
    rows = [
        # Two templates may ask for the same thing.
        _statement(question, name if words.count(name) == 1 else f"{name} ({question})", results,
                   columns)
        for question, name in zip(order, words, strict=True)
    ]  # fmt: skip
    axis = share_axis([_bare(one, question) for one in results for question in order])
    tables = [
        Table(
            f"By question, {title(chosen[1])}: right answers, %, hardest first{more}",
            ("question", "", "asked", *(Arm(one.arm) for one in columns)),
            (Group("", tuple(some)),),
            axis=axis,
            dense=True,
        )
        for some, more in ((rows[:_OPEN_QUESTIONS], ""), (rows[_OPEN_QUESTIONS:], " (continued)"))
        if some
    ]
    return tables[0], tables[1] if len(tables) > 1 else None


def _statement(
    question: str, name: str, results: list[CellResult], columns: list[CellResult]
) -> tuple[Cell, ...]:
    marks = tuple(Mark(one.arm, _bare(one, question)) for one in results)
    words = "; ".join(f"{mark.arm} {100 * mark.interval.estimate:.1f} percent" for mark in marks)
    return (
        name,
        Track(marks, words, reference=reference(BALANCED)),
        f"{results[-1].per_question[question].questions}",
        *(f"{100 * one.per_question[question].accuracy:.1f}" for one in columns),
    )


def _bare(result: CellResult, question: str) -> Interval:
    """A question's share; too few ask it for an interval of its own."""
    return Interval(result.per_question[question].accuracy, math.nan, math.nan)


def _question(question: str) -> str:
    """A question's id in words: "2:IMI" is "myocardial infarction in inferior leads"."""
    template, _, code = question.partition(":")
    if code in SCP_STATEMENTS:
        return SCP_STATEMENTS[code].name
    return _template(template).partition(": ")[2] or question if not code else question
