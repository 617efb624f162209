"""Arrays of NumPy: nothing is unpickled, reserved on the header's word, or guessed."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelead.errors import (
    InvalidEcg,
    LeadError,
    MalformedHeader,
    RecordError,
    RecordTooLarge,
    StatementError,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal import ReadLimits
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.npy import read, write
from truelead.types import LEADS, Ecg

ALL = StatedSignal(500.0, units="mV", leads=LEADS, orientation="leads-by-samples")


def array_bytes(array: Any, version: tuple[int, int] = (1, 0)) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), version=version, allow_pickle=True)
    return buffer.getvalue()


def header_bytes(text: str) -> bytes:
    body = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


def read_bytes(
    folder: Path, content: bytes, stated: StatedSignal = ALL, limits: ReadLimits = DEFAULT_LIMITS
) -> Ecg:
    path = folder / "array.npy"
    path.write_bytes(content)
    return read(path, limits=limits, stated=stated)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i2", ">i2", "<i4", "<i8", "|i1"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_of_every_kind_and_order(
    tmp_path: Path, dtype: str, version: tuple[int, int], order: Any
) -> None:
    array_LT = np.arange(12 * 40).reshape(12, 40) % 120
    content = array_bytes(np.array(array_LT, dtype=dtype, order=order), version)
    stated = StatedSignal(500.0, units="adc", gain=10.0, leads=LEADS, orientation=ALL.orientation)
    ecg = read_bytes(tmp_path, content, stated)
    np.testing.assert_array_equal(ecg.signal_LT, (array_LT / 10).astype(np.float32))
    assert (ecg.sampling_rate, ecg.record_id) == (500.0, "array")


def test_orientation_and_leads_are_the_stated_ones(tmp_path: Path) -> None:
    array_TL = np.random.default_rng(0).normal(size=(12, 12)).astype(np.float32)
    upright = StatedSignal(500.0, units="mV", leads=LEADS, orientation="samples-by-leads")
    np.testing.assert_array_equal(
        read_bytes(tmp_path, array_bytes(array_TL), upright).signal_LT, array_TL.T
    )
    np.testing.assert_array_equal(
        read_bytes(tmp_path, array_bytes(array_TL), ALL).signal_LT, array_TL
    )
    two = StatedSignal(500.0, units="uV", leads=("V2", "I"), orientation="leads-by-samples")
    ecg = read_bytes(tmp_path, array_bytes(np.array([[1000, 2000], [3000, 4000]])), two)
    np.testing.assert_array_equal(ecg.signal_LT[[0, 7]], [[3, 4], [1, 2]])
    assert ecg.lead_mask_L.sum() == 2


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("sampling_rate", "--rate"),
        ("units", "--units"),
        ("leads", "--leads"),
        ("orientation", "--orientation samples-by-leads or leads-by-samples"),
    ],
)
def test_each_statement_is_needed(tmp_path: Path, field: str, option: str) -> None:
    said = {name: getattr(ALL, name) for name in ("sampling_rate", "units", "leads", "orientation")}
    content = array_bytes(np.zeros((12, 5), np.float32))
    with pytest.raises(StatementError, match=option):
        read_bytes(tmp_path, content, StatedSignal(**{**said, field: None}))
    with pytest.raises(StatementError):
        read_bytes(tmp_path, content, NOTHING_STATED)


def test_a_statement_must_fit_the_array(tmp_path: Path) -> None:
    content = array_bytes(np.zeros((12, 5), np.float32))
    upright = StatedSignal(500.0, units="mV", leads=LEADS, orientation="samples-by-leads")
    with pytest.raises(StatementError, match="expected 5 names"):
        read_bytes(tmp_path, content, upright)
    with pytest.raises(StatementError, match="orientation"):
        read_bytes(tmp_path, content, StatedSignal(500.0, "mV", LEADS, orientation="sideways"))
    doubled = StatedSignal(500.0, "mV", ("I", *LEADS[:-1]), orientation="leads-by-samples")
    with pytest.raises(LeadError, match="I more than once"):
        read_bytes(tmp_path, content, doubled)


class _Planted:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (_Planted, "ran", True))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    planted = np.empty((12, 5), dtype=object)
    planted[:] = _Planted()
    with pytest.raises(UnsupportedFormat, match="whole or real numbers"):
        read_bytes(tmp_path, array_bytes(planted))
    with pytest.raises(MalformedHeader):
        read_bytes(tmp_path, pickle.dumps(_Planted()))
    assert not _Planted.ran


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((12, 5), complex),
        np.zeros((12, 5), bool),
        np.zeros((12, 5), "U4"),
        np.zeros((12, 5), "S4"),
        np.zeros((12, 5), "M8[s]"),
        np.zeros((12, 5), [("a", "f4")]),
        np.zeros((12, 5), "V8"),
        np.zeros(12),
        np.zeros((1, 12, 5)),
        np.float32(1),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_other_arrays_are_refused(tmp_path: Path, array: Any) -> None:
    with pytest.raises(UnsupportedFormat):
        read_bytes(tmp_path, array_bytes(array))


def test_claims_are_compared_with_the_file_first(tmp_path: Path) -> None:
    content = array_bytes(np.zeros((12, 50), np.float32))
    for changed in (content[:-1], content + b"\0", content[:200]):
        with pytest.raises(TruncatedSignal):
            read_bytes(tmp_path, changed)
    huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (12, 10**15), }"
    with pytest.raises(RecordError):
        read_bytes(tmp_path, header_bytes(huge))
    huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (12, 900000), }"
    with pytest.raises(TruncatedSignal, match="file: expected 86400"):
        read_bytes(tmp_path, header_bytes(huge))
    with pytest.raises(RecordTooLarge):
        read_bytes(tmp_path, content, limits=ReadLimits(maximum_samples=49))
    with pytest.raises(RecordTooLarge):
        read_bytes(tmp_path, content, limits=ReadLimits(maximum_leads=11))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "__import__('os').getcwd()",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (12, 5)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (12, -5)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (12.0, 5)}",
        "{'descr': 'nothing', 'fortran_order': False, 'shape': (12, 5)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5)}",
        "(" * 500,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 5)}" + " " * 20_000,
    ],
)
def test_headers_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecordError):
        read_bytes(tmp_path, header_bytes(text))


def test_versions_that_are_none(tmp_path: Path) -> None:
    content = bytearray(array_bytes(np.zeros((12, 5), np.float32)))
    for version in (0, 3, 9):
        content[6] = version
        with pytest.raises(MalformedHeader, match="version 1 or 2"):
            read_bytes(tmp_path, bytes(content))


def test_infinite_voltages_are_refused_and_gaps_kept(tmp_path: Path) -> None:
    array_LT = np.zeros((12, 5))
    array_LT[3, 2] = np.nan
    assert np.isnan(read_bytes(tmp_path, array_bytes(array_LT)).signal_LT).sum() == 1
    for value in (np.inf, 1e300):
        array_LT[3, 2] = value
        with pytest.raises(InvalidEcg, match="finite"):
            read_bytes(tmp_path, array_bytes(array_LT))


def test_what_is_written_is_the_signal_itself(tmp_path: Path) -> None:
    signal_LT = np.random.default_rng(2).normal(size=(12, 70)).astype(np.float32)
    signal_LT[5] = np.nan
    path = write(Ecg(signal_LT, 500.0, patient_id="nobody"), tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), signal_LT)
    np.testing.assert_array_equal(
        read(path, limits=DEFAULT_LIMITS, stated=ALL).signal_LT, signal_LT
    )
