"""The worst failures, drawn as a cardiologist would see them."""

from __future__ import annotations

import re

from markupsafe import Markup

from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.failures import Failure
from truelead.evaluate.page.blocks import (
    Arm,
    Axis,
    Block,
    Card,
    Cell,
    Figure,
    Figures,
    Group,
    Mark,
    Section,
    Table,
    Text,
    Track,
)
from truelead.evaluate.page.view import View, listed, title

_MAXIMUM_OPINIONS = 6
_AXIS = Axis(0.0, 1.0, (0.0, 0.5, 1.0))


def section(view: View) -> Section | None:
    """A card for each failure: question, answers, ECG."""
    failures = view.report.failures
    if not failures:
        return None
    drawings = view.report.drawings
    cards = [
        _card(number, failure, drawings[number] if number < len(drawings) else None)
        for number, failure in enumerate(failures)
    ]
    blocks: list[Block] = [
        Text(
            "The answers that were most confidently wrong, of different questions and patients. "
            "Either the model did not see what is there, or the label is wrong: only the ECG can "
            "tell, so here it is. Records are named by their public id and nothing else."
        ),
        *cards,
    ]
    return Section("failures", "Where it was sure, and wrong", "Worst failures", tuple(blocks))


def _card(number: int, failure: Failure, drawing: str | None) -> Card:
    names = [failure.arm, *(name for name in failure.opinions if name != failure.arm)]
    rows: list[tuple[Cell, ...]] = []
    for name in names[:_MAXIMUM_OPINIONS]:
        opinion = failure.opinions[name]
        share = opinion.true_probability
        runs = f"wrong in {opinion.wrong} of {opinion.runs} runs" if opinion.runs > 1 else ""
        words = f"{name} gave the true answer {100 * share:.1f} percent"
        track = Track((Mark(name, Interval(share, share, share)),), words, kind="bar")
        rows.append((Arm(name), track, f"{100 * share:.1f}", opinion.answer, runs))
    records = listed([f"record {name}" for name in failure.ecg_ids])
    severity = f", severity {failure.severity}" if failure.severity >= 0 else ""
    blocks: list[Block] = [
        Text(f"True by the labels: **{failure.true_answer}**. {title(failure.cell)}{severity}."),
        Table(
            "Probability given to the true answer, %",
            ("model", "", "%", "answered", "runs"),
            (Group("", tuple(rows)),),
            axis=_AXIS,
        ),
    ]
    if drawing is not None:
        alt = f"12-lead ECG, {records}, 25 mm a second and 10 mm a millivolt"
        blocks.append(Figures((Figure(_inline(drawing, alt), alt),), wide=True))
    return Card(f"{number + 1}. \N{LEFT DOUBLE QUOTATION MARK}{failure.text}"
                f"\N{RIGHT DOUBLE QUOTATION MARK}", tuple(blocks))  # fmt: skip


def _inline(drawing: str, alt: str) -> Markup:
    """A drawn sheet for use inside the page: as wide as its place, with its own description."""
    head, end, body = drawing.partition(">")
    view_box = re.search(r'viewBox="([\d. ]+)"', head)
    assert view_box is not None, "a sheet has a view box"
    body = re.sub(r"<title>.*?</title>\s*", "", body, count=1, flags=re.DOTALL)
    opened = Markup('<svg class="sheet" viewBox="{}" role="img" aria-label="{}"').format(
        view_box.group(1), alt
    )
    return opened + Markup(end + body.strip())  # noqa: S704  # drawn by signal/sheet, escaped there
