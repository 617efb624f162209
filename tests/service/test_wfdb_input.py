"""WFDB pairs from strangers: read like any record, and nothing of the patient comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from truelead.errors import (
    ChecksumMismatch,
    LeadError,
    MalformedHeader,
    RecordError,
    RecordTooLarge,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.service.wfdb_input import decode_wfdb, signal_file_name
from truelead.signal import write_record
from truelead.types import Ecg

NAME = "SMITH_JOHN_1950"


@pytest.fixture(scope="module")
def pair(ecgs: list[Ecg], tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    path = write_record(tmp_path_factory.mktemp("records"), ecgs[0], name=NAME)
    header = path.with_suffix(".hea").read_bytes()
    lines = header.splitlines(keepends=True)
    lines[0] = lines[0].rstrip() + b" 10:11:12 01/02/1950\n"
    return b"".join([*lines, b"# SMITH_JOHN_1950 72 M\n"]), path.with_suffix(".dat").read_bytes()


def test_it_is_read_as_from_disk(pair: tuple[bytes, bytes], ecgs: list[Ecg]) -> None:
    ecg = decode_wfdb(*pair, where="ecgs.0")
    assert ecg.sampling_rate == 100
    np.testing.assert_allclose(ecg.signal_LT, ecgs[0].signal_LT, atol=1e-6)
    assert NAME not in ecg.record_id + ecg.patient_id
    assert signal_file_name(pair[0], where="ecgs.0") == f"{NAME}.dat"


def test_additional_leads_in_another_file_do_not_matter(
    pair: tuple[bytes, bytes], ecgs: list[Ecg]
) -> None:
    lines = pair[0].splitlines()
    lines[0] = lines[0].replace(b" 12 ", b" 13 ")
    lines.insert(13, f"{NAME}.xyz 16 1000/mV 16 0 0 0 0 vx".encode())
    ecg = decode_wfdb(b"\n".join(lines), pair[1], where="ecgs.0")
    np.testing.assert_allclose(ecg.signal_LT, ecgs[0].signal_LT, atol=1e-6)


def change(old: bytes, new: bytes) -> Callable[[bytes, bytes], tuple[bytes, bytes]]:
    return lambda header, signal: (header.replace(old, new), signal)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda h, s: (b"", s), MalformedHeader),
        (lambda h, s: (b"\x00" * 100, s), MalformedHeader),
        (lambda h, s: (h, s[:-1]), TruncatedSignal),
        (lambda h, s: (h, b""), TruncatedSignal),
        (lambda h, s: (h, s[:-2] + b"\x11\x22"), ChecksumMismatch),
        (change(b" 100 1000", b" 100 999999999999"), RecordTooLarge),
        (change(b".dat 16 ", b".dat 17 "), UnsupportedFormat),
        (change(b" V6\n", b" SMITH JOHN\n"), LeadError),
        (change(b" V6\n", b" V5\n"), LeadError),
        (change(b" V6\n", b" V7\n"), LeadError),
        (change(f"{NAME}.dat".encode(), b"../../SMITH_JOHN"), MalformedHeader),
        (lambda h, s: (h.replace(f"{NAME}.dat".encode(), b"SMITH.dat", 1), s), UnsupportedFormat),
        (lambda h, s: (f"{NAME}/2 12 100 1000\nSMITH 500\nSMITH 500\n".encode(), s), RecordError),
    ],
)
def test_what_is_wrong_is_said_without_the_patient(
    pair: tuple[bytes, bytes],
    spoil: Callable[[bytes, bytes], tuple[bytes, bytes]],
    expected: type[RecordError],
) -> None:
    with pytest.raises(expected) as refused:
        decode_wfdb(*spoil(*pair), where="ecgs.0.wfdb")
    message = str(refused.value)
    assert message.startswith("ecgs.0.wfdb: ")
    assert "SMITH" not in message.upper()
    assert "record.hea" not in message
    assert "/" not in message.replace("/SEGMENTS", "").replace("FORMAT[xSAMPLES]", "")


def test_nothing_is_left_on_disk(
    pair: tuple[bytes, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    decode_wfdb(*pair, where="ecgs.0")
    with pytest.raises(TruncatedSignal):
        decode_wfdb(pair[0], b"", where="ecgs.0")
    assert list(tmp_path.iterdir()) == []
