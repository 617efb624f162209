from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from truelead.data.sources.ecg_qa import (
    ecg_qa_folder,
    load_options,
    load_questions,
    load_split,
)
from truelead.errors import DataError, QuestionError
from truelead.types import QUESTION_TYPES

OPTIONS = """template_id,classes
1,"['no', 'not sure', 'yes']"
4,"['long qt-interval', 'none', 'digitalis effect']"
8,"['long qt-interval', 'none', 'digitalis effect']"
"""
TEMPLATE_OF_KIND = {"verify": 1, "choose": 4, "query": 8}


def row(question_type: str = "single-verify", sample_id: int = 0, **changes: Any) -> dict[str, Any]:
    kind = question_type.rpartition("-")[2]
    single = question_type.startswith("single")
    made = {
        "template_id": TEMPLATE_OF_KIND[kind],
        "question_id": 5,
        "sample_id": sample_id,
        "question_type": question_type,
        "attribute_type": "scp_code",
        "question": f"Question of kind {kind}?",
        "answer": ["not sure"] if kind == "verify" else ["digitalis effect", "long qt-interval"],
        "ecg_id": [11] if single else [11, 12],
        "attribute": ["long qt-interval", "digitalis effect"] if single else None,
    }
    return {**made, **changes}


def write(root: Path, rows: Any, wording: str = "template", split: str = "train") -> Path:
    folder = root / wording / split
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "00000.json").write_text(json.dumps(rows), encoding="utf-8")
    (root / "train_ecgs.tsv").write_text("0\t11\n1\t12\n", encoding="utf-8")
    (root / "answers_for_each_template.csv").write_text(OPTIONS, encoding="utf-8")
    return root


def test_all_seven_question_types(tmp_path: Path) -> None:
    rows = [row(kind, number) for number, kind in enumerate(QUESTION_TYPES)]
    questions = load_questions(write(tmp_path, rows), wording="template")
    assert [question.question_type for question in questions] == list(QUESTION_TYPES)
    for question in questions:
        single = question.question_type.startswith("single")
        assert question.ecg_ids == (("11",) if single else ("11", "12"))
        assert set(question.answers) <= set(question.options)
        assert question.question_id == "ecg-qa:5"
        assert question.split == "train"
    choose = questions[QUESTION_TYPES.index("single-choose")]
    assert choose.options == ("long qt-interval", "digitalis effect", "none")


def test_wordings_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, [row(sample_id=0), row(sample_id=1)])
    write(tmp_path, [row(sample_id=0, question="Other words?")], "paraphrased")
    write(tmp_path, [row(sample_id=0, question="Other words?")], "paraphrased", "valid")
    first, second = load_questions(tmp_path, wording="template")
    other, valid = load_questions(tmp_path, wording="paraphrased")
    assert first.wording_id == second.wording_id
    assert first.wording_id.startswith("template:")
    assert other.wording_id == valid.wording_id != first.wording_id
    assert first.question_id == other.question_id
    assert (other.split, valid.split) == ("train", "valid")
    assert len(load_questions(tmp_path, wording="paraphrased", splits=("valid",))) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample_id", "7"),
        ("sample_id", True),
        ("template_id", 71),
        ("template_id", 2),
        ("question_id", None),
        ("question_type", "single-guess"),
        ("question", ""),
        ("question", 3),
        ("answer", []),
        ("answer", "yes"),
        ("answer", ["yes", "yes"]),
        ("answer", ["maybe"]),
        ("answer", ["yes; no"]),
        ("ecg_id", [11, 12]),
        ("ecg_id", ["11"]),
        ("ecg_id", []),
    ],
)
def test_a_wrong_row_names_file_sample_and_field(tmp_path: Path, field: str, value: Any) -> None:
    sample_id = value if field == "sample_id" else 7
    write(tmp_path, [row(sample_id=0), {**row(sample_id=7), field: value}])
    with pytest.raises(QuestionError) as caught:
        load_questions(tmp_path, wording="template")
    assert f"00000.json: sample_id {sample_id!r}: {field}: expected" in str(caught.value)


@pytest.mark.parametrize(
    "field", ["sample_id", "template_id", "question_type", "question", "answer", "ecg_id"]
)
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    made = row(sample_id=7)
    del made[field]
    with pytest.raises(QuestionError, match=f"{field}: expected"):
        load_questions(write(tmp_path, [made]), wording="template")


def test_a_choice_needs_two_attributes(tmp_path: Path) -> None:
    write(tmp_path, [row("single-choose", 3, attribute=None)])
    with pytest.raises(QuestionError, match="sample_id 3: attribute: expected the two"):
        load_questions(tmp_path, wording="template")


def test_a_doubled_sample(tmp_path: Path) -> None:
    write(tmp_path, [row(sample_id=3), row(sample_id=3)])
    with pytest.raises(QuestionError, match="sample_id 3: sample_id: expected each"):
        load_questions(tmp_path, wording="template")


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected ECG-QA's folder with train_ecgs\.tsv"):
        load_questions(tmp_path, wording="template")
    write(tmp_path, {"not": "a list"})
    with pytest.raises(QuestionError, match="expected a JSON list of objects"):
        load_questions(tmp_path, wording="template")
    (tmp_path / "template" / "train" / "00000.json").write_text("[{", encoding="utf-8")
    with pytest.raises(QuestionError, match="expected JSON text"):
        load_questions(tmp_path, wording="template")
    with pytest.raises(DataError, match=r"expected \*\.json for train, valid, test, found none"):
        load_questions(tmp_path, wording="paraphrased")
    with pytest.raises(QuestionError, match="splits: expected some of"):
        load_questions(tmp_path, wording="template", splits=("all",))
    (tmp_path / "answers_for_each_template.csv").unlink()
    with pytest.raises(QuestionError, match="expected ECG-QA's table of answers, found none"):
        load_options(tmp_path)


@pytest.mark.parametrize("line", ["0", "0\tx", "0 11", "0\t11\t1"])
def test_wrong_split_list(tmp_path: Path, line: str) -> None:
    (tmp_path / "train_ecgs.tsv").write_text(f"0\t1\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2: expected index and ecg_id"):
        load_split(tmp_path)


def test_an_ecg_in_two_lists(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        (tmp_path / f"{split}_ecgs.tsv").write_text("0\t1\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected each ECG in one split, found train and valid"):
        load_split(tmp_path)


def test_folder_is_found_from_above(tmp_path: Path) -> None:
    inner = tmp_path / "ecg-qa" / "ptbxl"
    inner.mkdir(parents=True)
    (inner / "train_ecgs.tsv").write_text("0\t1\n", encoding="utf-8")
    assert ecg_qa_folder(tmp_path) == ecg_qa_folder(tmp_path / "ecg-qa") == inner


@pytest.mark.real_data
def test_real_questions(real_data: Path) -> None:
    split_of = load_split(real_data)
    texts: dict[str, dict[str, set[str]]] = {}
    for wording in ("template", "paraphrased"):
        questions = load_questions(real_data / "ecg-qa", wording=wording)  # type: ignore[arg-type]
        assert len(questions) == 7492 + 2431
        texts[wording] = defaultdict(set)
        for question in questions:
            assert all(split_of[ecg] == question.split for ecg in question.ecg_ids)
            assert set(question.answers) <= set(question.options)
            texts[wording][question.question_id].add(question.text)
    assert set(texts["template"]) == set(texts["paraphrased"])
