"""Uploaded files are paired by what the headers name."""

from __future__ import annotations

from pathlib import Path

import pytest

from truelead.errors import RecordError, ServiceError
from truelead.service.upload import UploadedFile, pair_files
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
    pairs = [ecg["wfdb"] for ecg in pair_files(sent)]
    assert [pair["header"] for pair in pairs] == [files["b.hea"].content, files["a.hea"].content]
    assert [pair["signal"] for pair in pairs] == [files["b.dat"].content, files["a.dat"].content]


def test_folders_and_letter_case_do_not_matter(files: dict[str, UploadedFile]) -> None:
    sent = [
        UploadedFile("C:\\records\\A.HEA", files["a.hea"].content),
        UploadedFile("../../etc/A.DAT", files["a.dat"].content),
        files["b.hea"],
        files["b.dat"],
    ]
    assert pair_files(sent)[0]["wfdb"]["signal"] == files["a.dat"].content


def test_one_renamed_pair_is_still_a_pair(files: dict[str, UploadedFile]) -> None:
    sent = [files["a.hea"], UploadedFile("renamed.bin", files["a.dat"].content)]
    assert pair_files(sent)[0]["wfdb"]["signal"] == files["a.dat"].content


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), "1 to 2 header files"),
        (("a.dat",), "1 to 2 header files"),
        (("a.hea", "b.hea", "c.hea", "a.dat", "b.dat", "c.dat"), "found 3"),
        (("a.hea",), "signal file that the header names"),
        (("a.hea", "b.hea", "a.dat", "c.dat"), "files.1: expected the signal file"),
        (("a.hea", "a.dat", "b.dat"), "found 1 more"),
    ],
)
def test_what_does_not_pair_is_refused(
    files: dict[str, UploadedFile], names: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(ServiceError, match=expected):
        pair_files([files[name] for name in names])


def test_a_header_that_cannot_be_read(files: dict[str, UploadedFile]) -> None:
    with pytest.raises(RecordError, match=r"^files\.0: "):
        pair_files([UploadedFile("a.hea", b"SMITH"), files["a.dat"]])
