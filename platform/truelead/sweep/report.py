"""The sweep's report: one self-contained page, the same as Markdown, everything as JSON, and the
winner's recipe ready to run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from truelead.data.durable import write_durable_text
from truelead.evaluate import page
from truelead.evaluate.page.html import Html
from truelead.evaluate.page.markdown import section_lines
from truelead.evaluate.page.markup import element
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
    name = result.plan.space.name
    html = Html({"winner": "var(--good)", "parameter": "var(--accent)"})
    built = sections(result)
    style = Path(page.__file__).with_name("style.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"TrueLead sweep: {name}"),
        element("style", Markup(style)),  # noqa: S704  # our own file
    )
    links = [element("li", element("a", one.short, href=f"#{one.key}")) for one in built]
    body = element(
        "body",
        element(
            "header",
            element(
                "div",
                element("p", f"TrueLead sweep: {name}", class_="over"),
                element("p", "Which configuration, and does it hold?", class_="question"),
                element("h1", headline(result)),
                element("p", NOTICE, class_="notice", role="note"),
            ),
        ),
        element(
            "div",
            element("nav", element("ol", *links), aria_label="Contents"),
            element("main", *(html.section(section) for section in built)),
            class_="page",
        ),
        element("footer", element("p", NOTICE, class_="notice", role="note")),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


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
