"""How a filled template is put into words, and drawn."""

from __future__ import annotations

import random
from typing import Literal

import numpy as np

from truelead.errors import QuestionError
from truelead.questions.scp import SCP_STATEMENTS, SUPERCLASSES
from truelead.questions.templates import Template
from truelead.questions.wordings import Named, NamedWordings

Generator = random.Random | np.random.Generator
Wording = Literal["train", "test", "official"] | int


def spoken(value: str) -> str:
    """How an attribute is called in a text or an answer."""
    if value in SCP_STATEMENTS:
        return SCP_STATEMENTS[value].name
    return SUPERCLASSES.get(value, value)


def pattern_of(
    template: Template, words: NamedWordings, wording: Wording, rng: Generator | None
) -> Named:
    """Name and pattern of a wording; training wordings come first, then test wordings.

    Raises:
        QuestionError: no such wording.
    """
    named = [*words.train, *words.test]
    trained = len(words.train)
    if wording == "official":
        names = {pattern: name for name, pattern in named}
        return names.get(template.official, "train-0"), template.official
    if wording == "train":
        return named[0 if rng is None else below(rng, trained)]
    if wording == "test":
        return named[trained + (0 if rng is None else below(rng, len(words.test)))]
    if isinstance(wording, int) and 0 <= wording < len(named):
        return named[wording]
    raise QuestionError(
        f"template {template.template_id}: wording: expected train, test, official or "
        f"0..{len(named) - 1}, found {wording!r}"
    )


def text_of(template: Template, pattern: str, filled: tuple[str, ...]) -> str:
    """The pattern with its placeholders filled."""
    words: dict[str, str] = {}
    letters = iter("abc")
    for slot, value in zip(template.slots, filled, strict=True):
        words["lead" if slot == "lead" else next(letters)] = spoken(value)
    return pattern.format(**words)


def question_id(template: Template, filled: tuple[str, ...]) -> str:
    """The same for every wording, and for both orders of two attributes of one kind."""
    if template.kind == "choose":
        order = {slot: place for place, slot in enumerate(template.slots)}
        pairs = sorted(zip(template.slots, filled, strict=True), key=lambda p: (order[p[0]], p[1]))
        filled = tuple(value for _, value in pairs)
    return ":".join((str(template.template_id), *filled))


def mixed(template: Template, filled: tuple[str, ...], rng: Generator) -> tuple[str, ...]:
    """The two attributes of a choose question in either order."""
    if template.kind != "choose" or below(rng, 2) == 0:
        return filled
    first = next(i for i, slot in enumerate(template.slots) if template.slots.count(slot) == 2)
    swapped = list(filled)
    swapped[first], swapped[first + 1] = swapped[first + 1], swapped[first]
    return tuple(swapped)


def below(rng: Generator, count: int) -> int:
    """A whole number 0 .. count - 1."""
    if isinstance(rng, random.Random):
        return rng.randrange(count)
    return int(rng.integers(count))
