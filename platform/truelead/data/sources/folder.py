"""Any folder of ECGs with a table of labels: for sets that have no source of their own.

The table (`data.labels`, a CSV file with a header in UTF-8) has a row an ECG and these columns:

- `path`: of the file below the folder, with its extension; a WFDB record without one. Required.
- `record`: the ECG's name, once in the table; the path without extension where there is no column.
- `patient_id`: the patient's pseudonym; where there is no column, or nothing in it, the ECG stands
  for a patient of its own.
- `split`: train, development, valid or test, for `data.split_by: listed`.
- `age` (years 0..130, or 300 for above 89), `sex` (0 or male, 1 or female), `report`,
  `recorded_at` (ISO).
- `codes`: labels in one cell, separated by ";", each a code or "code=likelihood" in percent.
- the columns named in `data.label_columns`: 1 or true, 0 or false, or nothing, which says false.

Codes are SCP-ECG statements as PTB-XL writes them if questions are to be asked about them. Any
other column is an error unless `data.ignored_columns` names it. What the files do not say
themselves (rate, unit, leads) is stated in `data.stated`, their format in `data.format`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from truelead.config import DataConfig
from truelead.data.sources.splitting import (
    check_split_by,
    hashed,
    refuse_crossing_patients,
    with_development,
)
from truelead.data.sources.table import Row, header_of, rows
from truelead.errors import DataError
from truelead.types import Record

COLUMNS: tuple[str, ...] = (
    "path",
    "record",
    "patient_id",
    "split",
    "age",
    "sex",
    "report",
    "recorded_at",
    "codes",
)
SPLITS: tuple[str, ...] = ("train", "development", "valid", "test")

_SEXES = {"": None, "0": 0, "male": 0, "m": 0, "1": 1, "female": 1, "f": 1}
_OLDEST, _ABOVE_89 = 130, 300


def load_records(root: Path, data: DataConfig) -> list[Record]:
    """The ECGs of the table in its order.

    `split_by: hash` splits the patients by hash, `listed` takes the column `split`; a development
    split that is listed stays as it is, and else a share of the train patients becomes one.

    Raises:
        DataError: the table or a column is missing, a column is unknown, a row is wrong, an ECG is
            doubled, a patient stands in two splits, or `split_by` is another.
    """
    check_split_by(data, "folder", ("hash", "listed"))
    path = _table_path(Path(root), data)
    header = header_of(path)
    _check_columns(path, header, data)
    records: list[Record] = []
    line_of: dict[str, int] = {}
    for row in rows(path, ("path",)):
        for column in data.ignored_columns:
            del row.cells[column]
        record = _record(row, data.label_columns)
        earlier = line_of.setdefault(record.record_id, row.line)
        if earlier != row.line:
            column = "record" if "record" in row.cells else "path"
            raise row.wrong(column, f"each ECG once, as it stands in line {earlier} too")
        records.append(record)
    if not records:
        raise DataError(f"{path}: expected ECGs, found none")
    if data.split_by == "hash":
        return hashed(records, data)
    refuse_crossing_patients(path, records, "record")
    if any(record.split == "development" for record in records):
        return records[: data.limit]
    return [with_development(record, data.development_fraction) for record in records[: data.limit]]


def _table_path(root: Path, data: DataConfig) -> Path:
    relative = PurePosixPath(data.labels)
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError("data.labels: expected the table's path below data.root")
    return root / data.labels


def _check_columns(path: Path, header: Sequence[str], data: DataConfig) -> None:
    where = f"{path}: line 1"
    for key, named in (
        ("label_columns", data.label_columns),
        ("ignored_columns", data.ignored_columns),
    ):
        for name in named:
            if name not in header:
                raise DataError(f"{where}: expected the column {name!r} of data.{key}")
    if "path" in data.ignored_columns:
        raise DataError("data.ignored_columns: expected columns other than path")
    for name in data.label_columns:
        if name in COLUMNS or name in data.ignored_columns:
            raise DataError(f"data.label_columns: expected columns that are labels, found {name!r}")
    known = {*COLUMNS, *data.label_columns, *data.ignored_columns}
    for name in header:
        if name not in known:
            raise DataError(
                f"{where}: expected {', '.join(COLUMNS)}, or columns named in data.label_columns "
                f"or data.ignored_columns, found {name!r}"
            )
    read = set(header) - set(data.ignored_columns)
    if ("split" in read) != (data.split_by == "listed"):
        raise DataError(
            f"{where}: expected the column split with data.split_by: listed, and only with it "
            "(data.ignored_columns leaves it out)"
        )


def _record(row: Row, label_columns: Sequence[str]) -> Record:
    path = row.inner_path("path")
    record_id = row.text("record") if "record" in row.cells else _without_extension(path)
    if not record_id:
        raise row.wrong("record", "a name")
    record = Record(
        record_id=record_id,
        patient_id=_cell(row, "patient_id") or record_id,
        source="folder",
        path=path,
        scp_codes=_codes(row, label_columns),
        report=_cell(row, "report"),
        age=_age(row),
        sex=_sex(row),
        recorded_at=row.iso_date("recorded_at") if "recorded_at" in row.cells else "",
    )
    return replace(record, split=_split(row)) if "split" in row.cells else record


def _cell(row: Row, column: str) -> str:
    return row.text(column) if column in row.cells else ""


def _without_extension(path: str) -> str:
    return PurePosixPath(path).with_suffix("").as_posix()


def _split(row: Row) -> str:
    split = row.text("split")
    if split not in SPLITS:
        raise row.wrong("split", f"one of {', '.join(SPLITS)}")
    return split


def _age(row: Row) -> float | None:
    if "age" not in row.cells:
        return None
    age = row.number("age", 0, _ABOVE_89)
    if age is not None and _OLDEST < age < _ABOVE_89:
        raise row.wrong("age", f"years 0..{_OLDEST}, {_ABOVE_89} for above 89, or nothing")
    return age


def _sex(row: Row) -> int | None:
    text = _cell(row, "sex").lower()
    if text not in _SEXES:
        raise row.wrong("sex", "0 or male, 1 or female, or nothing")
    return _SEXES[text]


def _codes(row: Row, label_columns: Sequence[str]) -> dict[str, float]:
    codes: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in _cell(row, "codes").split(";"))):
        code, separator, text = (piece.strip() for piece in part.partition("="))
        try:
            likelihood = float(text) if separator else 100.0
        except ValueError:
            likelihood = -1.0
        if not code or not 0 <= likelihood <= 100:
            raise row.wrong("codes", 'codes separated by ";", each a code or code=0..100')
        if code in codes:
            raise row.wrong("codes", "each code once")
        codes[code] = likelihood
    for column in label_columns:
        if column in codes:
            raise row.wrong("codes", f"no code that has a column, as {column} has")
        if row.flag(column):
            codes[column] = 100.0
    return codes
