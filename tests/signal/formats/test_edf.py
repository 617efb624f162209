"""EDF files are written here by EDFlib, and damaged at the places that the standard names."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from bench.format_mutations import run_mutations
from truelead.errors import (
    InvalidEcg,
    LeadError,
    MalformedHeader,
    MissingFile,
    RecordError,
    RecordTooLarge,
    StatementError,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.edf import FORMAT, read, recognise, write
from truelead.signal.generator import generate_ecg
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

PATIENT = ("Zebulon", "MRN-8812345")
RATE = 250
# Where a field stands in the header of a file, and its width.
FIELDS = {
    "version": (0, 8),
    "patient": (8, 80),
    "header bytes": (184, 8),
    "reserved": (192, 44),
    "records": (236, 8),
    "seconds": (244, 8),
    "signals": (252, 4),
}
SIGNAL_FIELDS = ("label", 16), ("transducer", 80), ("unit", 8), ("pmin", 8), ("pmax", 8), (
    "dmin", 8), ("dmax", 8), ("filter", 80), ("samples", 8), ("rest", 32)  # fmt: skip


def read_file(path: Path, stated: StatedSignal = NOTHING_STATED) -> Ecg:
    return read(path, limits=DEFAULT_LIMITS, stated=stated)


def digital(count: int, seconds: int = 4, rate: int = RATE) -> np.ndarray:
    """int32 (count, T)."""
    return np.random.default_rng(5).integers(-9000, 9000, (count, seconds * rate), dtype=np.int32)


def write_edf(
    path: Path,
    labels: Sequence[str],
    samples: Sequence[np.ndarray],
    *,
    units: Sequence[str] = (),
    rates: Sequence[int] = (),
    physical: tuple[float, float] = (-3276.8, 3276.7),
    annotations: int = 0,
    file_type: int = pyedflib.FILETYPE_EDFPLUS,
) -> Path:
    """By EDFlib, with a patient in the header."""
    with pyedflib.EdfWriter(str(path), len(labels), file_type=file_type) as writer:
        writer.setPatientName(PATIENT[0])
        writer.setPatientCode(PATIENT[1])
        writer.setStartdatetime(datetime(2002, 11, 22, 9, 10))
        writer.setSignalHeaders(
            [
                {
                    "label": label,
                    "dimension": units[number] if units else "uV",
                    "sample_frequency": rates[number] if rates else RATE,
                    "physical_min": physical[0],
                    "physical_max": physical[1],
                    "digital_min": -32768,
                    "digital_max": 32767,
                    "transducer": "",
                    "prefilter": "",
                }
                for number, label in enumerate(labels)
            ]
        )
        writer.writeSamples(list(samples), digital=True)
        for number in range(annotations):
            writer.writeAnnotation(number / 2, -1, "a beat of Zebulon")
    return path


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    return write_edf(tmp_path / "made.edf", [f"ECG {lead}" for lead in LEADS], digital(12))


def set_field(path: Path, name: str, text: str, signal: int = 0) -> Path:
    """Overwrite one header field, of a signal where the name is one of a signal's."""
    content = bytearray(path.read_bytes())
    if name in FIELDS:
        start, width = FIELDS[name]
    else:
        count = int(content[252:256])
        start = 256
        for field, width in SIGNAL_FIELDS:
            if field == name:
                start += width * signal
                break
            start += width * count
    content[start : start + width] = text.ljust(width).encode("latin-1")
    path.write_bytes(content)
    return path


def test_twelve_leads_of_edflib(twelve: Path) -> None:
    ecg = read_file(twelve)
    assert (ecg.record_id, ecg.patient_id, ecg.sampling_rate) == ("made", "", RATE)
    np.testing.assert_allclose(ecg.signal_LT, digital(12) * 0.1 / 1000, rtol=0, atol=1e-7)
    with pyedflib.EdfReader(str(twelve)) as reader:
        for row in range(12):
            np.testing.assert_allclose(ecg.signal_LT[row], reader.readSignal(row) / 1000, atol=1e-6)


@pytest.mark.parametrize("file_type", [pyedflib.FILETYPE_EDF, pyedflib.FILETYPE_EDFPLUS])
def test_spellings_units_order_and_other_signals(tmp_path: Path, file_type: int) -> None:
    labels = ["EEG Fpz-Cz", "EKG aVR", "V6", "ECG Lead II", "Resp chest", "ECG V7", "c1"]
    units = ["uV", "uV", "mV", "V", "%", "uV", "uV"]
    rates = [100, RATE, RATE, RATE, 10, RATE, RATE]
    samples = [digital(1, rate=rate)[0] for rate in rates]
    annotations = 30 if file_type == pyedflib.FILETYPE_EDFPLUS else 0
    path = write_edf(
        tmp_path / "sleep.edf", labels, samples, units=units, rates=rates, annotations=annotations,
        file_type=file_type,
    )  # fmt: skip
    ecg = read_file(path)
    stored = samples[1] * 0.1
    assert [LEADS[row] for row in np.flatnonzero(ecg.lead_mask_L)] == ["II", "aVR", "V1", "V6"]
    np.testing.assert_allclose(ecg.signal_LT[3], stored / 1000, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ecg.signal_LT[11], stored, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(ecg.signal_LT[1], stored * 1000, rtol=1e-6, atol=1e-2)
    np.testing.assert_allclose(ecg.signal_LT[6], stored / 1000, rtol=1e-6, atol=1e-9)


def test_annotations_may_stand_first(twelve: Path) -> None:
    """EDFlib puts them last; the samples of the 12 leads must be found behind them, too."""
    content = twelve.read_bytes()
    records = int(content[236:244])
    start, moved = 256, content[:256]
    for _, width in SIGNAL_FIELDS:
        field = content[start : start + 13 * width]
        moved += field[-width:] + field[:-width]
        start += 13 * width
    size = (len(content) - start) // records
    for number in range(records):
        record = content[start + number * size : start + (number + 1) * size]
        moved += record[2 * 12 * RATE :] + record[: 2 * 12 * RATE]
    expected = read_file(twelve).signal_LT
    twelve.write_bytes(moved)
    np.testing.assert_array_equal(read_file(twelve).signal_LT, expected)


def test_an_inverted_line_and_an_offset(tmp_path: Path) -> None:
    samples = digital(1)
    path = write_edf(tmp_path / "a.edf", ["ECG I"], samples, physical=(700.0, -300.0))
    expected = 700 - (samples[0] + 32768) * (1000 / 65535)
    np.testing.assert_allclose(read_file(path).signal_LT[0] * 1000, expected, atol=1e-4)


@pytest.mark.parametrize("seconds", [4.0, 10.24, 7.334])
@pytest.mark.parametrize("rate", [100, 360, 500])
def test_round_trip_of_generated_ecgs(tmp_path: Path, rate: int, seconds: float) -> None:
    made = generate_ecg(11, {}, sampling_rate=rate, seconds=seconds).ecg
    samples = made.signal_LT.shape[1]
    if rate == 360 and samples % 9:
        made = Ecg(made.signal_LT[:, : samples - samples % 9], made.sampling_rate)
    path = write(made, tmp_path / "new" / "r.edf")
    ecg = read_file(path)
    assert ecg.sampling_rate == rate
    assert ecg.signal_LT.shape == made.signal_LT.shape
    assert np.abs(ecg.signal_LT - made.signal_LT).max() <= FORMAT.precision_millivolts
    assert [file.name for file in path.parent.iterdir()] == ["r.edf"]
    assert path.read_bytes()[8:184].split() == [
        *(b"X", b"X", b"X", b"X", b"Startdate", b"X", b"X", b"X", b"X"),
        b"01.01.8500.00.00",
    ]
    with pyedflib.EdfReader(str(path)) as reader:
        assert reader.filetype == pyedflib.FILETYPE_EDFPLUS
        assert reader.getSampleFrequencies().tolist() == [rate] * 12
        assert reader.patientname == b"X"
        np.testing.assert_allclose(reader.readSignal(4) / 1000, ecg.signal_LT[4], atol=1e-6)


def test_written_in_the_finest_step(tmp_path: Path, make_ecg: Callable[..., Ecg]) -> None:
    signal_LT = make_ecg().signal_LT.copy()
    signal_LT[2, 7], signal_LT[5, 7] = 60.001, -327.0
    ecg = read_file(write(Ecg(signal_LT, 100.0), tmp_path / "large.edf"))
    error_L = np.abs(ecg.signal_LT.astype(np.float64) - signal_LT).max(axis=1)
    assert error_L[2] <= 0.001002
    assert error_L[5] <= 0.00502
    assert np.delete(error_L, [2, 5]).max() <= FORMAT.precision_millivolts


def test_a_missing_lead_is_left_out_and_missing_samples_are_refused(
    tmp_path: Path, make_ecg: Callable[..., Ecg]
) -> None:
    signal_LT = make_ecg().signal_LT.copy()
    signal_LT[3] = np.nan
    read_back = read_file(write(Ecg(signal_LT, 100.0), tmp_path / "a.edf"))
    np.testing.assert_array_equal(read_back.lead_mask_L, np.arange(12) != 3)
    signal_LT[7, 4] = np.nan
    with pytest.raises(InvalidEcg, match=r"NaN.*missing samples in V2"):
        write(Ecg(signal_LT, 100.0), tmp_path / "b.edf")
    with pytest.raises(InvalidEcg, match="missing samples in all leads"):
        write(Ecg(np.full((12, 5), np.nan, np.float32), 100.0), tmp_path / "b.edf")
    assert [file.name for file in tmp_path.iterdir()] == ["a.edf"]


@pytest.mark.parametrize(
    ("samples", "rate", "millivolts", "message"),
    [
        (3601, 360.0, 0.0, "whole data records.*3601 samples at 360 Hz"),
        (500, 1000 / 3, 0.0, "whole data records"),
        (500, 500.0, 328.0, r"lead V1: expected at most 327.67 mV, found 328 mV"),
        (500, 500.0, np.inf, r"lead V1: expected at most 327.67 mV"),
    ],
)
def test_what_edf_cannot_hold(
    tmp_path: Path, samples: int, rate: float, millivolts: float, message: str
) -> None:
    signal_LT = np.zeros((12, samples), dtype=np.float32)
    signal_LT[6, 1] = millivolts
    with pytest.raises(InvalidEcg, match=message):
        write(Ecg(signal_LT, rate, record_id="r"), tmp_path / "r.edf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "text", "kind", "message"),
    [
        ("version", "1", MalformedHeader, "version"),
        ("version", "\xffBIOSEMI", UnsupportedFormat, "found BDF"),
        ("patient", "Zebulon M\xfcller", MalformedHeader, "patient or recording: expected printab"),
        ("header bytes", "99999999", MalformedHeader, "header bytes: expected 3584 for 13"),
        ("signals", "9999", RecordTooLarge, "number of signals: expected at most 64"),
        ("signals", "-1", MalformedHeader, "number of signals: expected at least 1"),
        ("signals", "Zebu", MalformedHeader, "number of signals: expected a whole number$"),
        ("reserved", "EDF+D", UnsupportedFormat, r"EDF\+D, with gaps"),
        ("records", "-1", MalformedHeader, "not closed"),
        ("records", "99999999", TruncatedSignal, "expected a file of"),
        ("records", "3", MalformedHeader, "expected a file of"),
        ("seconds", "0", MalformedHeader, "duration of a data record"),
        ("seconds", "nan", MalformedHeader, "duration of a data record"),
        ("seconds", "1e9", MalformedHeader, "sampling rate"),
        ("label", "ECG II", LeadError, "II more than once"),
        ("label", "Zebulon", LeadError, "another name at signal 1"),
        ("unit", "Zebulon", UnsupportedFormat, "physical dimension of lead I: expected mV, uV"),
        ("pmin", "3276.7", MalformedHeader, "physical range of signal 1"),
        ("pmax", "inf", MalformedHeader, "physical maximum of signal 1: expected a number$"),
        ("pmax", "1e99", InvalidEcg, "voltages"),
        ("dmin", "32767", MalformedHeader, "digital range of signal 1"),
        ("dmax", "99999999", MalformedHeader, "digital range of signal 1"),
        ("samples", "99999999", TruncatedSignal, "expected a file of"),
        ("samples", "0", MalformedHeader, "samples per record of signal 1"),
        ("samples", "-250", MalformedHeader, "samples per record of signal 1"),
    ],
)
def test_damaged_fields(
    twelve: Path, field: str, text: str, kind: type[RecordError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        read_file(set_field(twelve, field, text))
    assert "Zebulon" not in str(caught.value)


def test_limits_and_sizes(twelve: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordTooLarge, match="number of samples: expected at most 999, found 1000"):
        read(twelve, limits=ReadLimits(maximum_samples=999), stated=NOTHING_STATED)
    content = twelve.read_bytes()
    for length, kind in ((100, MalformedHeader), (300, TruncatedSignal), (-2, TruncatedSignal)):
        twelve.write_bytes(content[:length])
        with pytest.raises(kind):
            read_file(twelve)
    twelve.write_bytes(content + b"\0\0")
    with pytest.raises(MalformedHeader, match="data records"):
        read_file(twelve)
    for missing in (tmp_path / "none.edf", tmp_path):
        with pytest.raises(MissingFile):
            read_file(missing)


def test_leads_of_two_rates_are_refused(tmp_path: Path) -> None:
    samples = [digital(1)[0], digital(1, rate=500)[0]]
    path = write_edf(tmp_path / "a.edf", ["ECG I", "ECG II"], samples, rates=[RATE, 500])
    with pytest.raises(UnsupportedFormat, match="one sampling rate for all ECG leads, found 2"):
        read_file(path)


def test_no_lead_at_all(tmp_path: Path) -> None:
    with pytest.raises(LeadError, match="at least one of"):
        read_file(write_edf(tmp_path / "a.edf", ["EEG Fpz"], digital(1)))


@pytest.mark.parametrize(
    ("stated", "field"),
    [
        (StatedSignal(sampling_rate=500.0), "sampling rate"),
        (StatedSignal(units="mV"), "units"),
        (StatedSignal(leads=LEADS[::-1]), "leads"),
        (StatedSignal(gain=200.0), "gain"),
        (StatedSignal(orientation="leads-by-samples"), "orientation"),
    ],
)
def test_a_statement_may_not_contradict(twelve: Path, stated: StatedSignal, field: str) -> None:
    with pytest.raises(StatementError, match=f": {field}:"):
        read_file(twelve, stated)


def test_a_statement_may_agree(twelve: Path) -> None:
    stated = StatedSignal(sampling_rate=250.0, units="uV", leads=LEADS)
    np.testing.assert_array_equal(read_file(twelve, stated).signal_LT, read_file(twelve).signal_LT)


def test_one_file_read_by_many_threads(twelve: Path) -> None:
    """EDFlib refuses a path that is open already; the reader waits instead."""
    results: list[Ecg] = []
    threads = [
        threading.Thread(target=lambda: results.extend(read_file(twelve) for _ in range(5)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 30


def test_without_the_package(twelve: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyedflib", None)
    with pytest.raises(UnsupportedFormat, match=r"pyedflib \(pip install 'truelead\[formats\]'\)"):
        read_file(twelve)


def test_recognise(twelve: Path) -> None:
    assert recognise(twelve.read_bytes()[:4096])
    assert not recognise(b"0       " + b"1 2 3 4 5\n" * 40)
    assert not recognise(b"")


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_files(tmp_path: Path, seed: int) -> None:
    path = write_edf(
        tmp_path / "whole.edf", [f"ECG {lead}" for lead in LEADS], digital(12, 2), annotations=3
    )
    outcome = run_mutations(FORMAT, path.read_bytes(), 100, seed, folder=tmp_path, secrets=PATIENT)
    assert not outcome.failures, outcome.failures
    assert outcome.refused.total() > 30
    assert outcome.other > 0
