from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from truelead.errors import InvalidEcg
from truelead.signal import read_record, write_record
from truelead.types import Ecg


def test_what_is_written_is_read_back(tmp_path: Path, make_ecg: Callable[..., Ecg]) -> None:
    ecg = make_ecg(samples=777, rate=500.0)
    signal_LT = ecg.signal_LT.copy()
    signal_LT[4] = np.nan
    signal_LT[7, 10:20] = np.nan
    path = write_record(tmp_path / "new" / "folder", Ecg(signal_LT, 500.0), name="00001_hr")
    assert path == tmp_path / "new" / "folder" / "00001_hr"
    assert sorted(file.name for file in path.parent.iterdir()) == ["00001_hr.dat", "00001_hr.hea"]
    read = read_record(path)
    np.testing.assert_array_equal(read.signal_LT, signal_LT)
    assert read.sampling_rate == 500.0
    assert read.lead_mask_L.sum() == 11


def test_the_wfdb_package_reads_it_and_its_checksums_agree(written: Path) -> None:
    record = wfdb.rdrecord(str(written), physical=False)
    assert record.checksum == record.calc_checksum()
    assert record.init_value == record.d_signal[0].tolist()
    assert record.sig_name[3:6] == ["AVR", "AVL", "AVF"]  # PTB-XL's capitals
    assert (record.fmt[0], record.adc_gain[0], record.baseline[0]) == ("16", 1000.0, 0)


@pytest.mark.real_data
def test_a_header_of_ptbxl_is_written_byte_for_byte(real_data: Path, tmp_path: Path) -> None:
    header = sorted((real_data / "ptbxl" / "records100").glob("*/*.hea"))[0]
    path = write_record(tmp_path, read_record(header))
    assert path.with_suffix(".hea").read_text().split() == header.read_text().split()
    assert path.with_suffix(".dat").read_bytes() == header.with_suffix(".dat").read_bytes()


def test_the_gain_is_the_callers(tmp_path: Path, make_ecg: Callable[..., Ecg]) -> None:
    ecg = make_ecg()
    coarse = read_record(write_record(tmp_path, ecg, adc_gain=200.5))
    assert np.abs(coarse.signal_LT - ecg.signal_LT).max() <= 0.5 / 200.5 + 1e-6


@pytest.mark.parametrize("millivolts", [32.7675, np.inf, -np.inf])
def test_what_does_not_fit_is_an_error_not_a_clip(tmp_path: Path, millivolts: float) -> None:
    signal_LT = np.zeros((12, 5), dtype=np.float32)
    signal_LT[3, 2] = millivolts
    with pytest.raises(InvalidEcg, match=r"at most 32\.767 mV in 16 bits at gain 1000"):
        write_record(tmp_path, Ecg(signal_LT, 100.0, record_id="r"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "../r", "a b", "a/b", "r.hea"])
def test_names_that_are_no_record_names(
    tmp_path: Path, make_ecg: Callable[..., Ecg], name: str
) -> None:
    with pytest.raises(InvalidEcg, match="name: expected letters"):
        write_record(tmp_path, make_ecg(), name=name)


def test_a_failure_leaves_the_old_record_whole(
    written: Path, make_ecg: Callable[..., Ecg], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_record(written).signal_LT

    def full_disk(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_record(written.parent, make_ecg(seed=9))
    monkeypatch.undo()
    np.testing.assert_array_equal(read_record(written).signal_LT, before)
    assert len(list(written.parent.iterdir())) == 2
