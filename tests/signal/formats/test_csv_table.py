"""Tables of text: what they say, what must be stated, and that no cell reaches an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from truelead.errors import (
    InvalidEcg,
    LeadError,
    MalformedHeader,
    MissingFile,
    RecordError,
    RecordTooLarge,
    StatementError,
    TruncatedSignal,
)
from truelead.signal import ReadLimits
from truelead.signal.formats.base import DEFAULT_LIMITS, StatedSignal
from truelead.signal.formats.csv_table import read, recognise, write
from truelead.types import LEADS, Ecg

RATE_AND_UNITS = StatedSignal(sampling_rate=100.0, units="mV")


def read_text(
    folder: Path,
    text: str | bytes,
    stated: StatedSignal = RATE_AND_UNITS,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Ecg:
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path, limits=limits, stated=stated)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_by_their_names(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = [["V1", "II", "aVR"], ["0.5", "-1", "1e-1"], ["", "2.25", "nan"]]
    ecg = read_text(tmp_path, end.join(delimiter.join(row) for row in rows) + end)
    assert ecg.signal_LT.shape == (12, 2)
    np.testing.assert_array_equal(ecg.signal_LT[1], np.float32([-1, 2.25]))
    np.testing.assert_array_equal(ecg.signal_LT[6], np.float32([0.5, np.nan]))
    np.testing.assert_array_equal(ecg.signal_LT[3], np.float32([0.1, np.nan]))
    assert (ecg.sampling_rate, ecg.record_id, ecg.patient_id) == (100.0, "table", "")
    assert ecg.lead_mask_L.sum() == 3


def test_byte_order_mark_quotes_blanks_and_additional_leads(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbf"Lead I", "DII" ,Vx\n 1, 2 ,3\n4,5,6\n\n'
    ecg = read_text(tmp_path, text)
    np.testing.assert_array_equal(ecg.signal_LT[:2], np.float32([[1, 4], [2, 5]]))
    assert ecg.lead_mask_L.sum() == 2


@pytest.mark.parametrize(
    ("stated", "millivolts"),
    [
        (StatedSignal(100.0, units="mV"), 500.0),
        (StatedSignal(100.0, units="uV"), 0.5),
        (StatedSignal(100.0, units="V"), 500_000.0),
        (StatedSignal(100.0, units="adc", gain=200.0), 2.5),
    ],
)
def test_units_are_the_stated_ones(tmp_path: Path, stated: StatedSignal, millivolts: float) -> None:
    assert read_text(tmp_path, "II\n500\n", stated).signal_LT[1, 0] == pytest.approx(millivolts)


def test_units_of_the_first_row_count(tmp_path: Path) -> None:
    text = "time (ms),I (uV),II [µV],V1 (µV)\n0,1000,2000,3000\n10,1,2,3\n"
    ecg = read_text(tmp_path, text, StatedSignal(100.0))
    np.testing.assert_allclose(ecg.signal_LT[[0, 1, 6], 0], [1, 2, 3])
    with pytest.raises(StatementError, match="units: expected uV as the first row says"):
        read_text(tmp_path, text, RATE_AND_UNITS)


def test_columns_without_names_are_stated(tmp_path: Path) -> None:
    text = "0.00,1,2\n0.01,3,4\n"
    with pytest.raises(StatementError, match="--leads"):
        read_text(tmp_path, text)
    stated = StatedSignal(100.0, units="mV", leads=("time", "V6", "I"))
    ecg = read_text(tmp_path, text, stated)
    np.testing.assert_array_equal(ecg.signal_LT[[0, 11]], np.float32([[2, 4], [1, 3]]))
    with pytest.raises(StatementError, match="expected 3 names, one a column, found 2"):
        read_text(tmp_path, text, StatedSignal(100.0, units="mV", leads=("V6", "I")))


@pytest.mark.parametrize(
    ("stated", "option"),
    [
        (StatedSignal(units="mV"), "--rate HZ"),
        (StatedSignal(sampling_rate=100.0), "--units mV, uV, V or adc"),
        (StatedSignal(100.0, units="adc"), "--gain"),
        (StatedSignal(100.0, units="mV", gain=200.0), "none unless the units are adc"),
        (StatedSignal(100.0, units="adc", gain=0.0), "above 0"),
        (StatedSignal(100.0, units="kV"), "--units"),
        (StatedSignal(0.0, units="mV"), "above 0"),
        (StatedSignal(float("nan"), units="mV"), "above 0"),
        (StatedSignal(100.0, units="mV", leads=("II", "I")), "no --leads"),
        (StatedSignal(100.0, units="mV", orientation="leads-by-samples"), "one row a sample"),
    ],
)
def test_what_is_missing_or_contradicts_names_the_option(
    tmp_path: Path, stated: StatedSignal, option: str
) -> None:
    with pytest.raises(StatementError, match=option):
        read_text(tmp_path, "I,II\n1,2\n", stated)


def test_time_stamps_are_checked_and_never_used(tmp_path: Path) -> None:
    def table(rate: float, samples: int, scale: float = 1.0, digits: int = 3) -> str:
        rows = (f"{5 + k / rate * scale:.{digits}f},{k}" for k in range(samples))
        return "time,II\n" + "\n".join(rows)

    assert read_text(tmp_path, table(100, 50)).sampling_rate == 100.0
    assert read_text(tmp_path, table(100, 50, scale=1000)).sampling_rate == 100.0
    # 360 Hz in milliseconds without decimals is 2, 3 or 3 ms from one stamp to the next.
    rounded = table(360, 900, scale=1000, digits=0)
    read_text(tmp_path, rounded, StatedSignal(360.0, units="mV"))
    for wrong in (359.0, 361.0, 500.0):
        with pytest.raises(StatementError, match="time stamps 1 / "):
            read_text(tmp_path, rounded, StatedSignal(wrong, units="mV"))
    with pytest.raises(StatementError, match=r"--rate HZ.*found time stamps 0\.01 apart"):
        read_text(tmp_path, table(100, 50), StatedSignal(units="mV"))
    with pytest.raises(StatementError, match="time stamps"):
        read_text(tmp_path, "time,II\n0,1\n0.01,2\n,3\n")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", TruncatedSignal, "a first row"),
        ("I,II\n", TruncatedSignal, "at least 1 sample"),
        ("I,Weight\n1,2\n", MalformedHeader, "column 2: expected the name of a lead"),
        ("I;II,III\n1,2\n", MalformedHeader, "column 1"),
        ("I,I\n1,2\n", LeadError, "I more than once"),
        ("time,t,I\n0,0,1\n", MalformedHeader, "one column of time"),
        ("I (mV),II (uV)\n1,2\n", MalformedHeader, "one unit for all leads"),
        ("time\n0\n0.01\n", LeadError, "at least one of"),
        ("I,II\n1\n", InvalidEcg, "row 2: expected 2 cells"),
        ("I,II\n1,2\n1,2,3\n", InvalidEcg, "row 3: expected 2 cells"),
        ("I,II\n1,2\n\n3,4\n", InvalidEcg, "row 3: expected 2 cells"),
        ("I\n1\n\n3\n", InvalidEcg, "row 3: expected 1 cells"),
        ("I;II\n1,5;2\n", InvalidEcg, "numbers with a decimal point"),
        ("I,II\n1,x\n", InvalidEcg, "numbers with a decimal point"),
        ("I,II\n1,0x10\n", InvalidEcg, "numbers with a decimal point"),
        ("I,II\n1,NA\n", InvalidEcg, "numbers with a decimal point"),
        ("I,II\n1,True\n", InvalidEcg, "numbers with a decimal point"),
        ("I,II\n1,inf\n", InvalidEcg, "numbers with a decimal point"),
        ("I,II\n1,1e300\n", InvalidEcg, "finite"),
        ('I,II\n"1,2",3\n', InvalidEcg, "row 2: expected 2 cells"),
        ("I,II\n1,2\x00\n", InvalidEcg, "numbers"),
        (b"I,II\n1,\xff\n", InvalidEcg, "numbers"),
        (b"\xff\xfeI\x00,\x00", MalformedHeader, "one line of text"),
    ],
)
def test_what_is_no_table_of_an_ecg(
    tmp_path: Path, text: str | bytes, kind: type[RecordError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_text(tmp_path, text)


def test_limits_hold_before_the_table_is_parsed(tmp_path: Path) -> None:
    rows = "I,II\n" + "1,2\n" * 50
    read_text(tmp_path, rows, limits=ReadLimits(maximum_samples=50))
    with pytest.raises(RecordTooLarge, match="rows: expected at most 49, found 50"):
        read_text(tmp_path, rows, limits=ReadLimits(maximum_samples=49))
    with pytest.raises(RecordTooLarge, match="file: expected at most"):
        read_text(tmp_path, "I,II\n" + f"{1:.60f},2\n" * 20, limits=ReadLimits(maximum_samples=10))
    with pytest.raises(RecordTooLarge, match="columns"):
        read_text(tmp_path, ",".join(["I"] * 90) + "\n")
    with pytest.raises(MalformedHeader, match="one line of text"):
        read_text(tmp_path, "I" * 70_000)
    with pytest.raises(MissingFile):
        read(tmp_path / "none.csv", limits=DEFAULT_LIMITS, stated=RATE_AND_UNITS)


def test_writing_keeps_microvolts_and_gaps(tmp_path: Path) -> None:
    signal_LT = np.random.default_rng(1).normal(size=(12, 90)).astype(np.float32)
    signal_LT[2, 5:8] = np.nan
    path = write(Ecg(signal_LT, 360.0, "r"), tmp_path / "r.csv")
    lines = path.read_text().splitlines()
    assert lines[0] == "time (s)," + ",".join(f"{lead} (mV)" for lead in LEADS)
    assert len(lines) == 91
    assert lines[6].split(",")[3] == ""
    ecg = read(path, limits=DEFAULT_LIMITS, stated=StatedSignal(360.0))
    assert np.nanmax(np.abs(ecg.signal_LT - signal_LT)) <= 0.000501
    np.testing.assert_array_equal(np.isnan(ecg.signal_LT), np.isnan(signal_LT))
    signal_LT[0, 0] = np.inf
    with pytest.raises(InvalidEcg, match="finite"):
        write(Ecg(signal_LT, 360.0), path)


def test_no_cell_reaches_an_error(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    for number in range(200):
        secret = f"Nemo{random.integers(10**9)}"
        texts = (
            f"{secret},II\n1,2\n",
            f"I,II\n1,{secret}\n",
            f"{secret}\n1\n",
            f"patient: {secret};I\n0;1\n",
            f"I,II\n{secret},2,3\n",
        )
        with pytest.raises(RecordError) as caught:
            read_text(tmp_path, texts[number % len(texts)])
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None or secret not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("head", "is_table"),
    [
        (b"I,II,III\n", True),
        (b"time (s),I (mV)\n0,1\n", True),
        (b"II\n0.5\n", True),
        (b"1,2\n3,4\n", True),
        (b"1\t-2e3\n.5\t", True),
        (b"1 2 3\n4 5 6\n", False),
        (b"12\n13\n", False),
        (b"one 12 500 5000\none.dat 16 1000/mV 16 0 1 2 0 I\n", False),
        (b"name,age\n", False),
        (b"", False),
    ],
)
def test_tables_are_known_by_their_first_rows(head: bytes, is_table: bool) -> None:
    assert recognise(head) is is_table
