"""MIMIC-IV-ECG's record list and the machine's reports.

Layout: Gow B. et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset, version 1.0,
PhysioNet 2023: record_list.csv (subject_id, study_id, file_name, ecg_time, path) with paths such
as files/p1000/p10000032/s40689238/40689238, 500 Hz; machine_measurements.csv with a row a study,
whose report_0 .. report_17 are the machine's statements. The set holds no SCP-ECG statements, and
age and sex stand in MIMIC-IV itself, which is not read. The reports' global statement gives
severity (`truelead.debias.severity`, name mimic); questions come from ECG-QA
(`ecg_qa_mimic`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from truelead.config import DataConfig
from truelead.data.sources import ecg_qa_mimic
from truelead.data.sources.splitting import (
    check_split_by,
    hashed,
    refuse_crossing_patients,
    with_split,
)
from truelead.data.sources.table import Row, rows
from truelead.errors import DataError
from truelead.types import Record

RECORDS = "record_list.csv"
MEASUREMENTS = "machine_measurements.csv"
REPORT_COLUMNS: tuple[str, ...] = tuple(f"report_{number}" for number in range(18))

_COLUMNS = ("subject_id", "study_id", "ecg_time", "path")


def load_records(root: Path, data: DataConfig) -> list[Record]:
    """The records of record_list.csv in its order.

    `record_id` is the study_id, `patient_id` the subject_id, `report` the machine's statements,
    one a line. `split_by: hash` splits the patients by hash; `ecg_qa` takes the lists of ECG-QA's
    MIMIC-IV-ECG part and leaves out records that stand in none.

    Raises:
        DataError: a file or column is missing, a row is wrong, a study is doubled or has a report
            of another patient, no record is in a split, a patient stands in two, or `split_by` is
            another.
    """
    check_split_by(data, "mimic_iv_ecg", ("hash", "ecg_qa"))
    root = Path(root)
    path = root / RECORDS
    records: dict[str, Record] = {}
    for row in rows(path, _COLUMNS):
        record = _record(row)
        if record.record_id in records:
            raise row.wrong("study_id", "each study_id once")
        records[record.record_id] = record
    if not records:
        raise DataError(f"{path}: expected records, found none")
    reports = _reports(root / MEASUREMENTS, records)
    reported = [
        replace(record, report=reports.get(record.record_id, "")) for record in records.values()
    ]
    if data.split_by == "hash":
        return hashed(reported, data)
    if data.ecg_qa is None:
        raise DataError("data.ecg_qa: expected ECG-QA's folder, which split_by: ecg_qa needs")
    listed = with_split(reported, ecg_qa_mimic.load_split(data.ecg_qa), data)
    if not listed:
        raise DataError(f"{path}: expected records in the ecg_qa split, found none")
    refuse_crossing_patients(path, listed, "study_id")
    return listed


def _record(row: Row) -> Record:
    return Record(
        record_id=row.identifier("study_id"),
        patient_id=row.identifier("subject_id"),
        source="mimic_iv_ecg",
        path=row.inner_path("path"),
        recorded_at=row.iso_date("ecg_time"),
    )


def _reports(path: Path, records: dict[str, Record]) -> dict[str, str]:
    """study_id -> the machine's statements, one a line, for the studies that are listed."""
    reports: dict[str, str] = {}
    for row in rows(path, ("subject_id", "study_id", *REPORT_COLUMNS)):
        study = row.identifier("study_id")
        record = records.get(study)
        if record is None:
            continue
        if study in reports:
            raise row.wrong("study_id", "each study_id once")
        if row.identifier("subject_id") != record.patient_id:
            raise row.wrong("subject_id", f"the patient of the study in {RECORDS}")
        statements = (" ".join(row.text(column).split()) for column in REPORT_COLUMNS)
        reports[study] = "\n".join(statement for statement in statements if statement)
    return reports
