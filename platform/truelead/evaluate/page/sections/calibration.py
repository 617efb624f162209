"""Calibration: whether an answer given with 80 % is right in 80 of 100 cases."""

from __future__ import annotations

from truelead.evaluate.calibration import BINS, Calibration
from truelead.evaluate.page.blocks import (
    Arm,
    Block,
    Cell,
    Figure,
    Figures,
    Group,
    Section,
    Table,
    Text,
    Value,
)
from truelead.evaluate.page.reliability import reliability_plot
from truelead.evaluate.page.view import OWN_ECG_SUITES, View, listed, size, title

_MAXIMUM_PLOTS = 12


def section(view: View) -> Section | None:
    """ECE for every arm and test set, and reliability plots."""
    cells = [
        (suite, cell)
        for suite, cell in view.sets(OWN_ECG_SUITES)
        if any(one.calibration for one in view.results(suite, cell))
    ]
    if not cells:
        return None
    colours = view.colours()
    groups, figures = [], []
    without: dict[str, None] = {}
    for suite, cell in cells:
        rows: list[tuple[Cell, ...]] = []
        for one in view.results(suite, cell):
            if one.calibration is None:
                without[one.arm] = None
                continue
            rows.append(_row(one.arm, one.calibration))
            if not one.baseline:
                alt = _words(one.arm, cell, one.calibration)
                svg = reliability_plot(one.calibration.equal_width, colours[one.arm], alt)
                figures.append(Figure(svg, alt, f"**{one.arm}**: {title(cell)}"))
        groups.append(Group(title(cell), tuple(rows), size(view.results(suite, cell)[0])))
    blocks: list[Block] = [
        Text(
            "A model's confidence is the probability that it gives to its own answer. Sorted into "
            "bins by confidence, each bin's share of right answers should equal its mean "
            "confidence: dots on the diagonal. The **expected calibration error** is the mean "
            "gap over all answers (Naeini et al., AAAI 2015); here with "
            f"{BINS} bins of equal width (Guo et al., ICML 2017) and with {BINS} bins of "
            "equally many answers."
        ),
        Figures(tuple(figures[:_MAXIMUM_PLOTS])),
    ]
    if len(figures) > _MAXIMUM_PLOTS:
        blocks.append(
            Text(f"The first {_MAXIMUM_PLOTS} of {len(figures)} plots; all are tabled.", "soft")
        )
    blocks.append(
        Table(
            "Expected calibration error, points, with 95 % intervals",
            ("model", "equal mass", "equal width", "by chance", "mean confidence", "right answers"),
            tuple(groups),
        )
    )
    aside = (
        "By chance: the error, with equal mass, that a perfectly calibrated model of the same "
        "confidences would show on as many independent answers. Generated answers have no "
        "probability and do not count."
    )
    if without:
        aside += f" Without probabilities: {listed(list(without))}."
    blocks.append(Text(aside, "soft"))
    return Section("calibration", "Does it know when it is unsure?", "Calibration", tuple(blocks))


def _row(arm: str, found: Calibration) -> tuple[Cell, ...]:
    return (
        Arm(arm),
        Value(found.equal_mass.error),
        Value(found.equal_width.error),
        f"{100 * found.equal_mass.chance:.1f}",
        f"{100 * found.confidence:.1f}",
        f"{100 * found.accuracy:.1f}",
    )


def _words(arm: str, cell: str, found: Calibration) -> str:
    bins = ", ".join(
        f"{100 * one.confidence:.0f} percent sure {100 * one.accuracy.estimate:.0f} percent right "
        f"({one.answers})"
        for one in found.equal_width.bins
    )
    return f"Reliability of {arm} on {title(cell)}. By bin (answers): {bins}."
