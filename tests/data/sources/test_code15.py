from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.data.sources.conftest import code15_row, millivolts, write_code15_file, write_csv
from truelead.config import DataConfig
from truelead.data.reading import read_listed
from truelead.data.sources.code15 import load_records
from truelead.errors import DataError, MissingFile, RecordError
from truelead.signal.formats.base import StatedSignal

pytest.importorskip("h5py")

HASH = DataConfig(split_by="hash", development_fraction=0.0, sampling_rate=400)


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("1dAVb", "1AVB"),
        ("RBBB", "CRBBB"),
        ("LBBB", "CLBBB"),
        ("SB", "SBRAD"),
        ("ST", "STACH"),
        ("AF", "AFIB"),
        ("normal_ecg", "NORM"),
    ],
)
def test_a_column_is_a_statement(tmp_path: Path, column: str, code: str) -> None:
    labels = dict.fromkeys(("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF", "normal_ecg"), False)
    write_csv(tmp_path / "exams.csv", [code15_row(1, **{**labels, column: True})])
    (record,) = load_records(tmp_path, HASH)
    assert record.scp_codes == {code: 100.0}
    assert (record.record_id, record.path) == ("101", "exams_part1.hdf5")
    assert (record.age, record.sex) == (60.0, 1)  # 1 is female, as in PTB-XL


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("exam_id", "x"),
        ("exam_id", "100"),
        ("age", "-3"),
        ("is_male", "yes"),
        ("AF", ""),
        ("AF", "2"),
        ("patient_id", ""),
        ("trace_file", ""),
        ("trace_file", "../exams_part0.hdf5"),
    ],
)
def test_a_wrong_cell_names_file_line_and_column(tmp_path: Path, column: str, value: str) -> None:
    write_csv(tmp_path / "exams.csv", [code15_row(0), code15_row(1, **{column: value})])
    with pytest.raises(DataError, match=rf"exams\.csv: line 3: {column}: expected"):
        load_records(tmp_path, HASH)


def test_an_exam_is_read_by_its_id_without_its_padding(tmp_path: Path) -> None:
    short, whole = millivolts(1, 2934), millivolts(2, 4096)
    short[0] = 0.0  # a lead of zeros is no padding
    write_code15_file(tmp_path / "exams_part0.hdf5", {102: short, 100: whole})
    write_csv(tmp_path / "exams.csv", [code15_row(0), code15_row(2)])
    found = [read_listed(tmp_path, record) for record in load_records(tmp_path, HASH)]
    np.testing.assert_array_equal(found[0].ecg.signal_LT, whole)
    np.testing.assert_array_equal(found[1].ecg.signal_LT, short)
    assert {one.ecg.sampling_rate for one in found} == {400.0}
    assert {one.format for one in found} == {"hdf5"}
    assert found[0].source_sha256 == hashlib.sha256(whole.tobytes()).hexdigest()
    assert found[1].source_sha256 == hashlib.sha256(short.tobytes()).hexdigest()


def test_the_unit_can_be_stated_otherwise(tmp_path: Path) -> None:
    write_code15_file(tmp_path / "exams_part0.hdf5", {100: millivolts(1, 4096)})
    write_csv(tmp_path / "exams.csv", [code15_row(0)])
    (record,) = load_records(tmp_path, HASH)
    tenths = read_listed(tmp_path, record, stated=StatedSignal(units="adc", gain=10))
    np.testing.assert_allclose(tenths.ecg.signal_LT, millivolts(1, 4096) / 10, rtol=1e-6)


def test_a_lost_or_damaged_exam_is_a_record_error(tmp_path: Path) -> None:
    write_csv(tmp_path / "exams.csv", [code15_row(0), code15_row(2)])
    write_code15_file(tmp_path / "exams_part0.hdf5", {100: millivolts(1)})
    first, second = load_records(tmp_path, HASH)
    assert read_listed(tmp_path, first).format == "hdf5"
    with pytest.raises(RecordError):
        read_listed(tmp_path, second)
    (tmp_path / "exams_part0.hdf5").write_bytes(b"no HDF5 at all")
    with pytest.raises(RecordError, match=r"exams_part0\.hdf5"):
        read_listed(tmp_path, first)
    (tmp_path / "exams_part0.hdf5").unlink()
    with pytest.raises(MissingFile, match=r"exams_part0\.hdf5"):
        read_listed(tmp_path, first)


@pytest.mark.real_data
def test_real_exams_in_the_published_layout(real_data: Path, tmp_path: Path) -> None:
    """The ten real exams, whose rows and voltages are put back into the files of the layout."""
    from scipy.io import loadmat

    with (real_data / "code15" / "meta.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = list(code15_row(0))
    write_csv(tmp_path / "exams.csv", [{column: row[column] for column in columns} for row in rows])
    signals = {
        row["exam_id"]: loadmat(real_data / "code15" / row["save_file"])["feats"] for row in rows
    }
    for file in {row["trace_file"] for row in rows}:
        here = [row["exam_id"] for row in rows if row["trace_file"] == file]
        write_code15_file(tmp_path / file, {int(exam): signals[exam] for exam in here})
    records = load_records(tmp_path, HASH)
    assert len(records) == 10
    for record, row in zip(records, rows, strict=True):
        assert record.patient_id == row["patient_id"]
        assert ("CRBBB" in record.scp_codes) == (row["RBBB"] == "True")
        np.testing.assert_array_equal(
            read_listed(tmp_path, record).ecg.signal_LT, signals[record.record_id]
        )
