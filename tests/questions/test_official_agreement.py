"""Our rules and words against ECG-QA's official rows about the records at hand."""

from __future__ import annotations

import ast
import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from truelead.config import DataConfig
from truelead.data.sources import SOURCES
from truelead.data.sources.ecg_qa import ecg_qa_folder
from truelead.questions.bank import QuestionBank
from truelead.questions.templates import TEMPLATES
from truelead.types import Record

pytestmark = pytest.mark.real_data
BANK = QuestionBank()


@pytest.fixture(scope="module")
def records(real_data: Path) -> dict[str, Record]:
    loaded = SOURCES["ptbxl"].load_records(real_data / "ptbxl", DataConfig())
    return {record.record_id: record for record in loaded}


@pytest.fixture(scope="module")
def rows(real_data: Path) -> list[dict[str, Any]]:
    folder = ecg_qa_folder(real_data / "ecg-qa") / "template"
    return [
        row
        for path in sorted(folder.glob("*/*.json"))
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


def attributes_of(row: dict[str, Any]) -> tuple[str, ...]:
    lead = re.search(r"in (lead \w+)\?", row["question"])
    values = {"noise": (row["attribute"] or [""])[0], "lead": lead[1] if lead else ""}
    return tuple(values[slot] for slot in TEMPLATES[row["template_id"]].slots)


def test_noise_answers_agree(records: dict[str, Record], rows: list[dict[str, Any]]) -> None:
    asked = [row for row in rows if not TEMPLATES[row["template_id"]].measured]
    agreed = 0
    for row in asked:
        record = records[str(row["ecg_id"][0])]
        question = BANK.ask(row["template_id"], attributes_of(row), (record,), wording="official")
        agreed += set(question.answers) == set(row["answer"])
    assert {row["template_id"] for row in asked} == {26, 27, 28}
    print(f"official noise rows agreed: {agreed} of {len(asked)}")
    assert len(asked) > 5000
    assert agreed / len(asked) >= 0.98


def test_official_words_are_reproduced(rows: list[dict[str, Any]]) -> None:
    seen = set()
    for row in rows:
        template = TEMPLATES[row["template_id"]]
        assert template.official_checked
        assert template.question_type == row["question_type"]
        assert template.attribute_type == row["attribute_type"]
        words = dict(zip(("a", "lead"), ("", ""), strict=True))
        for slot, value in zip(template.slots, attributes_of(row), strict=True):
            words["lead" if slot == "lead" else "a"] = value
        assert template.official.format(**words) == row["question"]
        seen.add(row["template_id"])
    assert seen == {26, 27, 28, 68, 69, 70}


def test_official_answers_are_options(real_data: Path) -> None:
    """Ours may be more: ECG-QA drops statements that are too rare to sample."""
    path = ecg_qa_folder(real_data / "ecg-qa") / "answers_for_each_template.csv"
    with path.open(encoding="utf-8") as stream:
        official = {
            int(row["template_id"]): set(ast.literal_eval(row["classes"]))
            for row in csv.DictReader(stream)
        }
    assert set(official) == set(TEMPLATES)
    for template_id, answers in official.items():
        ours: set[str] = set()
        for attributes in BANK.attributes(template_id):
            ours.update(BANK.options(template_id, attributes))
        assert answers <= ours, (template_id, answers - ours)


def test_official_rows_are_within_our_options(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        attributes = attributes_of(row)
        assert set(row["answer"]) <= set(BANK.options(row["template_id"], attributes))
