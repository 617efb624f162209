"""Blocks as Markdown: the page's numbers without its drawings."""

from __future__ import annotations

from truelead.evaluate.page.blocks import (
    Arm,
    Block,
    Card,
    Cell,
    Code,
    Facts,
    Figure,
    Figures,
    Fold,
    Heat,
    Points,
    Section,
    Table,
    Text,
    Track,
    Value,
    Verdicts,
)
from truelead.evaluate.page.numbers import certain, whole


def section_lines(section: Section) -> list[str]:
    """A chapter as paragraphs."""
    return [f"## {section.title}", *(line for block in section.blocks for line in _block(block))]


def _block(block: Block) -> list[str]:
    match block:
        case Text():
            return [f"**{block.text}**" if block.kind == "notice" else block.text]
        case Points():
            return ["\n".join(f"- {item}" for item in block.items)]
        case Facts():
            return ["\n".join(f"- {key}: {value}" for key, value in block.values.items())]
        case Code():
            return [f"```yaml\n{block.text.rstrip()}\n```"]
        case Table():
            return [f"*{block.caption.replace('**', '')}*", _table(block)]
        case Figure():
            title = f"{block.title.replace('**', '')}: " if block.title else ""
            return [f"*Figure. {title}{block.alt}*"]
        case Figures():
            return [line for figure in block.figures for line in _block(figure)]
        case Verdicts():
            return [
                "\n".join(
                    f"- **{one.arm}: {one.verdict}.** {one.summary}" for one in block.verdicts
                )
            ]
        case Fold() | Card():
            return [f"### {block.title}", *(line for one in block.blocks for line in _block(one))]


def _table(table: Table) -> str:
    first = next(row for group in table.groups for row in group.rows)
    kept = [i for i, cell in enumerate(first) if not isinstance(cell, Track)]
    grouped = any(group.title for group in table.groups)
    titles = [_text(table.columns[i]) or " " for i in kept]
    lines = [_line((["of"] if grouped else []) + titles), "|---" * (len(kept) + grouped) + "|"]
    for group in table.groups:
        title = f"{group.title} ({group.note})" if group.note else group.title
        for row in group.rows:
            cells = [_text(row[i]) for i in kept]
            lines.append(_line(([title] if grouped else []) + cells))
    return "\n".join(lines)


def _text(cell: Cell) -> str:
    match cell:
        case str():
            return cell
        case Arm():
            return cell.name
        case Value():
            text = whole(cell)
            return f"**{text}**" if cell.kind in ("points", "loss") and certain(cell) else text
        case Heat():
            return whole(Value(cell.interval))
        case Track():
            return cell.alt


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
