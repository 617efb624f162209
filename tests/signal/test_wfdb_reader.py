"""The wfdb package is the oracle: what it reads, in float64, rounded once to float32."""

from __future__ import annotations

import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from truelead.errors import (
    ChecksumMismatch,
    LeadError,
    MalformedHeader,
    MissingFile,
    RecordError,
    RecordTooLarge,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal import ReadLimits, read_record
from truelead.signal.wfdb_decoders import DECODERS, INVALID_SAMPLE
from truelead.types import LEADS

BITS = {"80": 8, "212": 12, "16": 16, "24": 24, "32": 32, "508": 8, "516": 16, "524": 24}


def write_with_wfdb(
    folder: Path, digital_TL: np.ndarray, storage_format: str, name: str = "r", **fields: object
) -> Path:
    leads = digital_TL.shape[1]
    given_fields = {
        "fs": 500,
        "units": ["mV"] * leads,
        "sig_name": [lead.upper() for lead in LEADS[:leads]],
        "adc_gain": [200.0] * leads,
        "baseline": [0] * leads,
    } | fields
    wfdb.wrsamp(
        name,
        d_signal=digital_TL.astype(np.int64),
        fmt=[storage_format] * leads,
        write_dir=str(folder),
        **given_fields,
    )
    return folder / name


def oracle(path: Path) -> np.ndarray:
    return wfdb.rdrecord(str(path)).p_signal.T.astype(np.float32)


@pytest.mark.parametrize("storage_format", list(BITS))
@pytest.mark.parametrize("samples", [1, 2, 601])
@pytest.mark.parametrize("gain", [(200.0, 0), (1234.5678, -7)])
def test_written_formats_equal_the_wfdb_package(
    tmp_path: Path, storage_format: str, samples: int, gain: tuple[float, int]
) -> None:
    highest = 2 ** (BITS[storage_format] - 1)
    leads = 8 if storage_format in ("508", "516", "524") else 12  # FLAC holds 8 signals
    random = np.random.default_rng(samples)
    digital = random.integers(-highest, highest, size=(samples, leads))
    digital[0, :3] = -highest, highest - 1, 0
    path = write_with_wfdb(
        tmp_path, digital, storage_format, adc_gain=[gain[0]] * leads, baseline=[gain[1]] * leads
    )
    ecg = read_record(path)
    np.testing.assert_array_equal(ecg.signal_LT[:leads], oracle(path))
    assert np.isnan(ecg.signal_LT[0, 0])  # the lowest value means "no sample"
    assert ecg.lead_mask_L.sum() >= leads - (samples == 1)
    assert (ecg.sampling_rate, ecg.record_id) == (500.0, "r")
    np.testing.assert_array_equal(read_record(f"{path}.hea").signal_LT, ecg.signal_LT)


def test_every_decoder_is_tested_and_knows_its_invalid_sample() -> None:
    assert set(DECODERS) <= {*BITS, "61", "160"}
    assert set(DECODERS) <= set(INVALID_SAMPLE)
    assert all(INVALID_SAMPLE[name] == -(2 ** (bits - 1)) for name, bits in BITS.items())


@pytest.mark.parametrize(
    ("storage_format", "width"), [("8", 1), ("61", 2), ("160", 2), ("310", 2), ("311", 2)]
)
@pytest.mark.parametrize("tail", [b"", b"\0\0\0\0\0"])
def test_formats_that_the_wfdb_package_only_reads(
    tmp_path: Path, storage_format: str, width: int, tail: bytes
) -> None:
    stored = np.random.default_rng(1).bytes(2 * 40 * width)
    (tmp_path / "r.dat").write_bytes(stored + tail)
    lines = ["r 2 250 40"]
    digital = wfdb_digital(tmp_path, lines, storage_format)
    checksums = digital.sum(axis=0) & 0xFFFF
    lines += [
        f"r.dat {storage_format} 200 12 0 {first} {checksum} 0 {lead}"
        for lead, first, checksum in zip(("I", "II"), (3, 0), checksums, strict=True)
    ]
    (tmp_path / "r.hea").write_text("\n".join(lines) + "\n")
    np.testing.assert_array_equal(read_record(tmp_path / "r").signal_LT[:2], oracle(tmp_path / "r"))


def wfdb_digital(folder: Path, lines: list[str], storage_format: str) -> np.ndarray:
    header = [*lines, f"r.dat {storage_format} 200 12 0 3", f"r.dat {storage_format} 200 12 0 0"]
    (folder / "r.hea").write_text("\n".join(header) + "\n")
    return wfdb.rdrecord(str(folder / "r"), physical=False, return_res=64).d_signal


def test_mat_files_of_the_challenges(tmp_path: Path, written: Path) -> None:
    """Format 16 behind a 24-byte MATLAB header (PhysioNet/CinC)."""
    samples = written.with_suffix(".dat").read_bytes()
    (tmp_path / "made.mat").write_bytes(bytes(24) + samples)
    header = written.with_suffix(".hea")
    header.write_text(header.read_text().replace("made.dat 16 ", "made.mat 16x1+24 "))
    written.with_suffix(".dat").unlink()
    np.testing.assert_array_equal(read_record(written).signal_LT, oracle(written))


def test_leads_come_in_canonical_order_from_any_order_and_several_files(tmp_path: Path) -> None:
    digital = np.random.default_rng(0).integers(-900, 900, size=(50, 12))
    order = np.random.default_rng(5).permutation(12)
    names = [LEADS[i].lower() for i in order]
    path = write_with_wfdb(tmp_path, digital[:, order], "16", sig_name=names)
    np.testing.assert_array_equal(read_record(path).signal_LT, np.float32(digital.T / 200))

    # The same again, each half in its own file and format.
    write_with_wfdb(tmp_path, digital[:, :6], "16", name="a")
    write_with_wfdb(tmp_path, digital[:, 6:], "24", name="b", sig_name=list(LEADS[6:]))
    halves = [(tmp_path / f"{name}.hea").read_text().splitlines()[1:] for name in "ab"]
    (tmp_path / "r.hea").write_text("\n".join(["r 12 500 50", *halves[1], *halves[0]]))
    np.testing.assert_array_equal(read_record(path).signal_LT, np.float32(digital.T / 200))


def test_missing_and_additional_leads(edit_header: Callable[..., Path]) -> None:
    path = edit_header((" 0 AVR", " 0 Vx"), (" 0 V6", " 0 V7"))
    ecg = read_record(path)
    missing = [lead for lead, there in zip(LEADS, ecg.lead_mask_L, strict=True) if not there]
    assert missing == ["aVR", "V6"]


@pytest.mark.parametrize(
    ("units", "factor"), [("uV", 1e-3), ("µV", 1e-3), ("V", 1e3), ("mV", 1.0), ("mv", 1.0)]
)
def test_units_become_millivolts(
    edit_header: Callable[..., Path], make_ecg: Callable, units: str, factor: float
) -> None:
    signal_LT = read_record(edit_header(("/mV", f"/{units}"))).signal_LT
    np.testing.assert_allclose(signal_LT, make_ecg().signal_LT * factor, rtol=1e-6, atol=1e-9)


def test_several_samples_a_frame_are_all_kept(tmp_path: Path) -> None:
    digital = np.random.default_rng(0).integers(-900, 900, size=(30, 4))
    lines = ["r 2 250 30"]
    for columns, name in ((digital[:, :2], "I"), (digital[:, 2:], "II")):
        lines.append(f"r.dat 16x2 200 16 0 0 {columns.sum() & 0xFFFF} 0 {name}")
    (tmp_path / "r.hea").write_text("\n".join(lines))
    digital.astype("<i2").tofile(tmp_path / "r.dat")
    ecg = read_record(tmp_path / "r")
    assert ecg.sampling_rate == 500
    expected = wfdb.rdrecord(str(tmp_path / "r"), smooth_frames=False).e_p_signal
    np.testing.assert_array_equal(ecg.signal_LT[:2], np.float32(expected))


def test_unequal_samples_a_frame_are_averaged(tmp_path: Path) -> None:
    digital = np.random.default_rng(0).integers(-900, 900, size=(30, 3))
    header = "r 2 250 30\nr.dat 16x2 200 16 0 0 {} 0 I\nr.dat 16 200 16 0 0 {} 0 II"
    sums = digital[:, :2].sum() & 0xFFFF, digital[:, 2].sum() & 0xFFFF
    (tmp_path / "r.hea").write_text(header.format(*sums))
    digital.astype("<i2").tofile(tmp_path / "r.dat")
    ecg = read_record(tmp_path / "r")
    assert ecg.sampling_rate == 250
    first, second = wfdb.rdrecord(str(tmp_path / "r"), smooth_frames=False).e_p_signal
    np.testing.assert_allclose(ecg.signal_LT[0], first.reshape(-1, 2).mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(ecg.signal_LT[1], np.float32(second))


def test_skew_is_taken_back(edit_header: Callable[..., Path]) -> None:
    path = edit_header(("made.dat 16 ", "made.dat 16:3 "))
    np.testing.assert_array_equal(read_record(path).signal_LT, oracle(path))
    assert np.isnan(read_record(path).signal_LT[:, -3:]).all()
    edit_header(("made.dat 16:3 ", "made.dat 16:99999999 "))
    assert np.isnan(read_record(path).signal_LT).all()


def test_an_unstated_length_is_that_of_the_file(
    edit_header: Callable[..., Path], make_ecg: Callable
) -> None:
    path = edit_header(("made 12 100 500", "made 12 100"))
    np.testing.assert_array_equal(read_record(path).signal_LT, make_ecg().signal_LT)
    with pytest.raises(RecordTooLarge, match="expected at most 499, found 500"):
        read_record(path, limits=ReadLimits(maximum_samples=499))


def test_multi_segment_records_equal_the_wfdb_package(tmp_path: Path) -> None:
    digital = np.random.default_rng(0).integers(-900, 900, size=(80, 12))
    write_with_wfdb(tmp_path, digital[:50], "16", name="s1")
    write_with_wfdb(tmp_path, digital[50:], "212", name="s2")
    (tmp_path / "m.hea").write_text("m/2 12 500 80\ns1 50\ns2 30\n")
    np.testing.assert_array_equal(read_record(tmp_path / "m").signal_LT, oracle(tmp_path / "m"))
    (tmp_path / "m.hea").write_text("m/3 12 500 90\ns1 50\n~ 10\ns2 30\n")
    gap = read_record(tmp_path / "m").signal_LT
    assert np.isnan(gap[:, 50:60]).all()
    assert np.isfinite(gap[:, 60:]).all()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("m/2 12 500 81\ns1 50\ns2 30\n", MalformedHeader),
        ("m/2 12 500 90\ns1 60\ns2 30\n", MalformedHeader),
        ("m/2 12 250 80\ns1 50\ns2 30\n", MalformedHeader),
        ("m/2 12 500 80\ns1 50\nm 30\n", UnsupportedFormat),
        ("m/2 12 500 80\ns1 50\ns9 30\n", MissingFile),
        ("m/1 12 500\ns1 0\n", MalformedHeader),
        ("m/2 12 500\ns1 600000\ns2 600000\n", RecordTooLarge),
    ],
)
def test_segments_that_contradict_each_other(
    tmp_path: Path, text: str, error: type[RecordError]
) -> None:
    digital = np.zeros((80, 12), dtype=int)
    write_with_wfdb(tmp_path, digital[:50], "16", name="s1")
    write_with_wfdb(tmp_path, digital[50:], "16", name="s2")
    (tmp_path / "m.hea").write_text(text)
    with pytest.raises(error):
        read_record(tmp_path / "m")


def test_a_tiny_header_that_claims_terabytes(tmp_path: Path) -> None:
    header = tmp_path / "r.hea"
    header.write_text("r 1 500 999999999999\nr.dat 16 1000(0)/mV 16 0 0 0 0 II\n")
    assert header.stat().st_size < 60
    tracemalloc.start()
    begun = time.perf_counter()
    with pytest.raises(RecordTooLarge, match="number of samples: expected at most 1000000, found"):
        read_record(tmp_path / "r")
    # Within the limits the size of the file decides, still before anything is reserved.
    header.write_text("r 12 500 1000000\n" + "".join(f"r.dat 16 1 0 0 0 0 0 {x}\n" for x in LEADS))
    (tmp_path / "r.dat").write_bytes(b"\0" * 24)
    with pytest.raises(TruncatedSignal, match="expected at least 24000000 bytes, found 24"):
        read_record(tmp_path / "r")
    assert time.perf_counter() - begun < 1
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ([(" 0 AVR", " 0 V1")], LeadError, "found V1 more than once"),
        ([(" 0 AVR", " 0 MLII")], LeadError, "found 'MLII'"),
        ([("made 12 ", "made 11 ")], MalformedHeader, "expected 11 as the record line"),
        ([("made 12 ", "made 13 ")], MalformedHeader, "expected 13 as the record line"),
        ([("(0)/mV", "(0)/mmHg")], UnsupportedFormat, "expected mV, uV or V, found 'mmHg'"),
        ([("made.dat 16 ", "made.dat 17 ")], UnsupportedFormat, "found 17"),
        ([("made.dat 16 ", "../made.dat 16 ")], MalformedHeader, "beside the header"),
        ([("made.dat", "absent.dat")], MissingFile, "absent.dat: expected a readable file"),
        ([(" 100 500", " 100 501")], TruncatedSignal, "at least 12024 bytes, found 12000"),
        ([("made.dat 16 ", "made.dat 16+2 ")], TruncatedSignal, "at least 12002 bytes"),
        ([("made.dat 16 ", "made.dat 310 ")], ChecksumMismatch, ""),
        ([("made.dat 16 ", "made.dat 516 ")], UnsupportedFormat, "readable by the wfdb package"),
    ],
)
def test_bad_records_give_one_line_that_names_what_was_expected(
    edit_header: Callable[..., Path],
    changes: list[tuple[str, str]],
    error: type[RecordError],
    words: str,
) -> None:
    path = edit_header(*changes)
    with path.with_suffix(".hea").open("a") as header:
        header.write("# Name: John Doe\n")
    with pytest.raises(error) as caught:
        read_record(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "John" not in message


def test_files_of_one_signal_file_must_agree(edit_header: Callable[..., Path]) -> None:
    path = edit_header()
    header = path.with_suffix(".hea")
    text = header.read_text()
    header.write_text(text.replace("made.dat 16 ", "made.dat 24 ", 1))
    with pytest.raises(MalformedHeader, match="one format for the whole file"):
        read_record(path)
    plain = text.replace("made.dat 16 ", "made.dat 16+2 ")
    header.write_text(plain.replace("made.dat 16+2 ", "made.dat 16+24 ", 1))
    with pytest.raises(MalformedHeader, match="one offset for the whole file"):
        read_record(path)


def test_a_flipped_bit_is_found_and_the_check_can_be_skipped(written: Path) -> None:
    samples = bytearray(written.with_suffix(".dat").read_bytes())
    samples[2 * (12 * 40 + 3)] ^= 1  # one bit of aVR
    written.with_suffix(".dat").write_bytes(samples)
    with pytest.raises(ChecksumMismatch, match="checksum of lead 'AVR'"):
        read_record(written)
    assert read_record(written, verify_checksums=False).signal_LT.shape == (12, 500)


def test_what_is_not_a_file(tmp_path: Path, written: Path) -> None:
    with pytest.raises(MissingFile, match="header: expected a readable file"):
        read_record(tmp_path / "absent")
    with pytest.raises(MissingFile):
        read_record("a\0b")
    written.with_suffix(".dat").unlink()
    written.with_suffix(".dat").mkdir()
    with pytest.raises(MissingFile):
        read_record(written)


def test_a_named_pipe_does_not_block(tmp_path: Path, written: Path) -> None:
    import os

    written.with_suffix(".dat").unlink()
    os.mkfifo(written.with_suffix(".dat"))
    with pytest.raises(MissingFile, match="an ordinary file"):
        read_record(written)


def test_no_signal_at_all(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 0 500 10\n")
    with pytest.raises(LeadError, match="found no signal"):
        read_record(tmp_path / "r")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_records_give_an_ecg_or_a_record_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    storage_format = data.draw(st.sampled_from(["16", "212", "24", "32", "80", "160", "8", "311"]))
    header = bytearray(
        b"r 3 500 20\n"
        + b"".join(f"r.dat {storage_format} 200(0)/mV 12 0 0 0 0 {x}\n".encode() for x in LEADS[:3])
    )
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(header) - 1))
        header[place] = data.draw(st.sampled_from(b"0123456789 /:x+.\n"))
    (folder / "r.hea").write_bytes(header)
    (folder / "r.dat").write_bytes(bytes(data.draw(st.integers(0, 400))))
    try:
        ecg = read_record(folder / "r")
    except RecordError:
        return
    assert ecg.signal_LT.shape[0] == 12
    assert not np.isinf(ecg.signal_LT).any()
