"""What was trained, on what, and how good the encoder is."""

from __future__ import annotations

from collections.abc import Mapping

from truelead.evaluate.page.blocks import (
    Arm,
    Block,
    Cell,
    Facts,
    Fold,
    Group,
    Section,
    Table,
    Text,
)
from truelead.evaluate.page.numbers import plain
from truelead.evaluate.page.view import View

_BASELINES = {
    "global-majority": "always the commonest answer of the training",
    "majority-answer": "the commonest training answer to each question",
    "question-only": "a model trained on the questions' words, without any ECG",
    "ecg-only": "answers from the ECG without knowing what is asked",
    "label-classifier": "a classifier of the labels on the same encoder, an upper bound",
    "random-encoder-classifier": "the same on an encoder with random, frozen weights",
}


def section(view: View) -> Section:
    """Arms, sizes, data and encoder."""
    report = view.report
    rows: list[tuple[Cell, ...]] = []
    for arm in report.arms:
        seeds = f" (seeds {', '.join(map(str, arm.seeds))})" if arm.seeds else ""
        size = f"{arm.parameters:,}" if arm.parameters is not None else ""
        rows.append((Arm(arm.name), arm.pretrain, arm.finetune, f"{arm.runs}{seeds}", size))
    blocks: list[Block] = [
        Table(
            "The models: the strategy by which each stage draws or weighs its questions "
            "(none: as observed)",
            ("model", "pre-training", "tuning", "training runs", "parameters"),
            (Group("", tuple(rows)),),
        )
    ]
    baselines = [
        f"**{name}** ({_BASELINES[name]})" if name in _BASELINES else f"**{name}**"
        for name in view.baselines
    ]
    if baselines:
        blocks.append(Text("Beside them, in grey, stand " + "; ".join(baselines) + ".", "soft"))
    facts = dict(report.training)
    for key in ("trained on", "tested", "split", "questions", "severity", "data digest"):
        if key in report.provenance:
            facts[key] = report.provenance[key]
    blocks.append(Facts(facts))
    blocks += _encoder(report.encoder or {})
    return Section("trained", "What was trained", "What was trained", tuple(blocks))


def _encoder(encoder: Mapping[str, object]) -> list[Block]:
    numbers = {
        key.replace("_", " ").replace("auroc", "AUROC"): plain(value)
        for key, value in encoder.items()
        if isinstance(value, int | float | str)
    }
    blocks: list[Block] = []
    if numbers:
        blocks.append(Text("**The encoder on its own**, on ECGs that it was not trained on"))
        blocks.append(Facts(numbers))
    for key, table in encoder.items():
        if not isinstance(table, Mapping) or not table:
            continue
        columns: dict[str, None] = {}
        for row in table.values():
            columns |= dict.fromkeys(row if isinstance(row, Mapping) else ("value",))
        rows = tuple(
            (
                str(name),
                *(
                    plain(row.get(column, "")) if isinstance(row, Mapping) else plain(row)
                    for column in columns
                ),
            )
            for name, row in table.items()
        )
        titles = ("", *(str(column).replace("_", " ") for column in columns))
        content = Table(f"The encoder's {key}, on its test split", titles, (Group("", rows),))
        blocks.append(Fold(f"The encoder's {key} ({len(rows)})", (content,)))
    return blocks
