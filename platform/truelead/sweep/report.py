"""The sweep's report: one self-contained page, the same as Markdown, everything as JSON, and the
winner's recipe ready to run."""

from __future__ import annotations

import json
import math
from typing import Any

import yaml

from truelead.data.durable import write_durable_text
from truelead.evaluate.page.document import document
from truelead.evaluate.page.html import Html
from truelead.evaluate.page.markdown import section_lines
from truelead.sweep.chapters import headline, sections
from truelead.sweep.results import (
    BEST,
    NOTICE,
    PAGE,
    RESULTS,
    TABLE,
    SweepResult,
    as_json,
    best_recipe,
    describe,
)


def write_results(result: SweepResult) -> None:
    """sweep.json, sweep.md, sweep.html, best.yaml."""
    text = json.dumps(_finite(as_json(result)), indent=1, allow_nan=False) + "\n"
    write_durable_text(result.folder / RESULTS, text)
    write_durable_text(result.folder / TABLE, to_markdown(result))
    write_durable_text(result.folder / PAGE, render(result))
    recipe = best_recipe(result.plan, result.winner.values).model_dump(mode="json")
    head = f"# Winner of the sweep {result.plan.space.name}: {describe(result.winner.values)}\n"
    write_durable_text(
        result.folder / BEST, head + f"# {NOTICE}\n" + yaml.safe_dump(recipe, sort_keys=False)
    )


def render(result: SweepResult) -> str:
    """The page as text."""
    return document(
        f"TrueLead sweep: {result.plan.space.name}",
        "Which configuration, and does it hold?",
        headline(result),
        NOTICE,
        Html({"winner": "var(--good)", "parameter": "var(--accent)"}),
        sections(result),
    )


def to_markdown(result: SweepResult) -> str:
    """The page's numbers as Markdown."""
    lines = [f"# Sweep {result.plan.space.name}", f"**{NOTICE}**", f"**{headline(result)}**"]
    for section in sections(result):
        lines += section_lines(section)
    return "\n\n".join(lines) + "\n"


def _finite(tree: Any) -> Any:
    """JSON has no NaN: what is not determined is null."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
