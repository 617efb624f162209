"""The report to read: one self-contained HTML page, and the same numbers as Markdown.

The page needs no other file and no script, follows the reader's light or dark setting, and prints.
Sections (`sections/`, one file each) turn the report into blocks (`blocks.py`); `html.py` and
`markdown.py` show the blocks.
"""

from __future__ import annotations

from truelead.evaluate.page.blocks import Section
from truelead.evaluate.page.document import document
from truelead.evaluate.page.html import Html
from truelead.evaluate.page.markdown import section_lines
from truelead.evaluate.page.sections import SECTIONS
from truelead.evaluate.page.sections.answer import headline
from truelead.evaluate.page.view import View
from truelead.evaluate.report import NOTICE, Report


def render(report: Report) -> str:
    """The page as text."""
    view = View(report)
    return document(
        f"TrueLead report: {report.name}",
        "Does it read the ECG?",
        headline(view),
        NOTICE,
        Html(view.colours()),
        _sections(view),
    )


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
