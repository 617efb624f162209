"""PTB-XL's metadata: ptbxl_database.csv and scp_statements.csv.

Source of the layout: Wagner P. et al., PTB-XL, Sci Data 7:154 (2020), version 1.0.3. A row that is
not what that layout says is an error naming file, line and column; its values are patient data and
are never part of a message.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from pathlib import Path

from truelead.config import DataConfig
from truelead.data.sources.ecg_qa import load_split
from truelead.data.sources.splitting import (
    check_split_by,
    refuse_crossing_patients,
    with_development,
)
from truelead.data.sources.table import Row, rows
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
_FILENAME_COLUMNS = {100: "filename_lr", 250: "filename_hr", 400: "filename_hr", 500: "filename_hr"}
"""Stored rate -> the files to read; a rate between is resampled from 500 Hz."""

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
    for row in rows(path, _STATEMENT_COLUMNS):
        code = row.cells.get("", "").strip()
        if not code:
            raise row.wrong("(first)", "an SCP statement code in an unnamed first column")
        if code in statements:
            raise row.wrong("(first)", "each code once")
        statements[code] = StatementRow(
            code=code,
            description=row.text("description"),
            diagnostic=row.number("diagnostic", 0, 1) == 1,
            form=row.number("form", 0, 1) == 1,
            rhythm=row.number("rhythm", 0, 1) == 1,
            diagnostic_class=row.text("diagnostic_class"),
            diagnostic_subclass=row.text("diagnostic_subclass"),
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
    check_split_by(data, "ptbxl", ("strat_fold", "ecg_qa"))
    statements = load_scp_statements(root)
    if data.split_by == "ecg_qa":
        if data.ecg_qa is None:
            raise DataError("data.ecg_qa: expected ECG-QA's folder, which split_by: ecg_qa needs")
        ecg_qa_split = load_split(data.ecg_qa)
    path = root / DATABASE
    records: list[Record] = []
    seen: set[str] = set()
    for row in rows(path, _COLUMNS):
        record = _record(row, set(statements), data.sampling_rate)
        if record.record_id in seen:
            raise row.wrong("ecg_id", "each ecg_id once")
        seen.add(record.record_id)
        if data.split_by == "ecg_qa":
            split = ecg_qa_split.get(record.record_id, "")
        else:
            split = {9: "valid", 10: "test"}.get(record.strat_fold, "train")
        if split:
            records.append(replace(record, split=split))
    if not records:
        raise DataError(f"{path}: expected records in the {data.split_by} split, found none")
    refuse_crossing_patients(path, records, "ecg_id")
    return [with_development(r, data.development_fraction) for r in records[: data.limit]]


def _record(row: Row, known: set[str], rate: int) -> Record:
    sex = row.number("sex", 0, 1)
    fold = row.number("strat_fold", 1, 10)
    if fold is None or fold != int(fold):
        raise row.wrong("strat_fold", "a whole number 1..10")
    return Record(
        record_id=row.identifier("ecg_id"),
        patient_id=row.identifier("patient_id"),
        source="ptbxl",
        path=row.inner_path(_FILENAME_COLUMNS[rate]),
        scp_codes=_scp_codes(row, known),
        report=row.text("report"),
        # PTB-XL writes 300 for patients above 89, so that no one can be named by age.
        age=row.number("age", 0, 300),
        sex=None if sex is None else int(sex),
        heart_axis=row.text("heart_axis"),
        infarction_stadium=(row.text("infarction_stadium1"), row.text("infarction_stadium2")),
        baseline_drift=row.text("baseline_drift"),
        static_noise=row.text("static_noise"),
        burst_noise=row.text("burst_noise"),
        electrodes_problems=row.text("electrodes_problems"),
        extra_beats=row.text("extra_beats"),
        pacemaker=row.text("pacemaker"),
        strat_fold=int(fold),
        recorded_at=row.iso_date("recording_date"),
    )


def _scp_codes(row: Row, known: set[str]) -> dict[str, float]:
    """The written Python dict of statement -> likelihood, parsed as a literal, never evaluated."""
    text = row.cells["scp_codes"]
    codes: object = None
    if len(text) <= _MAXIMUM_SCP_CHARACTERS:
        try:
            codes = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            codes = None
    if not isinstance(codes, dict):
        raise row.wrong("scp_codes", "a dict of statement to likelihood")
    for code, likelihood in codes.items():
        if code not in known:
            raise row.wrong("scp_codes", f"statements of {STATEMENTS}")
        number = isinstance(likelihood, int | float) and not isinstance(likelihood, bool)
        if not (number and 0 <= likelihood <= 100):
            raise row.wrong("scp_codes", "likelihoods 0..100")
    return {str(code): float(likelihood) for code, likelihood in codes.items()}
