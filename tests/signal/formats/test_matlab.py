"""MATLAB files are written here by scipy, or byte by byte where scipy writes none such."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from bench.format_mutations import run_mutations
from truelead.errors import (
    InvalidEcg,
    MalformedHeader,
    MissingFile,
    RecordError,
    RecordTooLarge,
    StatementError,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.matlab import FORMAT, read, recognise
from truelead.signal.generator import generate_ecg
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

FEATS = StatedSignal(units="mV", leads=LEADS)
ARRAY = StatedSignal(500.0, "mV", LEADS, None, "leads-by-samples")
HEADER = b"MATLAB 5.0 MAT-file".ljust(116) + bytes(8) + b"\x00\x01IM"


def read_at(path: Path, address: str = "", stated: StatedSignal = ARRAY) -> Ecg:
    return read(Path(f"{path}{address}"), limits=DEFAULT_LIMITS, stated=stated)


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(
    name: bytes, shape: tuple[int, ...], numbers: bytes, *, array_class: int = 6, flags: int = 0,
    kind: int = 9,
) -> bytes:  # fmt: skip
    """A matrix element with any claims."""
    return element(
        14,
        element(6, struct.pack("<II", array_class | flags, 0))
        + element(5, struct.pack(f"<{len(shape)}i", *shape))
        + element(1, name)
        + element(kind, numbers),
    )


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """save(content): a file of that name to value, or of those bytes."""

    def make(content: dict[str, Any] | bytes, **settings: Any) -> Path:
        path = tmp_path / "made.mat"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            savemat(path, content, **settings)
        return path

    return make


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i2", "<i4", "<i8"])
@pytest.mark.parametrize("orientation", ["leads-by-samples", "samples-by-leads"])
def test_one_matrix(
    save: Callable[..., Path], dtype: str, orientation: str, compressed: bool
) -> None:
    ecg = generate_ecg(2, {}, sampling_rate=500, seconds=2).ecg
    stored_LT = np.rint(ecg.signal_LT * 1000).astype(dtype)
    stored = stored_LT if orientation == "leads-by-samples" else stored_LT.T
    content = {"ecg": stored, "patient": "Zebulon", "rate": 500.0, "notes": {"age": 71}}
    path = save(content, do_compression=compressed)
    read_back = read_at(path, "", StatedSignal(500.0, "uV", LEADS, None, orientation))
    assert (read_back.record_id, read_back.patient_id) == ("made", "")
    np.testing.assert_allclose(read_back.signal_LT, stored_LT / 1000, rtol=1e-6)
    assert tuple(FORMAT.files(Path(f"{path}::ecg"))) == (path,)


def test_the_layout_of_ecg_fm(save: Callable[..., Path], make_ecg: Callable[..., Ecg]) -> None:
    made = make_ecg()
    signal_LT = made.signal_LT.copy()
    signal_LT[5, 3:6] = np.nan
    content = {"feats": signal_LT, "curr_sample_rate": 400, "org_sample_rate": 500, "idx": 3}
    path = save(content)
    ecg = read_at(path, "", FEATS)
    assert ecg.sampling_rate == 400.0
    np.testing.assert_array_equal(ecg.signal_LT, signal_LT)
    for stated in (
        StatedSignal(500.0, "mV", LEADS),
        StatedSignal(units="mV", leads=LEADS, orientation="samples-by-leads"),
        StatedSignal(units="mV"),
        StatedSignal(leads=LEADS),
        StatedSignal(units="mV", leads=LEADS[:11]),
    ):
        with pytest.raises(StatementError):
            read_at(path, "", stated)
    for rate in (0, -1, np.nan, "400", [400, 500]):
        with pytest.raises(MalformedHeader):
            read_at(save({**content, "curr_sample_rate": rate}), "", FEATS)


@pytest.mark.real_data
def test_real_exams_equal_a_plain_read(real_data: Path) -> None:
    files = sorted((real_data / "code15").glob("*.mat"))
    assert len(files) == 10
    for file in files:
        ecg = read_at(file, "", FEATS)
        plain = loadmat(file)
        np.testing.assert_array_equal(ecg.signal_LT, plain["feats"])
        assert ecg.sampling_rate == plain["curr_sample_rate"][0, 0]
        assert ecg.record_id == file.stem


def test_a_variable_is_named_where_several_fit(
    save: Callable[..., Path], make_ecg: Callable[..., Ecg]
) -> None:
    first, second = make_ecg().signal_LT, make_ecg(seed=1).signal_LT
    path = save({"first": first, "second": second, "text": "x"})
    with pytest.raises(UnsupportedFormat, match="FILE::VARIABLE, found 2"):
        read_at(path)
    ecg = read_at(path, "::second")
    assert ecg.record_id == "made-second"
    np.testing.assert_array_equal(ecg.signal_LT, second)
    with pytest.raises(MissingFile, match="a variable of the file"):
        read_at(path, "::third")
    with pytest.raises(StatementError, match="without an index"):
        read_at(path, "::second#1")


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"a": np.ones((12, 5))},
        np.array([[np.ones(3), "x"]], dtype=object),
        np.ones((12, 5), dtype=complex),
        np.ones((12, 5), dtype=bool),
    ],
)
def test_anything_but_numbers_is_refused(save: Callable[..., Path], value: Any) -> None:
    for compressed in (False, True):
        path = save({"ecg": value}, do_compression=compressed)
        with pytest.raises(UnsupportedFormat):
            read_at(path, "::ecg")


@pytest.mark.parametrize(
    ("missing", "option"),
    [
        ({"sampling_rate": None}, "--rate"),
        ({"units": None}, "--units"),
        ({"leads": None}, "--leads"),
        ({"orientation": None}, "--orientation"),
    ],
)
def test_nothing_is_guessed(
    save: Callable[..., Path], missing: dict[str, Any], option: str
) -> None:
    path = save({"val": np.ones((12, 30))})
    with pytest.raises(StatementError, match=option):
        read_at(path, "", StatedSignal(**{**ARRAY.__dict__, **missing}))
    with pytest.raises(StatementError):
        read_at(path, "", NOTHING_STATED)


NUMBERS = bytes(12 * 5 * 8)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"MATLAB 7.3 MAT-file".ljust(128), MalformedHeader),
        (HEADER[:100], MalformedHeader),
        (HEADER[:124] + b"\x01\x00MI", UnsupportedFormat),
        (HEADER, UnsupportedFormat),
        (HEADER + b"\x0e\x00\x00", TruncatedSignal),
        (HEADER + struct.pack("<II", 14, 2**32 - 1), TruncatedSignal),
        (HEADER + element(14, b""), MalformedHeader),
        (HEADER + element(15, b"no zlib at all"), MalformedHeader),
        (HEADER + element(15, zlib.compress(b"")), MalformedHeader),
        (HEADER + matrix(b"ecg", (12, 6), NUMBERS), MalformedHeader),
        (HEADER + matrix(b"ecg", (12, 5), NUMBERS, kind=77), MalformedHeader),
        (HEADER + matrix(b"ecg", (12, 5), NUMBERS, kind=7), MalformedHeader),
        (HEADER + matrix(b"ecg", (12, -5), NUMBERS), MalformedHeader),
        (HEADER + matrix(b"ecg", (12,), NUMBERS), MalformedHeader),
        (HEADER + matrix(b"ecg", (12, 0), b""), MalformedHeader),
        (HEADER + matrix(b"ecg", (12, 2**31 - 1), NUMBERS), RecordTooLarge),
        (HEADER + matrix(b"ecg", (65, 5), NUMBERS), RecordTooLarge),
        (HEADER + 2 * matrix(b"ecg", (12, 5), NUMBERS), MalformedHeader),
        (HEADER + matrix(b"ecg", (12, 5), NUMBERS) * 1001, RecordError),
        (HEADER + matrix(b"ecg", (12, 5), struct.pack("<60d", *[np.inf] * 60)), InvalidEcg),
    ],
)
def test_damaged_claims(save: Callable[..., Path], content: bytes, kind: type[RecordError]) -> None:
    with pytest.raises(kind):
        read_at(save(content))


def test_a_matrix_made_by_hand_is_read(save: Callable[..., Path]) -> None:
    numbers = struct.pack("<60d", *range(60))
    ecg = read_at(save(HEADER + matrix(b"ecg", (12, 5), numbers)))
    np.testing.assert_array_equal(ecg.signal_LT, np.arange(60).reshape(5, 12).T)


def test_a_deflated_bomb_is_not_inflated(save: Callable[..., Path]) -> None:
    whole = matrix(b"ecg", (12, 5), NUMBERS)
    bomb = zlib.compress(whole + bytes(2**24))
    path = save(HEADER + struct.pack("<II", 15, len(bomb)) + bomb)
    tracemalloc.start()
    with pytest.raises(RecordTooLarge):
        read_at(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    cut = zlib.compress(whole)[:-8]
    with pytest.raises(TruncatedSignal):
        read_at(save(HEADER + struct.pack("<II", 15, len(cut)) + cut))


def test_limits_and_missing_files(save: Callable[..., Path], tmp_path: Path) -> None:
    path = save({"ecg": np.ones((12, 30))})
    with pytest.raises(RecordTooLarge, match="at most 29, found 30"):
        read(path, limits=ReadLimits(maximum_samples=29), stated=ARRAY)
    with pytest.raises(MissingFile):
        read_at(tmp_path / "none.mat")
    assert recognise(path.read_bytes()[:4096])
    assert not recognise(b"MATLAB 7.3 MAT-file")


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_files(
    tmp_path: Path, save: Callable[..., Path], make_ecg: Callable[..., Ecg], compressed: bool
) -> None:
    content = {
        "feats": make_ecg(samples=200).signal_LT, "curr_sample_rate": 400, "name": "Zebulon",
    }  # fmt: skip
    path = save(content, do_compression=compressed)
    outcome = run_mutations(
        FORMAT, path.read_bytes(), 100, 5, folder=tmp_path, stated=FEATS, secrets=("Zebulon",)
    )
    assert not outcome.failures, outcome.failures
    assert outcome.refused.total() > 30
