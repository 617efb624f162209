"""The frame of a page: head, header, contents and chapters in one file without outside assets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from truelead.evaluate.page.blocks import Section
from truelead.evaluate.page.html import Html
from truelead.evaluate.page.markup import element

_STYLE = Path(__file__).with_name("style.css")


def document(
    title: str, question: str, headline: str, notice: str, html: Html, sections: Sequence[Section]
) -> str:
    """A whole page.

    Args:
        title: of the page, also above its heading.
        question: what the page answers.
        headline: the answer.
        notice: stands at the top and at the bottom.
        html: renders the sections.
    """
    style = Markup(_STYLE.read_text(encoding="utf-8"))  # noqa: S704  # our own file
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", style),
    )
    links = [element("li", element("a", one.short, href=f"#{one.key}")) for one in sections]
    top = element(
        "div",
        element("p", title, class_="over"),
        element("p", question, class_="question"),
        element("h1", headline),
        element("p", notice, class_="notice", role="note"),
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
        element("footer", element("p", notice, class_="notice", role="note")),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
