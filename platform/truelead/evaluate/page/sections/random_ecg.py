"""The random ECG test: accuracy with the right ECG against every substitute."""

from __future__ import annotations

from truelead.evaluate.page.blocks import (
    Axis,
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
from truelead.evaluate.page.numbers import whole
from truelead.evaluate.page.view import (
    QUESTION_ONLY,
    View,
    measure_value,
    reference,
    size,
    title,
)
from truelead.evaluate.results import CellResult
from truelead.evaluate.suites import SUITES

SUITE = "random-ecg"
_AXIS = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))
_NAMES = {"drop": "lost", "flips": "answers changed"}


def section(view: View) -> Section | None:
    """One table a test set; the first one open."""
    sets: dict[str, list[str]] = {}
    for _, cell in view.sets((SUITE,)):
        name, _, form = cell.rpartition("/")
        sets.setdefault(name, []).append(form)
    if not sets:
        return None
    tables = [(name, _table(view, name, forms)) for name, forms in sets.items()]
    blocks: list[Block] = [
        Text(
            "The question stays and the ECG is exchanged; answers are still judged by the right "
            "patient's labels. A model that reads the ECG loses accuracy down to what can be "
            "guessed without one (the dashed line), its answers change, and they follow the ECG "
            "that it was shown: how often is told where the labels of the two ECGs differ. "
            "Patients who are equally ill share many labels, so that less is lost with theirs, "
            "and more with the ECG of a patient of opposite severity."
        )
    ]
    blocks.append(tables[0][1])
    blocks += [Fold(title(name), (table,)) for name, table in tables[1:]]
    if SUITE in SUITES:
        blocks.append(Fold("How each ECG is exchanged", (Text(SUITES[SUITE].explanation, "soft"),)))
    return Section(
        "random-ecg", "What the wrong ECG does to the answers", "Wrong ECG", tuple(blocks)
    )


def _table(view: View, name: str, forms: list[str]) -> Table:
    cells = [f"{name}/{form}" for form in forms]
    measures = list(
        dict.fromkeys(
            measure
            for cell in cells
            for arm in view.arms
            if (one := view.result(SUITE, cell, arm)) is not None
            for measure in one.measures
        )
    )
    groups = []
    for arm in view.arms:
        asked = [("its own ECG", view.own(name, arm))]
        asked += [(title(form), view.result(SUITE, f"{name}/{form}", arm)) for form in forms]
        # What is known without any ECG stands beside what the model makes of a wrong one.
        asked.append((f"{QUESTION_ONLY} model", view.own(name, QUESTION_ONLY)))
        rows = [_row(words, one, name, measures) for words, one in asked if one is not None]
        groups.append(Group(arm, tuple(rows)))
    any_result = view.results(SUITE, cells[0])[0]
    return Table(
        f"**{title(name)}**: right answers by the ECG that was shown, % ({size(any_result)})",
        (
            "shown",
            "",
            "right answers",
            *(_NAMES.get(measure, measure) for measure in measures),
            "questions",
        ),
        tuple(groups),
        axis=_AXIS,
        stacked=True,
    )


def _row(shown: str, result: CellResult, name: str, measures: list[str]) -> tuple[Cell, ...]:
    words = f"{result.arm}, {shown}: {whole(Value(result.micro))} percent"
    mark = Mark(result.arm, result.micro)
    # Measures of another suite's cell are not of this test.
    found = result.measures if result.suite == SUITE else {}
    return (
        shown,
        Track((mark,), words, kind="bar", reference=reference(name)),
        Value(result.micro),
        *(
            measure_value(measure, found[measure]) if measure in found else ""
            for measure in measures
        ),
        f"{result.questions:,}",
    )
