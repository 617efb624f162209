"""A set is asked only what it labels: no "none" that nobody said."""

from __future__ import annotations

from truelead.data.sources import SOURCES
from truelead.questions.annotated import PARTLY_LABELLED, labels_answer
from truelead.questions.templates import TEMPLATES
from truelead.types import Record


def asked_of(source: str) -> set[int]:
    record = Record("1", "1", source, "1")
    return {number for number, template in TEMPLATES.items() if labels_answer(record, template)}


def test_every_source_is_judged() -> None:
    assert set(PARTLY_LABELLED) == set(SOURCES) - {"ptbxl"}


def test_a_fully_labelled_set_is_asked_everything() -> None:
    assert asked_of("ptbxl") == set(TEMPLATES)


def test_a_partly_labelled_set_is_asked_for_statements_by_name_and_for_measurements() -> None:
    measured = {number for number, template in TEMPLATES.items() if template.measured}
    named = {1, 43, 44, 45, 46, 57, 58, 59, 60}
    assert asked_of("code15") == asked_of("cinc") == named | measured
    assert asked_of("mimic_iv_ecg") == measured
