"""LUDB: 200 records with rhythms and diagnoses in words, and every wave marked in every lead.

Layout: Kalyakulina A. et al., LUDB, IEEE Access 8 (2020), version 1.0.1: ludb.csv, and the records
with their annotation files in data/. `load_delineation` reads the marks. The set names no patients
beside its records: each record stands for a patient of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from truelead.config import DataConfig
from truelead.data.sources.ludb_delineation import RECORDS_FOLDER, Wave, load_delineation
from truelead.data.sources.splitting import check_split_by, hashed
from truelead.data.sources.table import Row, rows
from truelead.errors import DataError
from truelead.types import Record

__all__ = ["SCP_CODES", "Wave", "load_delineation", "load_records"]

TABLE = "ludb.csv"
PREFIX = "LUDB:"
"""Before a diagnosis in `Record.other_codes`."""

SCP_CODES: Mapping[str, str] = MappingProxyType(
    {
        "sinus rhythm": "SR",
        "sinus tachycardia": "STACH",
        "sinus bradycardia": "SBRAD",
        "sinus arrhythmia": "SARRH",
        "atrial fibrillation": "AFIB",
        "atrial flutter, typical": "AFLT",
        "i degree av block": "1AVB",
        "iii degree av-block": "3AVB",
        "incomplete right bundle branch block": "IRBBB",
        "complete right bundle branch block": "CRBBB",
        "incomplete left bundle branch block": "ILBBB",
        "complete left bundle branch block": "CLBBB",
        "left anterior hemiblock": "LAFB",
        "non-specific intravintricular conduction delay": "IVCD",  # as the set spells it
        "left atrial overload": "LAO/LAE",
        "right atrial overload": "RAO/RAE",
        "left ventricular hypertrophy": "LVH",
        "right ventricular hypertrophy": "RVH",
        "ischemia: anterior wall": "ISCAN",
        "ischemia: inferior wall": "ISCIN",
        "ischemia: lateral wall": "ISCLA",
    }
)
"""Diagnosis in lower case -> the SCP-ECG statement of PTB-XL that says the same.

Without one, because it would be a guess: infarctions and scars, which LUDB states wall by wall and
PTB-XL by combinations of walls; ischemia of other walls and what may be ischemia, scar or
infarction; atrial hypertrophy and ventricular overload; repolarization abnormalities; pacemakers,
of which LUDB does not say that they function normally.
"""

_EXTRASYSTOLES = {"atrial extrasystole": "PAC", "ventricular extrasystole": "PVC"}
"""How a diagnosis begins, whatever kind or place follows."""

_AXIS = "electric axis of the heart: "
_HEART_AXES = {"normal": "MID", "left axis deviation": "LAD", "right axis deviation": "RAD"}
"""LUDB's axis -> PTB-XL's word for it in `Record.heart_axis`."""

_DIAGNOSES = (
    "Rhythms",
    "Electric axis of the heart",
    "Conduction abnormalities",
    "Extrasystolies",
    "Hypertrophies",
    "Cardiac pacing",
    "Ischemia",
    "Non-specific repolarization abnormalities",
    "Other states",
)
_SEXES = {"M": 0, "F": 1}
_ABOVE_89 = ">89"


def load_records(root: Path, data: DataConfig) -> list[Record]:
    """The records of ludb.csv in its order, split by a hash of their id.

    Every diagnosis is a line of `report`; those that stand for no SCP-ECG statement and for no
    `heart_axis` are also kept in `other_codes` under "LUDB:<diagnosis>". Statements have
    likelihood 100, as the set knows no other.

    Raises:
        DataError: the file or a column is missing, a row is wrong, a record is doubled, or
            `split_by` is not hash.
    """
    check_split_by(data, "ludb", ("hash",))
    path = Path(root) / TABLE
    records: list[Record] = []
    seen: set[str] = set()
    for row in rows(path, ("ID", "Sex", "Age", *_DIAGNOSES)):
        record = _record(row)
        if record.record_id in seen:
            raise row.wrong("ID", "each ID once")
        seen.add(record.record_id)
        records.append(record)
    if not records:
        raise DataError(f"{path}: expected records, found none")
    return hashed(records, data)


def _record(row: Row) -> Record:
    number = row.identifier("ID")
    sex = row.text("Sex")
    if sex not in ("", *_SEXES):
        raise row.wrong("Sex", "M, F or nothing")
    # PTB-XL writes 300 for patients above 89, and so does every record here.
    age = 300.0 if row.text("Age") == _ABOVE_89 else row.number("Age", 0, 89)
    diagnoses = [
        line.strip()
        for column in _DIAGNOSES
        for line in row.text(column).splitlines()
        if line.strip()
    ]
    codes = {code: 100.0 for diagnosis in diagnoses if (code := scp_code(diagnosis))}
    axes = [axis for diagnosis in diagnoses if (axis := _heart_axis(diagnosis))]
    return Record(
        record_id=number,
        patient_id=number,
        source="ludb",
        path=f"{RECORDS_FOLDER}/{number}",
        scp_codes=codes,
        other_codes={
            PREFIX + diagnosis: diagnosis
            for diagnosis in diagnoses
            if not scp_code(diagnosis) and not _heart_axis(diagnosis)
        },
        report="\n".join(diagnoses),
        age=age,
        sex=_SEXES.get(sex),
        heart_axis=axes[0] if len(axes) == 1 else "",
    )


def scp_code(diagnosis: str) -> str:
    """The SCP-ECG statement that a diagnosis says, empty for none."""
    words = diagnosis.lower()
    return SCP_CODES.get(words) or _EXTRASYSTOLES.get(re.split("[:,]", words)[0].strip(), "")


def _heart_axis(diagnosis: str) -> str:
    words = diagnosis.lower()
    return _HEART_AXES.get(words.removeprefix(_AXIS), "") if words.startswith(_AXIS) else ""
