"""A generated set has PTB-XL's layout, is resumable, and does not depend on how work is spread."""

from __future__ import annotations

import ast
import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelead.config import GenerateConfig
from truelead.data import generated
from truelead.data.generated import write_generated_set
from truelead.errors import DataError
from truelead.signal import read_record
from truelead.signal.generator import generate_patient
from truelead.signal.generator.statements import STATEMENTS

CONFIG = GenerateConfig(patients=6, ecgs_per_patient=1.5, seed=3)


def rows_of(root: Path, name: str = "ptbxl_database.csv") -> list[dict[str, str]]:
    with (root / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digest(root: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        total.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any) -> Path:
    return write_generated_set(tmp_path_factory.mktemp("small"), CONFIG, progress=False)


@pytest.mark.ray
def test_the_stored_ecgs_are_the_generated_ones(small_set: Path) -> None:
    rows = rows_of(small_set)
    expected = [ecg for index in range(6) for ecg in generate_patient(3, index)]
    assert [int(row["ecg_id"]) for row in rows] == list(range(1, len(expected) + 1))
    for row, ecg in zip(rows, expected, strict=True):
        stored = read_record(small_set / row["filename_lr"])
        assert stored.sampling_rate == 100
        np.testing.assert_allclose(stored.signal_LT, ecg.ecg.signal_LT, atol=0.00051)
        assert ast.literal_eval(row["scp_codes"]) == dict(ecg.record.scp_codes)
        assert row["report"] == ecg.record.report
        assert row["recording_date"] == ecg.record.recorded_at
        assert float(row["age"]) == ecg.record.age
        assert int(float(row["patient_id"])) == int(ecg.record.patient_id) + 1
        assert row["static_noise"] == ecg.record.static_noise
        assert row["pacemaker"] == ""


@pytest.mark.ray
def test_patients_stay_within_one_fold(generated_set: Path) -> None:
    folds: dict[str, set[str]] = {}
    for row in rows_of(generated_set):
        folds.setdefault(row["patient_id"], set()).add(row["strat_fold"])
    assert all(len(found) == 1 for found in folds.values())
    counts = [sum(found == {str(fold)} for found in folds.values()) for fold in range(1, 11)]
    assert counts == [6] * 10


@pytest.mark.ray
def test_the_same_configuration_twice_does_nothing(small_set: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_set.rglob("*")}
    assert write_generated_set(small_set, CONFIG) == small_set
    assert {path: path.stat().st_mtime_ns for path in small_set.rglob("*")} == before


@pytest.mark.ray
def test_another_configuration_in_the_same_folder_is_refused(small_set: Path) -> None:
    with pytest.raises(DataError, match="config: expected"):
        write_generated_set(small_set, CONFIG.model_copy(update={"seed": 4}))


def test_a_foreign_set_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "ptbxl_database.csv").write_text("ecg_id\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected an empty folder"):
        write_generated_set(tmp_path, CONFIG)
    assert (tmp_path / "ptbxl_database.csv").read_text(encoding="utf-8") == "ecg_id\n"


@pytest.mark.ray
def test_an_interrupted_set_is_completed_to_the_same_bytes(
    small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_generated_set(tmp_path / "again", CONFIG, progress=False)
    note = json.loads((root / "GENERATED.json").read_text(encoding="utf-8"))
    assert note["complete"] is True
    (root / "GENERATED.json").write_text(json.dumps({**note, "complete": False}), encoding="utf-8")
    (root / "ptbxl_database.csv").unlink()
    next((root / "records100").rglob("*.dat")).write_bytes(b"torn")
    # One patient a task instead of sixteen: other workers, other order, the same bytes.
    monkeypatch.setattr(generated, "_PATIENTS_A_TASK", 1)
    write_generated_set(root, CONFIG, progress=False)
    assert digest(root) == digest(small_set)


@pytest.mark.ray
def test_a_set_at_500_hz(tmp_path: Path, ray_cluster: Any) -> None:
    config = GenerateConfig(patients=1, ecgs_per_patient=1.0, sampling_rate=500)
    root = write_generated_set(tmp_path, config, progress=False)
    (row,) = rows_of(root)
    assert read_record(root / row["filename_hr"]).signal_LT.shape == (12, 5000)
    assert not (root / "records100").exists()


@pytest.mark.ray
def test_the_statements_are_the_71(small_set: Path) -> None:
    rows = rows_of(small_set, "scp_statements.csv")
    assert len(rows) == 71 == len(STATEMENTS)
    assert sum(row["diagnostic"] == "1.0" for row in rows) == 44
    assert sum(row["form"] == "1.0" for row in rows) == 19
    assert sum(row["rhythm"] == "1.0" for row in rows) == 12


@pytest.mark.ray
@pytest.mark.real_data
def test_the_files_have_the_real_set_s_columns_and_statements(
    small_set: Path, real_data: Path
) -> None:
    real = real_data / "ptbxl"
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        headers = []
        for root in (small_set, real):
            with (root / name).open(encoding="utf-8", newline="") as file:
                headers.append(next(csv.reader(file)))
        assert headers[0] == headers[1], name
    columns = ("diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
    tables = []
    for root in (small_set, real):
        tables.append(
            {
                row[""]: tuple(row[column] for column in columns)
                for row in rows_of(root, "scp_statements.csv")
            }
        )
    assert tables[0] == tables[1]
    first = rows_of(real)[0]
    assert first["filename_lr"] == generated.record_paths(int(first["ecg_id"]))[0]
