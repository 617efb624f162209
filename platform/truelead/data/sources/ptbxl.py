"""PTB-XL's metadata: ptbxl_database.csv and scp_statements.csv.

Source of the layout: Wagner P. et al., PTB-XL, Sci Data 7:154 (2020), version 1.0.3. A row that is
not what that layout says is an error naming file, line and column; its values are patient data and
are never part of a message.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from truelead.config import DataConfig
from truelead.data.sources.ecg_qa import load_split
from truelead.errors import DataError
from truelead.types import Record

DATABASE = "ptbxl_database.csv"
STATEMENTS = "scp_statements.csv"

_COLUMNS = (
    "ecg_id",
    "patient_id",
    "age",
    "sex",
    "recording_date",
    "report",
    "scp_codes",
    "heart_axis",
    "infarction_stadium1",
    "infarction_stadium2",
    "baseline_drift",
    "static_noise",
    "burst_noise",
    "electrodes_problems",
    "extra_beats",
    "pacemaker",
    "strat_fold",
    "filename_lr",
    "filename_hr",
)
_STATEMENT_COLUMNS = (
    "description",
    "diagnostic",
    "form",
    "rhythm",
    "diagnostic_class",
    "diagnostic_subclass",
)
_FILENAME_COLUMNS = {100: "filename_lr", 500: "filename_hr"}
_MAXIMUM_SCP_CHARACTERS = 10_000


@dataclass(frozen=True)
class StatementRow:
    """One row of scp_statements.csv.

    Attributes:
        code: the SCP-ECG statement, e.g. CLBBB.
        diagnostic, form, rhythm: the kinds of statement it is; some are two.
        diagnostic_class: NORM, CD, HYP, MI or STTC, empty where not diagnostic.
    """

    code: str
    description: str
    diagnostic: bool
    form: bool
    rhythm: bool
    diagnostic_class: str
    diagnostic_subclass: str


def load_scp_statements(root: Path) -> dict[str, StatementRow]:
    """The set's SCP statements by code, in file order.

    Raises:
        DataError: the file or a column is missing, a code is empty or doubled.
    """
    path = Path(root) / STATEMENTS
    statements: dict[str, StatementRow] = {}
    for line, row in _rows(path, _STATEMENT_COLUMNS):
        code = row.get("", "").strip()
        if not code:
            raise _wrong(path, line, "(first)", "an SCP statement code in an unnamed first column")
        if code in statements:
            raise _wrong(path, line, "(first)", "each code once")
        statements[code] = StatementRow(
            code=code,
            description=row["description"].strip(),
            diagnostic=_flag(path, line, row, "diagnostic"),
            form=_flag(path, line, row, "form"),
            rhythm=_flag(path, line, row, "rhythm"),
            diagnostic_class=row["diagnostic_class"].strip(),
            diagnostic_subclass=row["diagnostic_subclass"].strip(),
        )
    return statements


def load_records(root: Path, data: DataConfig) -> list[Record]:
    """The records of a PTB-XL folder that the configured split uses, in file order.

    `split_by: strat_fold` puts folds 1..8 into train, 9 into valid and 10 into test (the paper's
    recommendation); `ecg_qa` follows ECG-QA's own lists and leaves out records that stand in none.
    A `development_fraction` of the train patients, chosen by a hash of their id, becomes
    `development`. No patient may stand in two of train, valid and test.

    Raises:
        DataError: a file or column is missing, a row is wrong, an id is doubled, or a patient
            stands in two splits.
    """
    root = Path(root)
    statements = load_scp_statements(root)
    if data.split_by == "ecg_qa":
        if data.ecg_qa is None:
            raise DataError("data.ecg_qa: expected ECG-QA's folder, which split_by: ecg_qa needs")
        ecg_qa_split = load_split(data.ecg_qa)
    path = root / DATABASE
    records: list[Record] = []
    seen: set[str] = set()
    for line, row in _rows(path, _COLUMNS):
        record = _record(path, line, row, set(statements), data.sampling_rate)
        if record.record_id in seen:
            raise _wrong(path, line, "ecg_id", "each ecg_id once")
        seen.add(record.record_id)
        if data.split_by == "ecg_qa":
            split = ecg_qa_split.get(record.record_id, "")
        else:
            split = {9: "valid", 10: "test"}.get(record.strat_fold, "train")
        if split:
            records.append(replace(record, split=split))
    if not records:
        raise DataError(f"{path}: expected records in the {data.split_by} split, found none")
    _check_patients_stand_in_one_split(path, records)
    return [_with_development(r, data.development_fraction) for r in records[: data.limit]]


def _record(path: Path, line: int, row: dict[str, str], known: set[str], rate: int) -> Record:
    axis = row["heart_axis"].strip()
    sex = _number(path, line, row, "sex", 0, 1)
    fold = _number(path, line, row, "strat_fold", 1, 10)
    if fold is None or fold != int(fold):
        raise _wrong(path, line, "strat_fold", "a whole number 1..10")
    return Record(
        record_id=_identifier(path, line, row, "ecg_id"),
        patient_id=_identifier(path, line, row, "patient_id"),
        source="ptbxl",
        path=_record_path(path, line, row, _FILENAME_COLUMNS[rate]),
        scp_codes=_scp_codes(path, line, row, known),
        report=row["report"].strip(),
        # PTB-XL writes 300 for patients above 89, so that no one can be named by age.
        age=_number(path, line, row, "age", 0, 300),
        sex=None if sex is None else int(sex),
        heart_axis=axis,
        infarction_stadium=(row["infarction_stadium1"].strip(), row["infarction_stadium2"].strip()),
        baseline_drift=row["baseline_drift"].strip(),
        static_noise=row["static_noise"].strip(),
        burst_noise=row["burst_noise"].strip(),
        electrodes_problems=row["electrodes_problems"].strip(),
        extra_beats=row["extra_beats"].strip(),
        pacemaker=row["pacemaker"].strip(),
        strat_fold=int(fold),
        recorded_at=_date(path, line, row, "recording_date"),
    )


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with the line it ends on; the header must hold `columns`, rows its width."""
    if not path.is_file():
        raise DataError(f"{path}: expected a CSV file, found none")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            missing = [name for name in columns if name not in header]
            if missing:
                raise DataError(f"{path}: line 1: expected the columns {', '.join(missing)}")
            if len(set(header)) != len(header):
                raise DataError(f"{path}: line 1: expected each column once")
            for cells in reader:
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}: line {reader.line_num}: expected {len(header)} columns, "
                        f"found {len(cells)}"
                    )
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        kind = "UTF-8 text" if isinstance(error, UnicodeDecodeError) else "well-formed CSV"
        raise DataError(f"{path}: expected {kind}") from error


def _wrong(path: Path, line: int, column: str, expected: str) -> DataError:
    return DataError(f"{path}: line {line}: {column}: expected {expected}")


def _identifier(path: Path, line: int, row: dict[str, str], column: str) -> str:
    """A whole number as text; PTB-XL writes patient_id as a float (13243.0)."""
    text = row[column].strip().removesuffix(".0")
    if not (text.isascii() and text.isdigit()):
        raise _wrong(path, line, column, "a whole number")
    return text


def _number(
    path: Path, line: int, row: dict[str, str], column: str, low: float, high: float
) -> float | None:
    text = row[column].strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise _wrong(path, line, column, f"a number {low}..{high} or nothing")
    return value


def _flag(path: Path, line: int, row: dict[str, str], column: str) -> bool:
    return _number(path, line, row, column, 0, 1) == 1


def _date(path: Path, line: int, row: dict[str, str], column: str) -> str:
    text = row[column].strip()
    if not text:
        return ""
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise _wrong(path, line, column, "an ISO date and time or nothing") from None


def _record_path(path: Path, line: int, row: dict[str, str], column: str) -> str:
    """The signal's path; it must stay inside the set's folder."""
    text = row[column].strip()
    relative = PurePosixPath(text)
    if not text or relative.is_absolute() or ".." in relative.parts or "\\" in text:
        raise _wrong(path, line, column, "a path inside the set's folder")
    return text


def _scp_codes(path: Path, line: int, row: dict[str, str], known: set[str]) -> dict[str, float]:
    """The written Python dict of statement -> likelihood, parsed as a literal, never evaluated."""
    text = row["scp_codes"]
    codes: object = None
    if len(text) <= _MAXIMUM_SCP_CHARACTERS:
        try:
            codes = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            codes = None
    if not isinstance(codes, dict):
        raise _wrong(path, line, "scp_codes", "a dict of statement to likelihood")
    for code, likelihood in codes.items():
        if code not in known:
            raise _wrong(path, line, "scp_codes", f"statements of {STATEMENTS}")
        number = isinstance(likelihood, int | float) and not isinstance(likelihood, bool)
        if not (number and 0 <= likelihood <= 100):
            raise _wrong(path, line, "scp_codes", "likelihoods 0..100")
    return {str(code): float(likelihood) for code, likelihood in codes.items()}


def _check_patients_stand_in_one_split(path: Path, records: list[Record]) -> None:
    split_of: dict[str, str] = {}
    for record in records:
        if split_of.setdefault(record.patient_id, record.split) != record.split:
            raise DataError(
                f"{path}: ecg_id {record.record_id}: split: expected every ECG of a patient in one "
                f"split, found {split_of[record.patient_id]} and {record.split}"
            )


def _with_development(record: Record, fraction: float) -> Record:
    """A patient's hash decides, so adding or leaving out records moves no one else."""
    if record.split != "train":
        return record
    digest = hashlib.sha256(f"development:{record.patient_id}".encode()).digest()
    chosen = int.from_bytes(digest[:8], "big") / 2**64 < fraction
    return replace(record, split="development") if chosen else record
