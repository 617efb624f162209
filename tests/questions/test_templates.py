from __future__ import annotations

from collections import Counter
from string import Formatter

import pytest

from truelead.questions.measured_rules import MEASURED_RULES
from truelead.questions.rules import RULES
from truelead.questions.template_table import ROWS
from truelead.questions.templates import TEMPLATES, Template
from truelead.types import QUESTION_TYPES

ALL = pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda t: str(t.template_id))


def test_there_are_seventy() -> None:
    assert [row[0] for row in ROWS] == list(range(1, 71)) == list(TEMPLATES)
    assert {template.question_type for template in TEMPLATES.values()} == set(QUESTION_TYPES)


def test_what_waits() -> None:
    waiting = {number for number, template in TEMPLATES.items() if template.waits_for}
    assert waiting == {17, 18, 19}
    assert set(RULES) == set(TEMPLATES) - waiting


def test_what_is_measured() -> None:
    measured = {number for number, template in TEMPLATES.items() if template.measured}
    assert measured == {*range(39, 43), *range(50, 57), *range(64, 71)} == set(MEASURED_RULES)


@ALL
def test_enough_wordings_and_none_in_both(template: Template) -> None:
    words = template.wordings
    assert len(words.train) >= 5  # the official one and four of ours
    assert len(words.test) >= 2
    both = [text.casefold() for text in (*words.train, *words.test)]
    assert len(set(both)) == len(both)
    assert all(text[0].isupper() and text[-1] in ".?" for text in both_cases(template))


def both_cases(template: Template) -> tuple[str, ...]:
    return (*template.wordings.train, *template.wordings.test)


@ALL
def test_placeholders_are_the_slots(template: Template) -> None:
    letters = iter("abc")
    expected = {"lead" if slot == "lead" else next(letters) for slot in template.slots}
    for text in both_cases(template):
        found = Counter(name for _, name, _, _ in Formatter().parse(text) if name is not None)
        assert set(found) == expected, text


def test_no_words_mean_two_things() -> None:
    """Different questions of the same attributes are told apart by their words alone."""
    meaning: dict[tuple[str, tuple[str, ...]], int] = {}
    for template in TEMPLATES.values():
        for text in both_cases(template):
            key = (text.casefold(), template.slots)
            assert meaning.setdefault(key, template.template_id) == template.template_id, text


def test_no_test_words_are_training_words_of_another_template() -> None:
    train = {text for template in TEMPLATES.values() for text in template.wordings.train}
    test = {text for template in TEMPLATES.values() for text in template.wordings.test}
    assert not train & test
