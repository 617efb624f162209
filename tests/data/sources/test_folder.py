from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from truelead.config import DataConfig
from truelead.data.sources.folder import load_records
from truelead.errors import DataError
from truelead.types import Record

SECRET = "sinus rhythm, Mrs Smith"


def load(root: Path, table: str, **data: Any) -> list[Record]:
    (root / "labels.csv").write_text(table, encoding="utf-8")
    settings = {"split_by": "hash", "development_fraction": 0.0, **data}
    return load_records(root, DataConfig(**settings))


def test_every_column_is_read(tmp_path: Path) -> None:
    (record,) = load(
        tmp_path,
        "record,path,patient_id,split,age,sex,report,recorded_at,codes\n"
        "a,x/a.edf,p1,valid,61.5,F,two; words,2020-01-02 03:04:05, AFIB ;LVH = 80; SR=0\n",
        split_by="listed",
    )
    assert record == Record(
        record_id="a",
        patient_id="p1",
        source="folder",
        path="x/a.edf",
        scp_codes={"AFIB": 100.0, "LVH": 80.0, "SR": 0.0},
        report="two; words",
        age=61.5,
        sex=1,
        split="valid",
        recorded_at="2020-01-02T03:04:05",
    )


def test_only_the_path_is_required(tmp_path: Path) -> None:
    first, second = load(tmp_path, "path\nx/a.csv\nx/b\n")
    assert (first.record_id, first.patient_id, first.path) == ("x/a", "x/a", "x/a.csv")
    assert (second.record_id, second.path) == ("x/b", "x/b")
    assert (first.age, first.sex, first.scp_codes) == (None, None, {})


def test_label_columns_are_named(tmp_path: Path) -> None:
    table = "path,AFIB,LVH,height,codes\na.csv,1,false,180,SR\nb.csv,,TRUE,170,\n"
    first, second = load(
        tmp_path, table, label_columns=("AFIB", "LVH"), ignored_columns=("height",)
    )
    assert first.scp_codes == {"SR": 100.0, "AFIB": 100.0}
    assert second.scp_codes == {"LVH": 100.0}
    with pytest.raises(DataError, match=r"labels\.csv: line 1: expected .*, found 'height'"):
        load(tmp_path, table, label_columns=("AFIB", "LVH"))
    with pytest.raises(DataError, match=r"line 1: expected the column 'MI' of data\.label_"):
        load(tmp_path, table, label_columns=("AFIB", "MI"), ignored_columns=("height",))


def test_a_patient_without_a_pseudonym_stands_alone(tmp_path: Path) -> None:
    records = load(tmp_path, "path,patient_id\na.csv,p\nb.csv,\nc.csv,p\n")
    assert [record.patient_id for record in records] == ["p", "b", "p"]


def test_a_listed_split_holds_and_gives_development(tmp_path: Path) -> None:
    rows = "".join(f"{n}.csv,{'train' if n % 4 else 'test'}\n" for n in range(200))
    plain = load(tmp_path, "path,split\n" + rows, split_by="listed")
    assert [r.split for r in plain[:5]] == ["test", "train", "train", "train", "test"]
    chosen = load(tmp_path, "path,split\n" + rows, split_by="listed", development_fraction=0.3)
    assert 20 < sum(record.split == "development" for record in chosen) < 70
    own = load(
        tmp_path,
        "path,split\n0.csv,development\n" + rows[len("0.csv,test\n") :],
        split_by="listed",
        development_fraction=0.3,
    )
    assert sum(record.split == "development" for record in own) == 1


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("record\na\n", "line 1: expected the columns path"),
        ("path,path\na,b\n", "line 1: expected each column once"),
        ("path\n", "expected ECGs, found none"),
        ("path,age\na.csv,60,1\n", "line 2: expected 2 columns, found 3"),
        ("path\na.csv\n/etc/passwd\n", "line 3: path: expected a path inside"),
        ("path\na.csv\n../b.csv\n", "line 3: path: expected a path inside"),
        ("path\na.csv\na.npy\n", "line 3: path: expected each ECG once"),
        ("record,path\nx,a.csv\nx,b.csv\n", "line 3: record: expected each ECG once"),
        ("record,path\n,a.csv\n", "line 2: record: expected a name"),
        ("path,age\na.csv,200\n", "line 2: age: expected years"),
        ("path,age\na.csv,old\n", "line 2: age: expected a number"),
        ("path,sex\na.csv,2\n", "line 2: sex: expected 0 or male"),
        ("path,recorded_at\na.csv,soon\n", "line 2: recorded_at: expected an ISO date"),
        ("path,codes\na.csv,AFIB=101\n", "line 2: codes: expected codes separated"),
        ("path,codes\na.csv,AFIB=sure\n", "line 2: codes: expected codes separated"),
        ("path,codes\na.csv,=50\n", "line 2: codes: expected codes separated"),
        ("path,codes\na.csv,SR;SR\n", "line 2: codes: expected each code once"),
        ("path,split\na.csv,train\n", "line 1: expected the column split with"),
        ("path,name\na.csv,Smith\n", "line 1: expected .*found 'name'"),
    ],
)
def test_a_mistake_names_file_line_and_column(tmp_path: Path, table: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as caught:
        load(tmp_path, table)
    assert "labels.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "data", "expected"),
    [
        ("path\na\n", {"split_by": "listed"}, "line 1: expected the column split with"),
        ("path,split\na,dev\n", {"split_by": "listed"}, "line 2: split: expected one of train"),
        (
            "path,patient_id,split\na,p,train\nb,p,test\n",
            {"split_by": "listed"},
            "record b: split: expected every ECG of a patient",
        ),
        ("path,SR\na,maybe\n", {"label_columns": ("SR",)}, "line 2: SR: expected true, false"),
        ("path,SR,codes\na,1,SR\n", {"label_columns": ("SR",)}, "codes: expected no code that has"),
        ("path,age\na,1\n", {"label_columns": ("age",)}, r"data\.label_columns: expected columns"),
        ("path\na\n", {"ignored_columns": ("path",)}, r"data\.ignored_columns: expected columns"),
        ("path\na\n", {"labels": "../labels.csv"}, r"data\.labels: expected the table's path"),
        ("path\na\n", {"labels": "none.csv"}, "none.csv: expected a CSV file, found none"),
    ],
)
def test_a_setting_that_does_not_fit_the_table_is_an_error(
    tmp_path: Path, table: str, data: dict[str, Any], expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        load(tmp_path, table, **data)


def test_no_cell_is_repeated_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, f'path,age,report\na.csv,"{SECRET}","{SECRET}"\n')
    assert "Smith" not in str(caught.value)


def test_the_split_column_can_be_left_out(tmp_path: Path) -> None:
    (record,) = load(tmp_path, "path,split\na,train\n", ignored_columns=("split",))
    assert record.path == "a"
