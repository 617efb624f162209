"""Exactly the files of a record are fetched, whatever its header names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from tests.data.conftest import RATE, voltages
from truelead.data import remote_records
from truelead.data.remote_records import fetch_record, listing_folder
from truelead.data.storage import Folder, open_folder
from truelead.errors import DataError, RecordTooLarge
from truelead.signal import read_record, write_record
from truelead.types import LEADS, Ecg


@pytest.fixture
def root(tmp_path: Path) -> Folder:
    """A set in the memory of this process."""
    folder = open_folder(f"memory:/{tmp_path}")
    write_record(tmp_path / "a" / "b", Ecg(voltages(1), RATE, record_id="one"))
    (tmp_path / "a" / "table.csv").write_text("1,2\n")
    for number in (1, 2):
        write_record(tmp_path, Ecg(voltages(number), RATE, record_id=f"segment{number}"))
    (tmp_path / "many.hea").write_text("many/3 12 100 500\nsegment1 200\n~ 100\nsegment2 200\n")
    (tmp_path / "listing.csv").write_text("id\n")
    (tmp_path / "notes.md").write_text("x")
    folder.filesystem.put(f"{tmp_path}/", folder.path, recursive=True)
    return folder


def names(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("path", ["a/b/one", "a/b/one.hea"])
def test_a_record_and_its_signal_file(root: Folder, tmp_path: Path, path: str) -> None:
    here = tmp_path / "here"
    fetch_record(root, path, here)
    assert names(here) == {"a/b/one.hea", "a/b/one.dat"}
    np.testing.assert_array_equal(read_record(here / path).signal_LT, voltages(1))


def test_every_segment_of_a_record(root: Folder, tmp_path: Path) -> None:
    here = tmp_path / "here"
    fetch_record(root, "many", here)
    expected = {f"segment{n}.{suffix}" for n in (1, 2) for suffix in ("hea", "dat")}
    assert names(here) == expected | {"many.hea"}
    signal_LT = read_record(here / "many").signal_LT
    assert signal_LT.shape == (len(LEADS), 500)
    assert wfdb.rdheader(str(here / "many")).n_seg == 3


def test_a_file_of_another_format(root: Folder, tmp_path: Path) -> None:
    fetch_record(root, "a/table.csv", tmp_path / "here")
    assert names(tmp_path / "here") == {"a/table.csv"}


def test_what_is_not_there_stays_absent(root: Folder, tmp_path: Path) -> None:
    here = tmp_path / "here"
    fetch_record(root, "a/none", here)
    assert not here.exists()
    root.remove("a/b/one.dat")
    fetch_record(root, "a/b/one", here)
    assert names(here) == {"a/b/one.hea"}


def test_a_huge_file_is_not_fetched(
    root: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_records, "LARGEST_FILE_BYTES", 1000)
    with pytest.raises(RecordTooLarge, match=r"one.dat: file: expected at most 1000 bytes"):
        fetch_record(root, "a/b/one", tmp_path / "here")


def test_the_tables_at_the_top(
    root: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listing_folder(root) as folder:
        assert names(folder) == {"listing.csv"}
    assert not folder.exists()
    with listing_folder(tmp_path) as folder:
        assert folder == tmp_path
    monkeypatch.setattr(remote_records, "LARGEST_FILE_BYTES", 1)
    with pytest.raises(DataError, match=r"listing.csv: expected at most 1 bytes"):
        listing_folder(root).__enter__()
    with pytest.raises(DataError, match="expected the set's folder"):
        listing_folder("memory://nowhere").__enter__()
