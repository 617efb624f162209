"""HDF5 files are written here by h5py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import loadmat

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
from truelead.signal.formats import hdf5_dataset
from truelead.signal.formats.base import DEFAULT_LIMITS, NOTHING_STATED, StatedSignal
from truelead.signal.formats.hdf5 import FORMAT, read, recognise
from truelead.signal.generator import generate_ecg
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

MILLIVOLTS = StatedSignal(units="mV")
ARRAY = StatedSignal(sampling_rate=500.0, units="mV", leads=LEADS, orientation="leads-by-samples")


def read_at(path: Path, address: str = "", stated: StatedSignal = MILLIVOLTS) -> Ecg:
    return read(Path(f"{path}{address}"), limits=DEFAULT_LIMITS, stated=stated)


def tracings_of(*lengths: int) -> np.ndarray:
    """float32 (exams, 4096, 12), generated and padded with zeros on both sides."""
    tracings = np.zeros((len(lengths), 4096, 12), dtype=np.float32)
    for seed, length in enumerate(lengths):
        ecg = generate_ecg(seed, {}, sampling_rate=400, seconds=length / 400).ecg
        start = (4096 - length) // 2
        tracings[seed, start : start + length] = ecg.signal_LT.T
    return tracings


@pytest.fixture(scope="module")
def tracings() -> np.ndarray:
    return tracings_of(2800, 4000, 4096)


@pytest.fixture
def code15(tmp_path: Path, tracings: np.ndarray) -> Path:
    path = tmp_path / "exams_part0.hdf5"
    with h5py.File(path, "w") as root:
        root["exam_id"] = np.array([1169160, 2873686, 7])
        root["tracings"] = tracings
    return path


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """make_file(fill): a file that `fill(root)` wrote."""

    def make(fill: Callable[[Any], object], name: str = "study.h5", **settings: Any) -> Path:
        path = tmp_path / name
        with h5py.File(path, "w", **settings) as root:
            fill(root)
        return path

    return make


def test_an_exam_by_its_number_or_index(code15: Path, tracings: np.ndarray) -> None:
    for address in ("::1169160", "::#0"):
        ecg = read_at(code15, address)
        assert (ecg.record_id, ecg.patient_id, ecg.sampling_rate) == ("1169160", "", 400.0)
        np.testing.assert_array_equal(ecg.signal_LT, tracings[0, 648:-648].T)
    assert read_at(code15, "::2873686").signal_LT.shape == (12, 4000)
    np.testing.assert_array_equal(read_at(code15, "::7").signal_LT, tracings[2].T)
    assert tuple(FORMAT.files(Path(f"{code15}::7"))) == (code15,)


def test_zeros_inside_a_tracing_stay(code15: Path) -> None:
    with h5py.File(code15, "a") as root:
        root["tracings"][0, 1000:1100] = 0
        root["tracings"][0, :, 5] = 0
    ecg = read_at(code15, "::#0")
    assert ecg.signal_LT.shape == (12, 2800)
    assert not ecg.signal_LT[:, 352:452].any()
    with h5py.File(code15, "a") as root:
        root["tracings"][0] = 0
    with pytest.raises(InvalidEcg, match="nothing but zeros"):
        read_at(code15, "::#0")


def test_the_unit_of_code15_is_stated(code15: Path, tracings: np.ndarray) -> None:
    with pytest.raises(StatementError, match="--units"):
        read_at(code15, "::7", NOTHING_STATED)
    tenths = read_at(code15, "::7", StatedSignal(units="adc", gain=10.0))
    np.testing.assert_allclose(tenths.signal_LT, tracings[2].T / 10, rtol=1e-6)


@pytest.mark.parametrize(
    "stated",
    [
        StatedSignal(units="mV", sampling_rate=500.0),
        StatedSignal(units="mV", leads=LEADS[::-1]),
        StatedSignal(units="mV", orientation="leads-by-samples"),
    ],
)
def test_what_is_known_of_code15_is_not_overruled(code15: Path, stated: StatedSignal) -> None:
    with pytest.raises(StatementError):
        read_at(code15, "::7", stated)
    agreed = StatedSignal(400.0, "mV", LEADS, None, "samples-by-leads")
    assert read_at(code15, "::7", agreed).signal_LT.shape == (12, 4096)


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("", StatementError, "FILE::EXAM_ID or FILE::#INDEX, as the file holds several, found 3"),
        ("::8", MissingFile, "an exam_id of the file"),
        ("::#3", MissingFile, "index: expected 0 to 2, found 3"),
        ("::abc", StatementError, "FILE::EXAM_ID"),
        ("::7#1", StatementError, "FILE::EXAM_ID"),
        ("::", StatementError, "address"),
        ("::/nothing", StatementError, "--rate"),
    ],
)
def test_wrong_addresses(code15: Path, address: str, kind: type[RecordError], message: str) -> None:
    with pytest.raises(kind, match=message):
        read_at(code15, address)


def test_one_exam_needs_no_address(make_file: Callable[..., Path]) -> None:
    tracings = tracings_of(2800)

    def fill(root: Any) -> None:
        root["exam_id"], root["tracings"] = [5], tracings

    path = make_file(fill, "one::exam.hdf5")
    ecg = read_at(path)
    assert ecg.record_id == "one::exam"
    np.testing.assert_array_equal(ecg.signal_LT, tracings[0, 648:-648].T)


def test_damaged_code15(make_file: Callable[..., Path]) -> None:
    def twice(root: Any) -> None:
        root["exam_id"], root["tracings"] = [5, 5], np.ones((2, 8, 12))

    with pytest.raises(MalformedHeader, match="each once"):
        read_at(make_file(twice), "::5")

    def fewer(root: Any) -> None:
        root["exam_id"], root["tracings"] = [5], np.ones((2, 8, 12))

    with pytest.raises(MalformedHeader, match="one whole number for each tracing"):
        read_at(make_file(fewer), "::5")


@pytest.mark.parametrize("orientation", ["leads-by-samples", "samples-by-leads"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"compression": "gzip", "shuffle": True, "chunks": True},
        {"compression": "lzf", "fletcher32": True},
        {"chunks": (5, 7)},
    ],
)
def test_a_dataset_with_a_statement(
    make_file: Callable[..., Path], make_ecg: Callable[..., Ecg], orientation: str, settings: Any
) -> None:
    made = make_ecg()
    signal_LT = made.signal_LT.copy()
    signal_LT[3, 8:11] = np.nan
    stored = signal_LT * 1000 if orientation == "leads-by-samples" else signal_LT.T * 1000

    def fill(root: Any) -> None:
        root.create_dataset("rest/ecg", data=stored, **settings)
        root["rest/times"] = np.arange(500)
        root["note"] = "text"

    path = make_file(fill)
    stated = StatedSignal(500.0, "uV", tuple(x.lower() for x in LEADS), None, orientation)
    ecg = read_at(path, "", stated)
    assert (ecg.record_id, ecg.sampling_rate) == ("study", 500.0)
    np.testing.assert_allclose(ecg.signal_LT, signal_LT, rtol=1e-6)
    named = read_at(path, "::/rest/ecg", stated)
    assert named.record_id == "study-rest-ecg"
    np.testing.assert_array_equal(named.signal_LT, ecg.signal_LT)


def test_integers_missing_and_additional_leads(make_file: Callable[..., Path]) -> None:
    stored = np.random.default_rng(0).integers(-4000, 4000, (600, 4)).astype(">i2")

    def fill(root: Any) -> None:
        root["ecg"] = stored

    stated = StatedSignal(250.0, "adc", ("V7", "DII", "C1", "avr"), 200.0, "samples-by-leads")
    ecg = read_at(make_file(fill), "", stated)
    assert ecg.lead_mask_L.sum() == 3
    for row, column in ((1, 1), (6, 2), (3, 3)):
        np.testing.assert_allclose(ecg.signal_LT[row], stored[:, column] / 200, rtol=1e-6)


def test_one_of_several_in_three_axes(make_file: Callable[..., Path]) -> None:
    stored = np.random.default_rng(0).normal(size=(4, 12, 90))

    def fill(root: Any) -> None:
        root.create_dataset("all", data=stored, chunks=(3, 12, 40))

    path = make_file(fill)
    for address, name in (("::#3", "study-3"), ("::/all#3", "study-all-3")):
        ecg = read_at(path, address, ARRAY)
        assert ecg.record_id == name
        np.testing.assert_allclose(ecg.signal_LT, stored[3], rtol=1e-6)
    for address, kind in (("", StatementError), ("::#4", MissingFile)):
        with pytest.raises(kind):
            read_at(path, address, ARRAY)


@pytest.mark.parametrize(
    ("missing", "option"),
    [
        ({"sampling_rate": None}, "--rate"),
        ({"units": None}, "--units"),
        ({"units": "adc"}, "--gain"),
        ({"leads": None}, "--leads"),
        ({"orientation": None}, "--orientation"),
    ],
)
def test_nothing_is_guessed(
    make_file: Callable[..., Path], missing: dict[str, Any], option: str
) -> None:
    def fill(root: Any) -> None:
        root["ecg"] = np.ones((12, 40))

    stated = StatedSignal(**{**ARRAY.__dict__, **missing})
    with pytest.raises(StatementError, match=option):
        read_at(make_file(fill), "", stated)


def external_link(root: Any) -> None:
    root["ecg"] = h5py.ExternalLink("other.h5", "/ecg")


def soft_link(root: Any) -> None:
    root["ecg"] = h5py.SoftLink("/elsewhere")


def external_storage(root: Any) -> None:
    shape, raw = (12, 40), Path(root.filename).with_name("raw.bin")
    raw.write_bytes(bytes(12 * 40 * 8))
    root.create_dataset("ecg", shape, dtype="f8", external=[(str(raw), 0, 12 * 40 * 8)])


def virtual(root: Any) -> None:
    layout = h5py.VirtualLayout(shape=(12, 40), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "ecg", shape=(12, 40))
    root.create_virtual_dataset("ecg", layout)


def never_written(root: Any) -> None:
    root.create_dataset("ecg", (12, 40), dtype="f8")


def half_written(root: Any) -> None:
    root.create_dataset("ecg", (12, 40), dtype="f8", chunks=(12, 20))[:, :20] = 1


def huge(root: Any) -> None:
    root.create_dataset("ecg", (12, 2**40), dtype="f8", chunks=(12, 1000))


def many_leads(root: Any) -> None:
    root["ecg"] = np.ones((65, 10))


def huge_chunk(root: Any) -> None:
    root.create_dataset("ecg", (12, 40), maxshape=(None, None), dtype="f8", chunks=(12, 2**24))


def tiny_chunks(root: Any) -> None:
    root.create_dataset("ecg", data=np.ones((12, 400)), chunks=(1, 1))


def records(root: Any) -> None:
    root["ecg"] = np.zeros((12, 40), dtype=[("a", "f4"), ("b", "i4")])


def texts(root: Any) -> None:
    root.create_dataset("ecg", data=np.full((12, 4), "x", dtype=object), dtype=h5py.string_dtype())


def complex_numbers(root: Any) -> None:
    root["ecg"] = np.zeros((12, 40), dtype=np.complex64)


def two(root: Any) -> None:
    root["a"] = root["b"] = np.ones((12, 40))


def eleven(root: Any) -> None:
    root["ecg"] = np.ones((11, 40))


def infinite(root: Any) -> None:
    root["ecg"] = np.full((12, 40), np.inf)


def empty(root: Any) -> None:
    root["ecg"] = np.ones((12, 0))


@pytest.mark.parametrize(
    ("fill", "kind"),
    [
        (external_link, MissingFile),
        (soft_link, MissingFile),
        (external_storage, UnsupportedFormat),
        (virtual, UnsupportedFormat),
        (never_written, TruncatedSignal),
        (half_written, TruncatedSignal),
        (huge, RecordTooLarge),
        (many_leads, RecordTooLarge),
        (huge_chunk, RecordTooLarge),
        (tiny_chunks, RecordTooLarge),
        (records, UnsupportedFormat),
        (texts, UnsupportedFormat),
        (complex_numbers, UnsupportedFormat),
        (eleven, StatementError),
        (infinite, InvalidEcg),
        (empty, MalformedHeader),
    ],
)
def test_datasets_that_are_refused(
    make_file: Callable[..., Path], fill: Callable[[Any], None], kind: type[RecordError]
) -> None:
    with pytest.raises(kind):
        read_at(make_file(fill), "::/ecg", ARRAY)


def test_the_dataset_must_be_told_from_others(make_file: Callable[..., Path]) -> None:
    path = make_file(two)
    with pytest.raises(UnsupportedFormat, match="FILE::/DATASET, found 2"):
        read_at(path, "", ARRAY)
    assert read_at(path, "::/b", ARRAY).record_id == "study-b"
    for fill in (external_link, soft_link, texts):
        with pytest.raises(UnsupportedFormat, match="found 0"):
            read_at(make_file(fill), "", ARRAY)


def test_a_foreign_filter_loads_no_plugin(make_file: Callable[..., Path]) -> None:
    def fill(root: Any) -> None:
        data = root.create_dataset("ecg", data=np.ones((12, 40)), compression="gzip")
        assert data.compression == "gzip"

    path = make_file(fill)
    content = path.read_bytes()
    # The filter's number, its name's length and its flags in the message of version 1.
    assert content.count(b"\x01\x00\x08\x00\x01\x00") == 1
    path.write_bytes(content.replace(b"\x01\x00\x08\x00\x01\x00", b"\x0e\x7d\x08\x00\x01\x00"))
    with pytest.raises(UnsupportedFormat, match="no compression, gzip"):
        read_at(path, "::/ecg", ARRAY)


def test_groups_in_a_circle_and_a_crowd(
    make_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def circle(root: Any) -> None:
        root.create_group("a")["again"] = root["/"]

    with pytest.raises(RecordTooLarge, match="groups: expected at most 8 levels"):
        read_at(make_file(circle), "", ARRAY)
    monkeypatch.setattr(hdf5_dataset, "MAXIMUM_OBJECTS", 30)

    def crowd(root: Any) -> None:
        for number in range(40):
            root.create_group(f"{number}")

    with pytest.raises(RecordTooLarge, match="members: expected at most 30"):
        read_at(make_file(crowd), "", ARRAY)


def test_only_the_slice_is_read(code15: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_shapes = []
    real = h5py.Dataset.__getitem__

    def watched(self: Any, index: Any, *more: Any) -> Any:
        part = real(self, index, *more)
        read_shapes.append(np.shape(part))
        return part

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    read_at(code15, "::7")
    assert read_shapes == [(3,), (4096, 12)]


def test_limits_files_and_signature(code15: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordTooLarge, match="at most 4095, found 4096"):
        read(Path(f"{code15}::7"), limits=ReadLimits(maximum_samples=4095), stated=MILLIVOLTS)
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(MissingFile):
            read_at(path)
    content = code15.read_bytes()
    assert recognise(content[:4096])
    assert recognise(b"MATLAB 7.3 MAT-file".ljust(512) + content[:100])
    assert not recognise(b"x" + content[:100])
    code15.write_bytes(content[: len(content) // 2])
    with pytest.raises(RecordError):
        read_at(code15, "::7")
    code15.write_bytes(b"no HDF5")
    with pytest.raises(MalformedHeader):
        read_at(code15, "::7")


def test_without_the_package(code15: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnsupportedFormat, match=r"h5py \(pip install 'truelead\[formats\]'\)"):
        read_at(code15, "::7")


def test_leads_that_are_stated_twice(make_file: Callable[..., Path]) -> None:
    def fill(root: Any) -> None:
        root["ecg"] = np.ones((12, 40))

    stated = StatedSignal(500.0, "mV", (*LEADS[:11], "I"), None, "leads-by-samples")
    with pytest.raises(LeadError, match="I more than once"):
        read_at(make_file(fill), "", stated)


@pytest.mark.real_data
def test_real_exams_in_the_published_layout(real_data: Path, tmp_path: Path) -> None:
    """Real CODE-15% tracings, padded again as the set pads them."""
    files = sorted((real_data / "code15").glob("*.mat"))
    tracings = np.zeros((len(files), 4096, 12), dtype=np.float32)
    feats = [loadmat(file)["feats"] for file in files]
    for tracing_TL, feats_LT in zip(tracings, feats, strict=True):
        start = (4096 - feats_LT.shape[1]) // 2
        tracing_TL[start : start + feats_LT.shape[1]] = feats_LT.T
    path = tmp_path / "exams.hdf5"
    with h5py.File(path, "w") as root:
        root["tracings"] = tracings
        root["exam_id"] = [int(file.stem.split("_")[-1]) for file in files]
    for file, feats_LT in zip(files, feats, strict=True):
        ecg = read_at(path, f"::{file.stem.split('_')[-1]}")
        np.testing.assert_array_equal(ecg.signal_LT, feats_LT)


def damage_cases() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "contiguous", {}
    yield "gzip", {"compression": "gzip", "chunks": (12, 100)}


@pytest.mark.parametrize(("name", "settings"), list(damage_cases()))
def test_damaged_files(
    tmp_path: Path, make_file: Callable[..., Path], make_ecg: Callable[..., Ecg], name: str,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    def fill(root: Any) -> None:
        data = root.create_dataset("rest/ecg", data=make_ecg(samples=200).signal_LT, **settings)
        data.attrs["patient"] = "Zebulon"

    content = make_file(fill, f"{name}.h5").read_bytes()
    outcome = run_mutations(
        FORMAT, content, 100, 3, folder=tmp_path, stated=ARRAY, secrets=("Zebulon",)
    )
    assert not outcome.failures, outcome.failures
    assert outcome.refused.total() > 20
    assert outcome.same > 0
