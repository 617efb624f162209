"""Questions about ECGs in lots that a model reads at once."""

from __future__ import annotations

from collections.abc import Sequence

from truelead.model.processing import GroupInput


def in_lots(groups: Sequence[GroupInput], rows: int) -> list[list[GroupInput]]:
    """Groups in lots of about `rows` questions, large groups cut, all without answers."""
    lots: list[list[GroupInput]] = []
    room = 0
    for group in groups:
        for start in range(0, len(group.questions), rows):
            part = group.questions[start : start + rows]
            if len(part) > room:
                lots.append([])
                room = rows
            lots[-1].append(GroupInput(group.ecgs, part, with_answers=False))
            room -= len(part)
    return lots
