"""The report to read: one self-contained HTML page, and the same numbers as Markdown.

The page needs no other file and no script, follows the reader's light or dark setting, and prints.
Sections (`sections/`, one file each) turn the report into blocks (`blocks.py`); `html.py` and
`markdown.py` show the blocks.
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from truelead.evaluate.page.blocks import Section
from truelead.evaluate.page.html import Html
from truelead.evaluate.page.markdown import section_lines
from truelead.evaluate.page.markup import element
from truelead.evaluate.page.sections import SECTIONS
from truelead.evaluate.page.sections.answer import headline
from truelead.evaluate.page.view import View
from truelead.evaluate.report import NOTICE, Report

_STYLE = Path(__file__).with_name("style.css")


def render(report: Report) -> str:
    """The page as text."""
    view = View(report)
    sections = _sections(view)
    html = Html(view.colours())
    style = Markup(_STYLE.read_text(encoding="utf-8"))  # noqa: S704  # our own file
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"TrueLead report: {report.name}"),
        element("style", style),
    )
    links = [element("li", element("a", one.short, href=f"#{one.key}")) for one in sections]
    top = element(
        "div",
        element("p", f"TrueLead report: {report.name}", class_="over"),
        element("p", "Does it read the ECG?", class_="question"),
        element("h1", headline(view)),
        element("p", NOTICE, class_="notice", role="note"),
    )
    body = element(
        "body",
        element("header", top),
        element(
            "div",
            element("nav", element("ol", *links), aria_label="Contents"),
            element("main", *(html.section(section) for section in sections)),
            class_="page",
        ),
        element("footer", element("p", NOTICE, class_="notice", role="note")),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def to_markdown(report: Report) -> str:
    """The page's numbers as Markdown."""
    view = View(report)
    lines = [f"# TrueLead report: {report.name}", f"**{NOTICE}**", f"**{headline(view)}**"]
    for section in _sections(view):
        lines += section_lines(section)
    return "\n\n".join([*lines, f"**{NOTICE}**"]) + "\n"


def _sections(view: View) -> list[Section]:
    found = (build(view) for build in SECTIONS.values())
    return [section for section in found if section is not None]
