"""Set-up `ecg-qa` with measured intervals: asked where they were measured, and nowhere else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from truelead.config import QuestionsConfig, parse_recipe
from truelead.debias.setup import build_setup
from truelead.debias.setup.ecg_qa import EcgQaSetup
from truelead.debias.severity import SEVERITIES
from truelead.errors import ConfigError, DataError
from truelead.questions.measured_rules import MEASURED_RULES, NUMERIC_FEATURES
from truelead.questions.templates import TEMPLATES
from truelead.types import Record

TEMPLATES_ASKED = (12, 39, 40, 41, 42, 64, 68)


def measured(record: Record) -> Record:
    """Hand-made intervals; in atrial fibrillation none of the P wave."""
    place = int(record.record_id)
    values = {f: 90.0 + (place * 37 + i * 101) % 700 for i, f in enumerate(NUMERIC_FEATURES)}
    if "AFIB" in record.scp_codes:
        values = {f: v for f, v in values.items() if f not in ("p duration", "pr interval")}
    return replace(record, measurements=values)


def build(records: list[Record], *, measurements: bool) -> EcgQaSetup:
    config = QuestionsConfig(
        setup="ecg-qa",
        minimum_positives=30,
        templates=TEMPLATES_ASKED,
        measurements=measurements,
    )
    return EcgQaSetup.build(
        records, config, SEVERITIES["ptbxl"], ecg_qa=None, test_split="valid", questions_per_ecg=8
    )


@pytest.fixture(scope="module")
def records_measured(records: list[Record]) -> list[Record]:
    return [measured(record) for record in records]


@pytest.fixture(scope="module")
def built(records_measured: list[Record]) -> EcgQaSetup:
    return build(records_measured, measurements=True)


def template_of(question_id: str) -> int:
    return int(question_id.partition(":")[0])


def test_what_was_measured_is_asked_and_the_rest_is_not(built: EcgQaSetup) -> None:
    asked: Counter[int] = Counter()
    for group in built.groups("train"):
        features = [set(built.records[name].measurements) for name in group]
        for cell in built.cells(group):
            template = TEMPLATES[template_of(cell.question_id)]
            asked[template.template_id] += 1
            if not template.measured:
                continue
            if "feature" in template.slots:
                needed = {f for f in NUMERIC_FEATURES if f in cell.question_id}
                assert all(needed & found for found in features)
            else:
                assert all(set(NUMERIC_FEATURES) <= found for found in features)
    assert set(asked) == set(TEMPLATES_ASKED)


def test_they_are_trained_on_and_tested(built: EcgQaSetup) -> None:
    drawn = {q.template_id for g in built.groups("train") for q in built.observed(g, 0)}
    assert drawn & set(MEASURED_RULES)
    tested = {q.template_id for questions in built.test_sets().values() for q in questions}
    assert tested & set(MEASURED_RULES)
    texts = list(built.corpus())
    assert any("within the normal range" in text for text in texts)


def test_without_the_key_nothing_changes(
    records: list[Record], records_measured: list[Record]
) -> None:
    labelled = build(records, measurements=False)
    same = build(records_measured, measurements=False)
    for group in labelled.groups("train")[:40]:
        assert labelled.cells(group) == same.cells(group)
        assert {template_of(cell.question_id) for cell in same.cells(group)} <= {12}
    assert list(labelled.corpus()) == list(same.corpus())


def test_the_recipe_s_key_reads_the_table(records: list[Record], tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            "name": "measured",
            "output": str(tmp_path),
            "questions": {"setup": "ecg-qa", "measurements": True},
        }
    )
    with pytest.raises(DataError, match=r"measurements\.parquet"):
        build_setup(recipe, records)
    tree = {"name": "measured", "questions": {"measurements": True}}
    with pytest.raises(ConfigError, match=r"expected questions\.setup ecg-qa"):
        build_setup(parse_recipe(tree), records)
