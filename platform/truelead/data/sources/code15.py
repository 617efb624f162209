"""CODE-15%: exams.csv, and tracings in exams_part*.hdf5.

Layout: Ribeiro A. H. et al., CODE-15%, Zenodo 4916206, version 1.0.0 (2021): a row an exam, with
the patient's id, age and sex, six abnormalities and whether the ECG is normal. `death` and
`timey` are follow-up, not of the ECG, and are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from truelead.config import DataConfig
from truelead.data.sources.splitting import check_split_by, hashed
from truelead.data.sources.table import Row, rows
from truelead.errors import DataError
from truelead.types import Record

EXAMS = "exams.csv"

SCP_CODES: Mapping[str, str] = MappingProxyType(
    {
        "1dAVb": "1AVB",
        "RBBB": "CRBBB",
        "LBBB": "CLBBB",
        "SB": "SBRAD",
        "ST": "STACH",
        "AF": "AFIB",
        "normal_ecg": "NORM",
    }
)
"""Column -> SCP-ECG statement of PTB-XL.

The names are those of Ribeiro A. H. et al., Nat Commun 11:1760 (2020). The set says "right" and
"left bundle branch block" without a degree and has no word for incomplete ones; they are read as
the complete blocks.
"""

_COLUMNS = ("exam_id", "age", "is_male", "patient_id", "trace_file", *SCP_CODES)
_OLDEST = 130


def load_records(root: Path, data: DataConfig) -> list[Record]:
    """The exams in the order of exams.csv; their patients are split by hash.

    `path` is the HDF5 file that holds the exam, `record_id` the exam_id under which it stands
    there. A label that is true has likelihood 100. Other statements are not absent but
    unlabelled: only the seven of `SCP_CODES` can be asked about.

    Raises:
        DataError: the file or a column is missing, a row is wrong, an exam is doubled, or
            `split_by` is not hash.
    """
    check_split_by(data, "code15", ("hash",))
    path = Path(root) / EXAMS
    records: list[Record] = []
    seen: set[str] = set()
    for row in rows(path, _COLUMNS):
        record = _record(row)
        if record.record_id in seen:
            raise row.wrong("exam_id", "each exam_id once")
        seen.add(record.record_id)
        records.append(record)
    if not records:
        raise DataError(f"{path}: expected exams, found none")
    return hashed(records, data)


def _record(row: Row) -> Record:
    is_male = row.flag("is_male")
    codes: dict[str, float] = {}
    for column, code in SCP_CODES.items():
        present = row.flag(column)
        if present is None and column != "normal_ecg":
            raise row.wrong(column, "true or false")
        if present:
            codes[code] = 100.0
    return Record(
        record_id=row.identifier("exam_id"),
        patient_id=row.identifier("patient_id"),
        source="code15",
        path=row.inner_path("trace_file"),
        scp_codes=codes,
        age=row.number("age", 0, _OLDEST),
        sex=None if is_male is None else int(not is_male),
    )
