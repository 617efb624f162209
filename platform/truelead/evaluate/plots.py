"""The report's plots as SVG for the page itself: its fonts, its colours, light or dark.

matplotlib cannot write CSS variables, so it draws in stand-in colours that are exchanged in the
finished text. Same numbers, same bytes: no date, no random ids.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from truelead.evaluate.bootstrap import Interval

_VARIABLES = {"#010203": "var(--ink)", "#040506": "var(--faint)", "#070809": "var(--line)"}
_INK, _FAINT, _LINE = _VARIABLES
ARM_COLOURS = ("#e08214", "#2b83ba", "#1b9e77", "#9e5fb0", "#d6455d", "#7f8c2c")
"""Colours of models in order, legible on white and on near-black; baselines are drawn faint."""


@dataclass(frozen=True)
class Bars:
    """One group of bars: a test set, and what each arm scores on it (shares)."""

    label: str
    values: Mapping[str, Interval]
    reference: float | None = None


def colours(arms: Sequence[str], baselines: Sequence[str]) -> dict[str, str]:
    """Plot colour of each name."""
    found = {arm: ARM_COLOURS[i % len(ARM_COLOURS)] for i, arm in enumerate(arms)}
    return found | dict.fromkeys(baselines, _FAINT)


def bar_plot(
    name: str, groups: Sequence[Bars], palette: Mapping[str, str], unit: str = "right answers, %"
) -> str:
    """Horizontal bars with 95 % intervals, a dashed line at a group's reference.

    Args:
        name: distinguishes the plot's ids from those of others on the page.
    """
    height = sum(len(group.values) + 1.2 for group in groups)
    figure, axes = _figure(0.27 * height + 0.55)
    y, ticks, labels = 0.0, [], []
    for group in groups:
        top = y
        for arm, value in group.values.items():
            faint = palette[arm] == _FAINT
            axes.barh(y, 100 * value.estimate, height=0.78, color=palette[arm],
                      alpha=0.45 if faint else 0.9)  # fmt: skip
            _whisker(axes, value, y)
            ticks.append(y)
            labels.append(arm)
            y += 1
        if group.reference is not None:
            axes.plot([100 * group.reference] * 2, [top - 0.5, y - 0.5], color=_INK,
                      linestyle=(0, (3, 2)), linewidth=1)  # fmt: skip
        axes.text(0, top - 0.62, group.label, ha="left", va="bottom", color=_INK,
                  fontsize=9, fontweight="bold")  # fmt: skip
        y += 1.2
    axes.set_yticks(ticks, labels, fontsize=8)
    axes.set_ylim(y - 1.4, -1.5)
    lows = [value.estimate for group in groups for value in group.values.values()]
    axes.set_xlim(min(0.0, 100 * min(lows, default=0.0) - 5), 100)
    axes.set_xlabel(unit, fontsize=8)
    return _svg(figure, name)


def dot_plot(
    name: str,
    rows: Sequence[tuple[str, Mapping[str, float]]],
    palette: Mapping[str, str],
    reference: float | None = None,
) -> str:
    """One line a question, one dot an arm; values are shares."""
    figure, axes = _figure(0.2 * len(rows) + 0.8)
    for y, (_, values) in enumerate(rows):
        shares = [100 * share for share in values.values()]
        axes.plot([min(shares), max(shares)], [y, y], color=_LINE, linewidth=2, zorder=1)
        for arm, share in values.items():
            axes.plot([100 * share], [y], "o", color=palette[arm], markersize=5, zorder=2)
    if reference is not None:
        axes.axvline(100 * reference, color=_INK, linestyle=(0, (3, 2)), linewidth=1)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 102)
    axes.set_xlabel("right answers, %", fontsize=8)
    return _svg(figure, name)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.9, height), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    axes.tick_params(colors=_INK, labelsize=8, length=0)
    axes.xaxis.label.set_color(_INK)
    axes.grid(axis="x", color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _whisker(axes: Axes, value: Interval, y: float) -> None:
    if np.isfinite([value.low, value.high]).all():
        axes.plot([100 * value.low, 100 * value.high], [y, y], color=_INK, linewidth=1.3)
    axes.annotate(
        f"{100 * value.estimate:.1f}",
        (100 * max(value.estimate, value.high if np.isfinite(value.high) else 0.0), y),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=_INK,
        annotation_clip=False,
    )


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    settings = {"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}
    with mpl.rc_context(settings):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    head, end, body = text.partition(">")
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    text = head + end + body
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, variable)
    return text.strip()
