from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from truelead.config import DataConfig
from truelead.data.sources import SOURCES
from truelead.data.sources.ptbxl import load_records, load_scp_statements
from truelead.errors import DataError

SECRET = "sinusrhythmus geheim"

ROW = {
    "ecg_id": "1",
    "patient_id": "15709.0",
    "age": "56.0",
    "sex": "1",
    "recording_date": "1984-11-09 09:17:34",
    "report": SECRET,
    "scp_codes": "{'NORM': 100.0, 'SR': 0.0}",
    "heart_axis": "MID",
    "infarction_stadium1": "",
    "infarction_stadium2": "",
    "baseline_drift": "",
    "static_noise": " , I-V1,  ",
    "burst_noise": "",
    "electrodes_problems": "",
    "extra_beats": "",
    "pacemaker": "",
    "strat_fold": "3",
    "filename_lr": "records100/00000/00001_lr",
    "filename_hr": "records500/00000/00001_hr",
}
STATEMENTS = """,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
SR,sinus rhythm,,,1.0,,
INVT,inverted T-waves,,1.0,,,
"""


def write(root: Path, *changes: dict[str, str], without: str = "") -> Path:
    """A PTB-XL folder: the row above, once for each change."""
    columns = [name for name in ROW if name != without]
    with (root / "ptbxl_database.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        for number, change in enumerate(changes or ({},), start=1):
            writer.writerow({**ROW, "ecg_id": str(number), **change})
    (root / "scp_statements.csv").write_text(STATEMENTS, encoding="utf-8")
    return root


def test_a_row_becomes_a_record(tmp_path: Path) -> None:
    (record,) = SOURCES["ptbxl"].load_records(write(tmp_path), DataConfig(development_fraction=0.0))
    assert (record.record_id, record.patient_id, record.source) == ("1", "15709", "ptbxl")
    assert record.path == "records100/00000/00001_lr"
    assert record.scp_codes == {"NORM": 100.0, "SR": 0.0}
    assert (record.age, record.sex, record.strat_fold) == (56.0, 1, 3)
    assert record.static_noise == ", I-V1,"
    assert record.recorded_at == "1984-11-09T09:17:34"
    assert record.split == "train"
    (fast,) = load_records(tmp_path, DataConfig(sampling_rate=500))
    assert fast.path == "records500/00000/00001_hr"


def test_folds_are_splits(tmp_path: Path) -> None:
    rows = [{"strat_fold": str(fold), "patient_id": str(fold)} for fold in range(1, 11)]
    records = load_records(write(tmp_path, *rows), DataConfig(development_fraction=0.0))
    assert [record.split for record in records] == ["train"] * 8 + ["valid", "test"]


def test_development_is_chosen_by_patient(tmp_path: Path) -> None:
    rows = [{"patient_id": str(number // 3)} for number in range(600)]
    data = DataConfig(development_fraction=0.2)
    records = load_records(write(tmp_path, *rows), data)
    patients = {(record.patient_id, record.split) for record in records}
    assert len(patients) == 200  # every patient in one split
    chosen = {patient for patient, split in patients if split == "development"}
    assert 20 <= len(chosen) <= 60
    half = load_records(write(tmp_path, *rows[::2]), data)
    assert {r.patient_id for r in half if r.split == "development"} <= chosen
    none = load_records(tmp_path, DataConfig(development_fraction=0.0))
    assert {record.split for record in none} == {"train"}


def test_limit(tmp_path: Path) -> None:
    records = load_records(write(tmp_path, {}, {}, {}), DataConfig(limit=2))
    assert [record.record_id for record in records] == ["1", "2"]


def test_ecg_qa_split_leaves_out_what_it_does_not_list(tmp_path: Path) -> None:
    rows = [{"patient_id": str(n), "strat_fold": "10"} for n in range(4)]
    write(tmp_path, *rows)
    for split, ecg_id in (("train", 1), ("valid", 2), ("test", 3)):
        (tmp_path / f"{split}_ecgs.tsv").write_text(f"0\t{ecg_id}\n", encoding="utf-8")
    data = DataConfig(split_by="ecg_qa", ecg_qa=tmp_path, development_fraction=0.0)
    records = load_records(tmp_path, data)
    assert [(r.record_id, r.split) for r in records] == [
        ("1", "train"),
        ("2", "valid"),
        ("3", "test"),
    ]
    with pytest.raises(DataError, match=r"data\.ecg_qa: expected ECG-QA's folder"):
        load_records(tmp_path, DataConfig(split_by="ecg_qa"))


def test_a_patient_in_two_splits_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"strat_fold": "1"}, {"strat_fold": "9"})
    with pytest.raises(DataError, match="ecg_id 2: split: expected every ECG of a patient in one"):
        load_records(tmp_path, DataConfig())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("ecg_id", ""),
        ("ecg_id", "1"),
        ("patient_id", "none"),
        ("patient_id", ""),
        ("age", "old"),
        ("age", "nan"),
        ("sex", "2"),
        ("recording_date", "yesterday"),
        ("strat_fold", "0"),
        ("strat_fold", "2.5"),
        ("strat_fold", ""),
        ("scp_codes", ""),
        ("scp_codes", "NORM"),
        ("scp_codes", "{'NORM': 'sure'}"),
        ("scp_codes", "{'NORM': True}"),
        ("scp_codes", "{'NORM': 101}"),
        ("scp_codes", "{'FLU': 100.0}"),
        ("scp_codes", "{1: 100.0}"),
        ("scp_codes", "__import__('os').getcwd()"),
        ("scp_codes", "(" * 5000),
        ("scp_codes", "{" + " " * 20000 + "}"),
        ("filename_lr", ""),
        ("filename_lr", "/etc/passwd"),
        ("filename_lr", "../records/1"),
    ],
)
def test_a_wrong_value_names_file_line_and_column(tmp_path: Path, column: str, value: str) -> None:
    write(tmp_path, {}, {column: value})
    with pytest.raises(DataError) as caught:
        load_records(tmp_path, DataConfig())
    message = str(caught.value)
    assert f"ptbxl_database.csv: line 3: {column}: expected" in message
    assert "\n" not in message
    assert SECRET not in message


@pytest.mark.parametrize("column", ROW)
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    write(tmp_path, without=column)
    with pytest.raises(DataError, match=f"line 1: expected the columns {column}$"):
        load_records(tmp_path, DataConfig())


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scp_statements\.csv: expected a CSV file, found none"):
        load_records(tmp_path, DataConfig())
    write(tmp_path)
    database = tmp_path / "ptbxl_database.csv"
    good = database.read_bytes()
    database.write_bytes(good + b"7,8\n")
    with pytest.raises(DataError, match="line 3: expected 19 columns, found 2"):
        load_records(tmp_path, DataConfig())
    database.write_bytes(good + b"\xff\xfe")
    with pytest.raises(DataError, match="expected UTF-8 text"):
        load_records(tmp_path, DataConfig())
    database.write_bytes(good + b'"open')
    with pytest.raises(DataError, match="expected well-formed CSV"):
        load_records(tmp_path, DataConfig())
    database.write_bytes(good.splitlines(keepends=True)[0])
    with pytest.raises(DataError, match="expected records in the strat_fold split, found none"):
        load_records(tmp_path, DataConfig())


def test_statements(tmp_path: Path) -> None:
    statements = load_scp_statements(write(tmp_path))
    assert list(statements) == ["NORM", "SR", "INVT"]
    assert statements["SR"].rhythm
    assert not statements["SR"].diagnostic
    path = tmp_path / "scp_statements.csv"
    path.write_text(STATEMENTS + "SR,again,,,1.0,,\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 5: .*expected each code once"):
        load_scp_statements(tmp_path)


@pytest.mark.real_data
def test_real_records(real_data: Path) -> None:
    records = load_records(real_data / "ptbxl", DataConfig())
    assert len(records) == 4600
    by_ecg_qa = load_records(
        real_data / "ptbxl",
        DataConfig(split_by="ecg_qa", ecg_qa=real_data / "ecg-qa", development_fraction=0.0),
    )
    assert Counter(record.split for record in by_ecg_qa) == {"train": 4000, "valid": 600}
    assert len(load_scp_statements(real_data / "ptbxl")) == 71
