"""The causal graph with the information that each way of drawing questions leaves on its arrows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from truelead.evaluate.page.blocks import Block, Figure, Figures, Fold, Group, Section, Table, Text
from truelead.evaluate.page.graph import CUT, EDGES, causal_graph, is_cut
from truelead.evaluate.page.numbers import plain
from truelead.evaluate.page.view import View, listed

_STAGES = {"pretrain": "pre-training", "finetune": "tuning"}
_ARROWS = {
    "question_severity_bits": "severity to question",
    "answer_severity_bits": "severity to answer",
    "question_answer_bits": "question to answer",
}


@dataclass
class _Draw:
    """Stages that drew the same."""

    strategies: list[str]
    users: list[tuple[str, str]]
    bits: Mapping[str, float]


def section(view: View) -> Section | None:
    """One graph for each different way of drawing."""
    draws = _draws(view)
    if not draws:
        return None
    plain_draw = next((draw for draw in draws if "none" in draw.strategies), draws[0])
    widest = max(max(draw.bits.values()) for draw in draws)
    figures = []
    for draw in draws:
        is_plain = "none" in draw.strategies
        name = "As observed" if is_plain else "Adjusted: " + listed(draw.strategies)
        cut = [
            _ARROWS[key]
            for key in EDGES
            if key in draw.bits and is_cut(draw.bits[key], plain_draw.bits.get(key, 0.0))
        ]
        words = "; ".join(f"{_ARROWS[key]} {draw.bits[key]:.2f} bit" for key in draw.bits)
        alt = f"Causal graph of severity, question, answer and ECG. {name}: {words}."
        alt += f" Drawn as cut: {listed(cut)}." if cut else ""
        svg = causal_graph(draw.bits, plain_draw.bits, widest, alt)
        figures.append(Figure(svg, alt, f"**{name}**", _users(draw)))
    blocks: list[Block] = [
        Text(
            "How ill a patient is (S) decides both what is asked (Q) and what is answered (A). "
            "So the question alone tells much of the answer, and a model can learn that way in "
            "place of the ECG (E). A strategy is to cut the arrow from severity to question. The "
            "numbers are the mutual information measured on the questions that each training "
            "really drew, in bits: 0 means that the one tells nothing of the other."
        ),
        Figures(tuple(figures)),
        Text(
            "Thick arrows carry much; a dashed one with a cross carries less than "
            f"{100 * CUT:.0f} % of what it carries as observed. The number on question to answer "
            "is their whole association, by whatever path. Estimates are corrected for "
            "chance (Miller and Madow, 1955), so that they may fall slightly below 0; they are "
            "of the first run. A strategy that changes the loss and not the draws does not move "
            "these numbers.",
            "soft",
        ),
        Fold("All diagnostics of the draws", (_table(view),)),
    ]
    return Section("graph", "The confounder, and whether it was cut", "Causal graph", tuple(blocks))


def _draws(view: View) -> list[_Draw]:
    strategies = {
        (arm.name, stage): strategy
        for arm in view.report.arms
        for stage, strategy in (("pretrain", arm.pretrain), ("finetune", arm.finetune))
    }
    found: dict[tuple[float, ...], _Draw] = {}
    for arm, stages in (view.report.draws or {}).items():
        for stage, values in stages.items():
            bits = {key: values[key] for key in EDGES if key in values}
            if not bits:
                continue
            draw = found.setdefault(tuple(round(x, 6) for x in bits.values()), _Draw([], [], bits))
            strategy = strategies.get((arm, stage), "unknown strategy")
            if strategy not in draw.strategies:
                draw.strategies.append(strategy)
            draw.users.append((arm, stage))
    return sorted(found.values(), key=lambda draw: "none" not in draw.strategies)


def _users(draw: _Draw) -> str:
    stages: dict[str, list[str]] = {}
    for arm, stage in draw.users:
        stages.setdefault(arm, []).append(_STAGES.get(stage, stage))
    return "; ".join(f"**{arm}**: {listed(names)}" for arm, names in stages.items())


def _table(view: View) -> Table:
    draws = view.report.draws or {}
    columns = [(arm, stage) for arm, stages in draws.items() for stage in stages]
    names = dict.fromkeys(name for arm, stage in columns for name in draws[arm][stage])
    rows = tuple(
        (
            name.replace("_", " "),
            *(
                plain(draws[arm][stage][name]) if name in draws[arm][stage] else ""
                for arm, stage in columns
            ),
        )
        for name in names
    )
    titles = ("", *(f"{arm}: {_STAGES.get(stage, stage)}" for arm, stage in columns))
    return Table("Measured on the questions of each training stage", titles, (Group("", rows),))
