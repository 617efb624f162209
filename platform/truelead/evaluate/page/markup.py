"""Elements of HTML and SVG as escaped text."""

from __future__ import annotations

from markupsafe import Markup, escape

VOID = frozenset({"br", "col", "hr", "link", "meta"})


def element(
    name: str, /, *children: Markup | str | None, **attributes: str | float | None
) -> Markup:
    """An element; text is escaped, None left out, `class_` and `stroke_width` mean what they say.

    Attributes keep their order, so that the same calls give the same bytes.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            spelt = key.rstrip("_").replace("_", "-")
            parts.append(f' {spelt}="{escape(_text(value))}"')
    parts.append(">")
    if name not in VOID:
        parts.extend(str(escape(child)) for child in children if child is not None)
        parts.append(f"</{name}>")
    return Markup("".join(parts))  # noqa: S704  # every part is escaped above


def joined(parts: list[Markup], between: str = "") -> Markup:
    """Pieces of markup one after the other."""
    return Markup(between).join(parts)  # noqa: S704  # `between` is ours


def _text(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"
    return str(value)
