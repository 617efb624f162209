"""The wording test as a heat map: what other words for the same question cost."""

from __future__ import annotations

from truelead.evaluate.page.blocks import (
    Arm,
    Block,
    Cell,
    Fold,
    Group,
    Heat,
    Section,
    Table,
    Text,
    Value,
)
from truelead.evaluate.page.view import View, measure_value, size, title
from truelead.evaluate.suites import SUITES

SUITE = "wording"


def section(view: View) -> Section | None:
    """Test sets by wording, coloured by the share of right answers."""
    cells = [cell for _, cell in view.sets((SUITE,))]
    if not cells:
        return None
    sets: dict[str, list[str]] = {}
    for cell in cells:
        name, _, wording = cell.partition("/")
        sets.setdefault(name, []).append(wording)
    wordings = list(dict.fromkeys(wording for some in sets.values() for wording in some))
    results = [one for cell in cells for one in view.results(SUITE, cell)]
    measures = list(dict.fromkeys(name for one in results for name in one.measures))
    low = min(one.micro.estimate for one in results)
    high = max(one.micro.estimate for one in results)
    groups = []
    for name, some in sets.items():
        rows = []
        for arm in view.names:
            row: list[Cell] = [Arm(arm)]
            extra: dict[str, Value] = {}
            for wording in wordings:
                found = view.result(SUITE, f"{name}/{wording}", arm)
                if found is None:
                    row.append("")
                    continue
                level = (found.micro.estimate - low) / (high - low) if high > low else 0.5
                row.append(Heat(found.micro, level))
                extra |= {key: measure_value(key, value) for key, value in found.measures.items()}
            rows.append((*row, *(extra.get(measure, "") for measure in measures)))
        any_result = view.results(SUITE, f"{name}/{some[0]}")[0]
        groups.append(Group(title(name), tuple(rows), size(any_result)))
    table = Table(
        f"Right answers, %; the deeper the colour, the more ({100 * low:.0f} to {100 * high:.0f})",
        ("model", *(title(wording) for wording in wordings), *measures),
        tuple(groups),
    )
    blocks: list[Block] = [
        Text(
            "The same questions about the same ECGs, in other words. A model that learned the "
            "words and not the ECG fails when they change: its row grows paler from the wordings "
            "of the training to the new ones."
        ),
        table,
    ]
    if SUITE in SUITES:
        blocks.append(Fold("Which wordings these are", (Text(SUITES[SUITE].explanation, "soft"),)))
    return Section("wording", "Said in other words", "Wordings", tuple(blocks))
