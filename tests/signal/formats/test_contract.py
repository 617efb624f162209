"""What every format of `FORMATS` promises, checked by being listed there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from tests.signal.formats import scp_ecg_encoder
from truelead.errors import RecordError, UnsupportedFormat
from truelead.signal import write_record
from truelead.signal.formats import FORMATS
from truelead.signal.formats.base import (
    DEFAULT_LIMITS,
    HEAD_BYTES,
    NOTHING_STATED,
    Format,
    StatedSignal,
)
from truelead.signal.formats.reading import find_format, read_ecg, write_ecg
from truelead.signal.generator import generate_patient
from truelead.types import LEADS, Ecg

WRITABLE = [name for name, one in FORMATS.items() if one.write is not None]
RATES = {"100 Hz": 100, "500 Hz": 500}


@pytest.fixture(scope="module", params=RATES.values(), ids=RATES)
def generated(request: pytest.FixtureRequest) -> Ecg:
    (found,) = generate_patient(5, 0, ecgs=1, sampling_rate=request.param)
    return Ecg(found.ecg.signal_LT, float(request.param), record_id="generated")


def statement_for(one: Format, sampling_rate: float) -> StatedSignal:
    """What has to be said of a file of this format that holds 12 rows in canonical order."""
    said = {
        "sampling_rate": sampling_rate,
        "units": "mV",
        "leads": LEADS,
        "orientation": "leads-by-samples",
    }
    return StatedSignal(**{field: said[field] for field in one.needs})  # type: ignore[arg-type]


def _muse(folder: Path, ecg: Ecg) -> bytes:
    return b'<?xml version="1.0"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n<RestingECG/>'


def _philips(folder: Path, ecg: Ecg) -> bytes:
    return b'<?xml version="1.0"?>\n<restingecgdata xmlns="http://www3.medical.philips.com"/>'


def _scp_ecg(folder: Path, ecg: Ecg) -> bytes:
    return scp_ecg_encoder.twelve_leads(np.rint(ecg.signal_LT * 1000).astype(np.int64))


def _hdf5(folder: Path, ecg: Ecg) -> bytes:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "made.h5", "w") as file:
        file["ecg"] = ecg.signal_LT
    return (folder / "made.h5").read_bytes()


def _matlab(folder: Path, ecg: Ecg) -> bytes:
    scipy.io.savemat(folder / "made.mat", {"ecg": ecg.signal_LT})
    return (folder / "made.mat").read_bytes()


MADE: dict[str, Callable[[Path, Ecg], bytes]] = {
    "muse": _muse,
    "philips": _philips,
    "scp-ecg": _scp_ecg,
    "hdf5": _hdf5,
    "matlab": _matlab,
}
"""Of formats without a writer: the content of a file, or its beginning where that is enough."""


def content_of(name: str, folder: Path, ecg: Ecg) -> bytes:
    one = FORMATS[name]
    if name in MADE:
        return MADE[name](folder, ecg)
    assert one.write is not None
    return one.write(ecg, folder / f"made{one.suffixes[0]}").read_bytes()


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("heads")
    ecg = one_ecg()
    return {name: content_of(name, folder, ecg)[:HEAD_BYTES] for name in FORMATS}


def one_ecg() -> Ecg:
    (found,) = generate_patient(6, 1, ecgs=1)
    return found.ecg


def test_the_formats_are_listed_by_their_names() -> None:
    assert [one.name for one in FORMATS.values()] == list(FORMATS)
    for one in FORMATS.values():
        assert one.title
        assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in one.suffixes)


@pytest.mark.parametrize("name", WRITABLE)
def test_what_is_written_is_read_back(name: str, tmp_path: Path, generated: Ecg) -> None:
    one = FORMATS[name]
    signal_LT = generated.signal_LT.copy()
    signal_LT[4] = np.nan
    ecg = Ecg(signal_LT, generated.sampling_rate, "generated", patient_id="pseudonym")
    path = write_ecg(ecg, tmp_path / "new" / f"generated{one.suffixes[0]}", name)
    read = read_ecg(path, stated=statement_for(one, ecg.sampling_rate))
    assert read.sampling_rate == ecg.sampling_rate
    assert read.record_id == "generated"
    assert read.signal_LT.shape == ecg.signal_LT.shape
    np.testing.assert_array_equal(np.isnan(read.signal_LT), np.isnan(signal_LT))
    off_LT = np.abs(read.signal_LT.astype(np.float64) - signal_LT)
    assert np.nanmax(off_LT) <= one.precision_millivolts
    assert b"pseudonym" not in b"".join(file.read_bytes() for file in one.files(path))
    leftover = [file for file in path.parent.iterdir() if file not in set(one.files(path))]
    assert not leftover


@pytest.mark.parametrize("name", WRITABLE)
def test_writing_twice_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    one = FORMATS[name]
    ecg = one_ecg()
    written = []
    for folder in ("a", "b"):
        path = write_ecg(ecg, tmp_path / folder / f"same{one.suffixes[0]}", name)
        written.append([file.read_bytes() for file in one.files(path)])
    assert written[0] == written[1]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["empty", "random", "text", "zeros", "folder", "missing", "cut"])
def test_what_is_no_ecg_is_an_error_of_a_record(
    name: str, kind: str, tmp_path: Path, heads: dict[str, bytes]
) -> None:
    one = FORMATS[name]
    path = tmp_path / f"bad{one.suffixes[0]}"
    random = np.random.default_rng(zlib.crc32(name.encode()))
    content = {
        "empty": b"",
        "random": random.bytes(4096),
        "text": b"no ECG, just words\nand more of them\n" * 20,
        "zeros": bytes(4096),
        "cut": heads[name][: len(heads[name]) // 3],
    }
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(content[kind])
    stated = statement_for(one, 500.0)
    with pytest.raises(RecordError) as caught:
        one.read(path, limits=DEFAULT_LIMITS, stated=stated)
    assert "\n" not in str(caught.value)
    with pytest.raises(RecordError):
        read_ecg(path, stated=stated)
    # Without the statement, where it is needed, the answer is an error of a record as well.
    with pytest.raises(RecordError):
        read_ecg(path, stated=NOTHING_STATED)


def test_each_format_knows_its_own_files_and_no_others(heads: dict[str, bytes]) -> None:
    known = {
        name: [other for other, one in FORMATS.items() if one.recognise(head)]
        for name, head in heads.items()
    }
    assert known == {name: [name] for name in FORMATS}


def test_no_format_knows_what_is_none() -> None:
    random = np.random.default_rng(0)
    nothing = [
        b"",
        b"\n",
        b" ",
        b"{}",
        b'{"I": [1, 2, 3]}',
        b"<html></html>",
        b"\x00" * HEAD_BYTES,
        b"%PDF-1.7\n",
        b"PK\x03\x04" + bytes(200),
        b"name,age\nsomebody,44\n",
        b"words and words\n",
        b"\xff\xfe<\x00",
        struct.pack("<I", 0x04034B50),
        *(random.bytes(HEAD_BYTES) for _ in range(200)),
        *(bytes(random.integers(32, 127, size=200, dtype=np.uint8)) for _ in range(200)),
    ]
    for head in nothing:
        assert [name for name, one in FORMATS.items() if one.recognise(head)] == [], head[:20]


@pytest.mark.parametrize("name", FORMATS)
def test_content_decides_before_the_suffix(
    name: str, tmp_path: Path, heads: dict[str, bytes]
) -> None:
    path = tmp_path / "misnamed.jpeg"
    path.write_bytes(heads[name])
    assert find_format(path)[1].name == name


def test_a_damaged_file_goes_to_the_reader_of_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "damaged.npy"
    path.write_bytes(b"\x93NUMPZ" + bytes(100))
    assert find_format(path)[1].name == "npy"


def test_an_unknown_file_lists_the_formats(tmp_path: Path) -> None:
    path = tmp_path / "unknown.bin"
    path.write_bytes(b"\x01\x02\x03")
    with pytest.raises(UnsupportedFormat, match=f"one of {', '.join(FORMATS)}"):
        read_ecg(path)
    shared = tmp_path / "damaged.xml"
    shared.write_bytes(b"<other/>")
    with pytest.raises(UnsupportedFormat, match=r"one of aecg, muse, philips .*more than one"):
        read_ecg(shared)
    with pytest.raises(UnsupportedFormat, match="format: name: expected one of"):
        read_ecg(path, format="edff")


def test_a_wfdb_record_by_any_of_its_names(tmp_path: Path) -> None:
    ecg = one_ecg()
    write_record(tmp_path, ecg, name="one")
    for name in ("one", "one.hea", "one.dat"):
        read = read_ecg(tmp_path / name)
        assert read.record_id == "one"
        np.testing.assert_allclose(read.signal_LT, ecg.signal_LT, atol=0.000501)
    (tmp_path / "other.dat").write_bytes(b"\x01\x02")
    with pytest.raises(UnsupportedFormat):
        read_ecg(tmp_path / "other.dat")


def test_writing_goes_by_the_suffix_or_by_name(tmp_path: Path) -> None:
    ecg = one_ecg()
    assert write_ecg(ecg, tmp_path / "a.csv").read_bytes().startswith(b"time (s),I (mV)")
    assert write_ecg(ecg, tmp_path / "b.bin", "npy").read_bytes().startswith(b"\x93NUMPY")
    with pytest.raises(UnsupportedFormat, match=r"\.csv \(csv\)"):
        write_ecg(ecg, tmp_path / "c.pdf")
    with pytest.raises(UnsupportedFormat, match="to write, found scp-ecg"):
        write_ecg(ecg, tmp_path / "d.scp", "scp-ecg")


@pytest.mark.real_data
def test_challenge_records_are_wfdb_records(real_data: Path) -> None:
    import wfdb

    headers = sorted((real_data / "cinc2021").glob("*.hea"))[::8]
    assert headers
    for header in headers:
        record = wfdb.rdrecord(str(header.with_suffix("")))
        for path in (header, header.with_suffix(".mat"), header.with_suffix("")):
            ecg = read_ecg(path)
            np.testing.assert_array_equal(ecg.signal_LT, record.p_signal.T.astype(np.float32))
        files = list(FORMATS["wfdb"].files(header))
        assert files == [header, header.with_suffix(".mat")]
