"""ECG-QA over MIMIC-IV-ECG: rows of the published layout, written here about written records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.conftest import write_mimic
from truelead.config import DataConfig
from truelead.data.sources.ecg_qa_mimic import (
    load_options,
    load_questions,
    load_split,
    mimic_folder,
    record_paths,
    without_record,
)
from truelead.data.sources.mimic_iv_ecg import load_records
from truelead.debias.setup.official import join_official_rows
from truelead.errors import DataError, QuestionError

ANSWERS = """template_id,classes
1,"['no', 'not sure', 'yes']"
8,"['Left ventricular hypertrophy', 'atrial flutter', 'none']"
61,"[""rSr' type in V1 or V2"", 'none', 'sinus rhythm']"
"""


def row(sample_id: int, ecg_ids: list[int], **changes: Any) -> dict[str, Any]:
    return {
        "template_id": 1,
        "question_id": 12,
        "sample_id": sample_id,
        "question_type": "single-verify",
        "attribute_type": "scp_code",
        "question": "Is there evidence of atrial flutter on this ECG?",
        "answer": ["yes"],
        "ecg_id": ecg_ids,
        "attribute": ["atrial flutter"],
        **changes,
    }


TRAIN = [
    row(0, [40000000]),
    row(
        1,
        [40000000, 40000001],
        template_id=61,
        question_id=90,
        question_type="comparison_irrelevant-query",
        question="What symptoms does the second ECG have that the first has not?",
        answer=["rSr' type in V1 or V2", "sinus rhythm"],
        attribute=None,
    ),
]
VALID = [row(0, [40000004], answer=["not sure"])]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """ECG-QA's folder `ecgqa` with its MIMIC-IV-ECG part."""
    folder = tmp_path / "ecgqa" / "mimic-iv-ecg"
    for split, studies, rows in (
        ("train", ("40000000", "40000001"), TRAIN),
        ("valid", ("40000004",), VALID),
    ):
        (folder / "template" / split).mkdir(parents=True)
        (folder / "paraphrased" / split).mkdir(parents=True)
        lines = "".join(f"{i}\t{study}\n" for i, study in enumerate(studies))
        (folder / f"{split}_ecgs.tsv").write_text(lines, encoding="utf-8")
        for wording in ("template", "paraphrased"):
            text = json.dumps([{**r, "question": f"{wording}: {r['question']}"} for r in rows])
            (folder / wording / split / "00000.json").write_text(text, encoding="utf-8")
    (folder / "answers_for_each_template.csv").write_text(ANSWERS, encoding="utf-8")
    return tmp_path


def test_the_folder_is_found_beside_ptbxl(repository: Path) -> None:
    folder = repository / "ecgqa" / "mimic-iv-ecg"
    for given in (repository, repository / "ecgqa", folder):
        assert mimic_folder(given) == folder
    (repository / "ecgqa" / "train_ecgs.tsv").write_text("0\t1\n", encoding="utf-8")
    assert mimic_folder(repository / "ecgqa") == folder
    with pytest.raises(DataError, match="expected ECG-QA's folder mimic-iv-ecg"):
        mimic_folder(repository / "none")


def test_questions_hold_study_ids_and_the_sets_own_answers(repository: Path) -> None:
    single, pair = load_questions(repository, wording="template", splits=("train",))
    assert single.ecg_ids == ("40000000",)
    assert single.options == ("no", "not sure", "yes")
    assert pair.ecg_ids == ("40000000", "40000001")
    assert set(pair.answers) == {"rSr' type in V1 or V2", "sinus rhythm"}
    assert load_split(repository)["40000004"] == "valid"
    assert sorted(load_options(repository)) == [1, 8, 61]


def test_a_template_that_the_set_leaves_out_is_an_error(repository: Path) -> None:
    path = repository / "ecgqa" / "mimic-iv-ecg" / "template" / "valid" / "00000.json"
    path.write_text(json.dumps([row(0, [40000004], template_id=28)]), encoding="utf-8")
    with pytest.raises(QuestionError, match="sample_id 0: template_id: expected a template of"):
        load_questions(repository, wording="template")


def test_every_study_id_leads_to_a_record(repository: Path) -> None:
    write_mimic(repository)
    paths = record_paths(repository)
    assert paths["40000004"] == "files/p1000/p10000002/s40000004/40000004"
    questions = load_questions(repository, wording="template")
    assert without_record(questions, paths) == []
    del paths["40000001"]
    assert [q.ecg_ids for q in without_record(questions, paths)] == [("40000000", "40000001")]


def test_official_rows_join_the_records_of_the_source(repository: Path) -> None:
    write_mimic(repository)
    data = DataConfig(split_by="ecg_qa", ecg_qa=repository, development_fraction=0.0)
    records = {r.record_id: r for r in load_records(repository, data)}
    strata = dict.fromkeys(records, 3)
    joined = join_official_rows(repository, records, strata, templates=(1, 61))
    assert joined.left_out == 0
    assert [q.split for q in joined.questions["template"]] == ["train", "train", "valid"]
    assert {q.severity for q in joined.questions["paraphrased"]} == {3}
