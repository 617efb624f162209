"""Uploaded files are paired by what the headers name."""

from __future__ import annotations

from pathlib import Path

import pytest

from truelead.errors import RecordError, ServiceError, UnsupportedFormat
from truelead.service.upload import UploadedFile, ecgs_of_files
from truelead.signal import write_record
from truelead.types import Ecg


@pytest.fixture(scope="module")
def files(ecgs: list[Ecg], tmp_path_factory: pytest.TempPathFactory) -> dict[str, UploadedFile]:
    folder: Path = tmp_path_factory.mktemp("files")
    for name, ecg in zip("abc", ecgs, strict=False):
        write_record(folder, ecg, name=name)
    return {p.name: UploadedFile(p.name, p.read_bytes()) for p in folder.iterdir()}


def test_pairs_follow_the_order_of_the_headers(files: dict[str, UploadedFile]) -> None:
    sent = [files[name] for name in ("a.dat", "b.hea", "b.dat", "a.hea")]
    pairs = [ecg["wfdb"] for ecg in ecgs_of_files(sent)]
    assert [pair["header"] for pair in pairs] == [files["b.hea"].content, files["a.hea"].content]
    assert [pair["signal"] for pair in pairs] == [files["b.dat"].content, files["a.dat"].content]


def test_folders_and_letter_case_do_not_matter(files: dict[str, UploadedFile]) -> None:
    sent = [
        UploadedFile("C:\\records\\A.HEA", files["a.hea"].content),
        UploadedFile("../../etc/A.DAT", files["a.dat"].content),
        files["b.hea"],
        files["b.dat"],
    ]
    assert ecgs_of_files(sent)[0]["wfdb"]["signal"] == files["a.dat"].content


def test_one_renamed_pair_is_still_a_pair(files: dict[str, UploadedFile]) -> None:
    sent = [files["a.hea"], UploadedFile("renamed.bin", files["a.dat"].content)]
    assert ecgs_of_files(sent)[0]["wfdb"]["signal"] == files["a.dat"].content


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), "1 to 2 ECGs"),
        (("a.hea", "b.hea", "c.hea", "a.dat", "b.dat", "c.dat"), "found 3"),
        (("a.dat", "b.dat", "c.dat"), "found 3"),
        (("a.hea",), "signal file that the header names"),
        (("a.hea", "b.hea", "a.dat", "c.dat"), "files.1: expected the signal file"),
    ],
)
def test_what_does_not_pair_is_refused(
    files: dict[str, UploadedFile], names: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(ServiceError, match=expected):
        ecgs_of_files([files[name] for name in names])


def test_other_files_are_ecgs_of_their_own_in_their_place(files: dict[str, UploadedFile]) -> None:
    other = UploadedFile("../Smith.CSV", b"1")
    found = ecgs_of_files([other, files["a.dat"], files["a.hea"]], {"units": "mV"})
    assert found[0] == {"file": {"name": "smith.csv", "content": b"1", "units": "mV"}}
    assert found[1] == {
        "wfdb": {"header": files["a.hea"].content, "signal": files["a.dat"].content}
    }


def test_what_a_header_says_is_not_stated_again(files: dict[str, UploadedFile]) -> None:
    with pytest.raises(ServiceError, match="units: expected no such field"):
        ecgs_of_files([files["a.hea"], files["a.dat"]], {"units": "mV"})


@pytest.mark.parametrize("magic", [b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"7z\xbc\xaf'\x1c"])
def test_archives_are_not_opened(files: dict[str, UploadedFile], magic: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=r"files\.1: file: expected the ECG file itself"):
        ecgs_of_files([files["a.hea"], UploadedFile("a.dat", magic + bytes(64))])


def test_a_header_that_cannot_be_read(files: dict[str, UploadedFile]) -> None:
    with pytest.raises(RecordError, match=r"^files\.0: "):
        ecgs_of_files([UploadedFile("a.hea", b"SMITH"), files["a.dat"]])
