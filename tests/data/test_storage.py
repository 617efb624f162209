"""Folders anywhere: whole files or none, faults tried again, what is missing said clearly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from tests.data.unreliable_filesystem import UnreliableFileSystem, calls
from truelead.data import storage
from truelead.data.storage import Folder, local_path, open_folder
from truelead.errors import DataError


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FIRST_PAUSE_SECONDS", 0.0)


def local(tmp_path: Path) -> Folder:
    return open_folder(tmp_path / "place")


def file_url(tmp_path: Path) -> Folder:
    return open_folder(f"file://{tmp_path}/place")


def memory(tmp_path: Path) -> Folder:
    return open_folder(f"memory://{tmp_path}/place")


def chained(tmp_path: Path) -> Folder:
    return open_folder(f"dir::file://{tmp_path}/place")


def unreliable(tmp_path: Path) -> Folder:
    return Folder("place", UnreliableFileSystem(str(tmp_path)), "unreliable://place")


@pytest.fixture(params=[local, file_url, memory, chained, unreliable])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    make: Callable[[Path], Folder] = request.param
    return make(tmp_path)


def test_files_in_and_out(folder: Folder, tmp_path: Path) -> None:
    assert folder.names() == []
    assert folder.size("a.txt") is None
    folder.make()
    folder.place_text("a.txt", "first")
    folder.place_text("a.txt", "ümlaut")
    content = "ümlaut".encode()
    assert folder.exists()
    assert folder.names() == ["a.txt"]
    assert folder.size("a.txt") == len(content)
    assert folder.read("a.txt") == content
    assert folder.sha256("a.txt") == hashlib.sha256(content).hexdigest()
    assert folder.opened("a.txt", lambda stream: stream.read(3)) == content[:3]
    folder.fetch("a.txt", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == content
    with folder.fetched("a.txt") as path:
        assert path.read_bytes() == content
    folder.remove("a.txt")
    folder.remove("a.txt")
    assert folder.names() == []
    with pytest.raises(FileNotFoundError):
        folder.read("a.txt")
    with pytest.raises(FileNotFoundError):
        folder.fetch("a.txt", tmp_path / "none")


def test_a_fault_while_writing_leaves_what_was_there(folder: Folder) -> None:
    folder.make()
    folder.place_text("a.txt", "old")

    def write_half() -> None:
        with folder.placed("a.txt") as path:
            path.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert folder.read("a.txt") == b"old"
    assert folder.names() == ["a.txt"]


def test_file_urls_are_plain_folders(tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}", f"local://{tmp_path}", str(tmp_path)):
        assert open_folder(url).local == tmp_path
    assert open_folder("memory://x").local is None


def test_faults_of_the_network_are_tried_again(tmp_path: Path) -> None:
    folder = unreliable(tmp_path)
    folder.make()
    for number in range(6):
        folder.place_text(f"{number}.txt", str(number))
    assert [folder.read(f"{number}.txt") for number in range(6)] == [b"%d" % n for n in range(6)]
    assert folder.names() == [f"{number}.txt" for number in range(6)]
    assert calls(tmp_path, "put_file") > 6


def test_a_lasting_fault_is_raised_and_leaves_nothing(tmp_path: Path) -> None:
    filesystem = UnreliableFileSystem(str(tmp_path), dead="b.txt")
    folder = Folder("place", filesystem, "unreliable://place")
    folder.make()
    with pytest.raises(TimeoutError):
        folder.place_text("b.txt", "x")
    assert folder.names() == []
    assert calls(tmp_path, "put_file") == storage.ATTEMPTS


def test_unknown_protocols_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="expected a URL that fsspec knows, found nowhere://"):
        open_folder("nowhere://x/y")

    def missing(*_: object, **__: object) -> object:
        raise ImportError

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(DataError, match=r"gcsfs: pip install 'truelead\[storage\]'"):
        open_folder("gs://bucket/folder")
    with pytest.raises(DataError, match="sftp://host/x: expected the package") as error:
        open_folder("sftp://user:secret@host/x")
    assert "secret" not in str(error.value)


def test_what_reads_shards_wants_a_local_folder(tmp_path: Path) -> None:
    assert local_path(tmp_path) == tmp_path
    assert local_path(f"file://{tmp_path}") == tmp_path
    with pytest.raises(DataError, match=r"memory://x: expected a local folder .*data.shards_url"):
        local_path("memory://x")
