"""Small sets of every source, written in the layouts that their publishers describe."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelead.config import DataConfig
from truelead.signal import write_record
from truelead.types import LEADS, Ecg

PATIENTS = 12
SAMPLES = 400


def millivolts(seed: int, samples: int = SAMPLES) -> np.ndarray:
    """float32 (12, samples) on the 1 microvolt grid, no sample 0 in all leads."""
    microvolts = np.random.default_rng(seed).integers(1, 2000, size=(len(LEADS), samples))
    return (microvolts / np.float32(1000)).astype(np.float32)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table whose columns are the keys of its first row."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_ptbxl(root: Path) -> DataConfig:
    notes = ("static_noise", "baseline_drift", "burst_noise", "electrodes_problems", "extra_beats")
    rows = []
    for number in range(1, PATIENTS + 1):
        name = f"{number:05d}_lr"
        write_record(root / "records100", Ecg(millivolts(number), 100.0), name=name)
        rows.append(
            {
                "ecg_id": number,
                "patient_id": f"{number}.0",
                "age": 56,
                "sex": 1,
                "recording_date": "1984-11-09 09:17:34",
                "report": "sinus rhythm",
                "scp_codes": "{'NORM': 100.0}",
                "heart_axis": "MID",
                "infarction_stadium1": "",
                "infarction_stadium2": "",
                **dict.fromkeys(notes, ""),
                "pacemaker": "",
                "strat_fold": (number - 1) % 10 + 1,
                "filename_lr": f"records100/{name}",
                "filename_hr": f"records500/{name}",
            }
        )
    write_csv(root / "ptbxl_database.csv", rows)
    (root / "scp_statements.csv").write_text(
        ",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n"
        "NORM,normal ECG,1.0,,,NORM,NORM\n",
        encoding="utf-8",
    )
    return DataConfig()


def write_mimic(root: Path) -> DataConfig:
    listed, measured = [], []
    for number in range(2 * PATIENTS):
        subject, study = f"1000{number // 2:04d}", f"4{number:07d}"
        folder = f"files/p{subject[:4]}/p{subject}/s{study}"
        write_record(root / folder, Ecg(millivolts(number), 500.0), name=study)
        listed.append(
            {
                "subject_id": subject,
                "study_id": study,
                "file_name": study,
                "ecg_time": f"2180-07-{number + 1:02d} 08:44:00",
                "path": f"{folder}/{study}",
            }
        )
        statements = ["Sinus rhythm", "Left axis deviation", "- ABNORMAL ECG -"]
        texts = statements + [""] * (18 - len(statements))
        measured.append(
            {
                "subject_id": subject,
                "study_id": study,
                "cart_id": 6848296,
                "ecg_time": f"2180-07-{number + 1:02d} 08:44:00",
                **{f"report_{i}": text for i, text in enumerate(texts)},
                "bandwidth": "0.005-150 Hz",
                "filtering": "60 Hz notch Baseline filter",
                "rr_interval": 659,
                "qrs_axis": -40,
            }
        )
    write_csv(root / "record_list.csv", listed)
    write_csv(root / "machine_measurements.csv", measured[::-1])  # the order need not agree
    return DataConfig(split_by="hash")


def code15_row(number: int, **changes: Any) -> dict[str, Any]:
    """A row of exams.csv: exam 100 + number, of patient number // 2."""
    return {
        "exam_id": 100 + number,
        "age": 60,
        "is_male": number % 2 == 0,
        "nn_predicted_age": 57.1,
        "1dAVb": False,
        "RBBB": number % 3 == 0,
        "LBBB": False,
        "SB": False,
        "ST": False,
        "AF": number % 3 == 1,
        "patient_id": number // 2,
        "death": "",
        "timey": "",
        "normal_ecg": number % 3 == 2,
        "trace_file": f"exams_part{number % 2}.hdf5",
        **changes,
    }


def write_code15_file(path: Path, exams: Mapping[int, np.ndarray]) -> None:
    """An HDF5 file of exams, each (12, samples) in the middle of zeros."""
    h5py = pytest.importorskip("h5py")
    tracings = np.zeros((len(exams), 4096, 12), dtype=np.float32)
    for row, signal_LT in enumerate(exams.values()):
        start = (4096 - signal_LT.shape[1]) // 2
        tracings[row, start : start + signal_LT.shape[1]] = signal_LT.T
    with h5py.File(path, "w") as file:
        file.create_dataset("exam_id", data=np.array(list(exams), dtype=np.int64))
        file.create_dataset("tracings", data=tracings)


def write_code15(root: Path) -> DataConfig:
    numbers = range(2 * PATIENTS)
    write_csv(root / "exams.csv", [code15_row(number) for number in numbers])
    for part in range(2):
        write_code15_file(
            root / f"exams_part{part}.hdf5",
            {100 + n: millivolts(n, 2934) for n in numbers if n % 2 == part},
        )
    return DataConfig(split_by="hash", sampling_rate=400)


def write_cinc_record(folder: Path, name: str, *comments: str) -> None:
    """A record whose header ends with these comment lines."""
    write_record(folder, Ecg(millivolts(len(name)), 500.0), name=name)
    with (folder / f"{name}.hea").open("a", encoding="utf-8") as stream:
        stream.writelines(f"{comment}\n" for comment in comments)


def write_cinc(root: Path) -> DataConfig:
    for number in range(PATIENTS):
        write_cinc_record(
            root / "training" / ("georgia", "ptb")[number % 2] / "g1",
            f"E{number:05d}",
            "# Age: 78",
            "# Sex: Male",
            "# Dx: 67741000119109,426177001,55930002,39732003,99999999",
            "# Rx: Unknown",
        )
    return DataConfig(split_by="hash", sampling_rate=500)


LUDB_ROW = {
    "ID": "1",
    "Sex": "F\n",
    "Age": "51\n",
    "Rhythms": "Sinus bradycardia",
    "Electric axis of the heart": "Electric axis of the heart: left axis deviation",
    "Conduction abnormalities": "",
    "Extrasystolies": "Atrial extrasystole, type: single pac\nAtrial extrasystole: left atrial",
    "Hypertrophies": "Left ventricular hypertrophy\nLeft ventricular overload",
    "Cardiac pacing": "",
    "Ischemia": "Ischemia: inferior wall\nStemi: lateral wall",
    "Non-specific repolarization abnormalities": "",
    "Other states": "",
}


def write_ludb(root: Path) -> DataConfig:
    for number in range(1, PATIENTS + 1):
        write_record(root / "data", Ecg(millivolts(number), 500.0), name=str(number))
    write_csv(root / "ludb.csv", [{**LUDB_ROW, "ID": n} for n in range(1, PATIENTS + 1)])
    return DataConfig(split_by="hash", sampling_rate=500)


def write_folder(root: Path) -> DataConfig:
    rows = []
    for number in range(PATIENTS):
        write_record(root / "ecgs", Ecg(millivolts(number), 250.0), name=f"e{number}")
        rows.append(
            {
                "path": f"ecgs/e{number}",
                "patient_id": f"p{number // 2}",
                "age": 50 + number,
                "sex": "female",
                "report": "atrial fibrillation",
                "codes": "AFIB; LVH=80",
            }
        )
    write_csv(root / "labels.csv", rows)
    return DataConfig(split_by="hash", sampling_rate=250)


WRITERS: dict[str, Callable[[Path], DataConfig]] = {
    "ptbxl": write_ptbxl,
    "mimic_iv_ecg": write_mimic,
    "code15": write_code15,
    "cinc": write_cinc,
    "ludb": write_ludb,
    "folder": write_folder,
}
"""Source -> what writes a set of it and says how it is read."""
