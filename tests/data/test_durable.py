"""Files are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from truelead.data.durable import durable_file, file_sha256, write_durable_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durable_text(path, "old")

    def fail() -> None:
        with durable_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_good_write_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durable_text(path, "old")
    before = file_sha256(path)
    write_durable_text(path, "new")
    assert path.read_text() == "new"
    assert file_sha256(path) != before
    assert list(tmp_path.iterdir()) == [path]
