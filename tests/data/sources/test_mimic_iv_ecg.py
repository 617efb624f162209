"""No record of MIMIC-IV-ECG is at hand: these tests write its published layout themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.sources.conftest import write_csv, write_mimic
from truelead.config import DataConfig
from truelead.data.sources.mimic_iv_ecg import REPORT_COLUMNS, load_records
from truelead.debias.severity.mimic import ABNORMAL, NORMAL, UNJUDGED, MimicSeverity
from truelead.errors import DataError

HASH = DataConfig(split_by="hash", development_fraction=0.0)
STUDY = {
    "subject_id": "10000032",
    "study_id": "40689238",
    "file_name": "40689238",
    "ecg_time": "2180-07-23 08:44:00",
    "path": "files/p1000/p10000032/s40689238/40689238",
}


def measured(*statements: str, **changes: str) -> dict[str, str]:
    """A row of machine_measurements.csv."""
    texts = [*statements, *[""] * (18 - len(statements))]
    return {
        "subject_id": STUDY["subject_id"],
        "study_id": STUDY["study_id"],
        "cart_id": "1",
        **dict(zip(REPORT_COLUMNS, texts, strict=True)),
        "rr_interval": "659",
        **changes,
    }


def write(
    root: Path, measurements: list[dict[str, str]], studies: list[dict[str, str]] | None = None
) -> Path:
    write_csv(root / "record_list.csv", studies or [STUDY])
    write_csv(root / "machine_measurements.csv", measurements)
    return root


def test_a_study_becomes_a_record(tmp_path: Path) -> None:
    write(tmp_path, [measured("Sinus rhythm", " Left  axis deviation", "", "Borderline ECG")])
    (record,) = load_records(tmp_path, HASH)
    assert (record.record_id, record.patient_id) == ("40689238", "10000032")
    assert record.path == STUDY["path"]
    assert record.recorded_at == "2180-07-23T08:44:00"
    assert record.report == "Sinus rhythm\nLeft axis deviation\nBorderline ECG"
    assert record.scp_codes == {}
    assert (record.age, record.sex) == (None, None)


@pytest.mark.parametrize(
    ("statements", "stratum"),
    [
        (("Sinus rhythm", "Normal ECG"), NORMAL),
        (("Sinus rhythm", "- ABNORMAL ECG -"), ABNORMAL),
        (("Ventricular pacing",), UNJUDGED),
        (("Sinus rhythm",) * 17 + ("Abnormal ECG",), ABNORMAL),
    ],
)
def test_the_global_statement_gives_severity(
    tmp_path: Path, statements: tuple[str, ...], stratum: int
) -> None:
    (record,) = load_records(write(tmp_path, [measured(*statements)]), HASH)
    assert MimicSeverity()(record) == stratum


def test_a_study_without_measurements_has_no_report(tmp_path: Path) -> None:
    write(tmp_path, [measured("Normal ECG", study_id="40000000")])
    (record,) = load_records(tmp_path, HASH)
    assert record.report == ""


def test_a_doubled_study_or_a_report_of_another_patient_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, [measured("a"), measured("b")])
    with pytest.raises(DataError, match=r"measurements\.csv: line 3: study_id: expected each"):
        load_records(tmp_path, HASH)
    write(tmp_path, [measured("a", subject_id="10000033")])
    with pytest.raises(DataError, match="line 2: subject_id: expected the patient") as caught:
        load_records(tmp_path, HASH)
    assert "10000033" not in str(caught.value)
    write(tmp_path, [measured("a")], [STUDY, STUDY])
    with pytest.raises(DataError, match=r"record_list\.csv: line 3: study_id: expected each"):
        load_records(tmp_path, HASH)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("path", "../40689238"),
        ("path", ""),
        ("ecg_time", "soon"),
        ("subject_id", "p10000032"),
        ("study_id", ""),
    ],
)
def test_a_wrong_cell_names_file_line_and_column(tmp_path: Path, column: str, value: str) -> None:
    write(tmp_path, [measured("a")], [{**STUDY, column: value}])
    with pytest.raises(DataError, match=rf"record_list\.csv: line 2: {column}: expected"):
        load_records(tmp_path, HASH)


def test_a_missing_report_column_is_named(tmp_path: Path) -> None:
    row = measured("a")
    del row["report_17"]
    with pytest.raises(DataError, match=r"line 1: expected the columns report_17$"):
        load_records(write(tmp_path, [row]), HASH)


def test_ecg_qa_lists_split_the_studies(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    folder = tmp_path / "ecgqa" / "mimic-iv-ecg"
    folder.mkdir(parents=True)
    # studies 4000000n of patient n // 2
    for split, studies in (("train", (0, 1, 2)), ("valid", (4, 5)), ("test", (6,))):
        lines = "".join(f"{i}\t4{study:07d}\n" for i, study in enumerate(studies))
        (folder / f"{split}_ecgs.tsv").write_text(lines, encoding="utf-8")
    data = DataConfig(split_by="ecg_qa", ecg_qa=tmp_path, development_fraction=0.0)
    records = load_records(tmp_path, data)
    assert [record.split for record in records] == ["train"] * 3 + ["valid"] * 2 + ["test"]
    with pytest.raises(DataError, match=r"data\.ecg_qa: expected ECG-QA's folder"):
        load_records(tmp_path, DataConfig(split_by="ecg_qa"))
    (folder / "test_ecgs.tsv").write_text("0\t40000003\n", encoding="utf-8")
    with pytest.raises(DataError, match="study_id 40000003: split: expected every ECG"):
        load_records(tmp_path, data)
