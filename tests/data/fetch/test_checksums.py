"""Checksum lists as publishers write them, and names that must not be written."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truelead.data.fetch.checksums import (
    Digest,
    RemoteFile,
    matches,
    parse_checksums,
    without_doubles,
)
from truelead.data.fetch.names import destination, make_folders, safe_name
from truelead.errors import DataError

SHA = "ab" * 32


def parse(text: str | bytes) -> list[RemoteFile]:
    data = text.encode() if isinstance(text, str) else text
    return list(parse_checksums(io.BytesIO(data), "list"))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f"{SHA} RECORDS\n", "RECORDS"),
        (f"{SHA}  records100/00000/00001_lr.dat\n", "records100/00000/00001_lr.dat"),
        (f"{SHA} *binary.dat\r\n", "binary.dat"),
        (f"{SHA.upper()}  ./a name with spaces.csv", "a name with spaces.csv"),
        (f"\n{SHA} naïve.txt\n\n", "naïve.txt"),
    ],
)
def test_lines_of_sha256sum_and_of_physionet(line: str, name: str) -> None:
    assert parse(line) == [RemoteFile(name, Digest("sha256", SHA))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{SHA} ../evil\n", "a way out of the folder"),
        (f"{SHA} a/../../evil\n", "a way out of the folder"),
        (f"{SHA} ./../evil\n", "a way out of the folder"),
        (f"{SHA} /etc/passwd\n", "an absolute path"),
        (f"{SHA} .//etc/passwd\n", "an absolute path"),
        (f"{SHA} C:evil.dat\n", "a Windows path"),
        (f"{SHA} a\\..\\evil\n", "a Windows path"),
        (f"{SHA} a\0b\n", "a control character"),
        (f"{SHA} a\x1b[2Jb\n", "a control character"),
        (f"{SHA} a//b\n", "an empty or dot component"),
        (f"{SHA} a/\n", "an empty or dot component"),
        (f"{SHA} .fetch/lock\n", "the folder of unfinished downloads"),
        (f"{SHA} .FETCH\n", "the folder of unfinished downloads"),
        (f"{SHA} {'n' * 256}\n", "a name that is too long"),
        (f"{SHA} {'n/' * 600}n\n", "a name that is too long"),
        ("abc RECORDS\n", "line 1: expected a SHA-256"),
        (f"{SHA} RECORDS\n{SHA}\n", "line 2: expected a SHA-256"),
        ("<html>not found</html>\n", "line 1: expected a SHA-256"),
        (SHA.encode() + b" \xff\xfe\n", "line 1: expected UTF-8"),
        (b"a" * 5000, "expected at most 4096 bytes"),
    ],
)
def test_a_bad_line_is_one_clear_line(text: str | bytes, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(text)
    assert expected in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_accepted_name_leaves_the_folder(name: str) -> None:
    root = Path("/root-of-set")
    try:
        accepted = safe_name(name, "list")
    except DataError:
        return
    path = destination(root, accepted)
    assert path.is_relative_to(root)
    assert path != root
    assert ".." not in path.parts


def test_a_name_with_two_checksums_is_refused_and_with_one_is_taken_once() -> None:
    first = RemoteFile("a", Digest("sha256", SHA))
    assert without_doubles([first, RemoteFile("a", Digest("sha256", SHA))], "list") == [first]
    with pytest.raises(DataError, match="expected one checksum, found two"):
        without_doubles([first, RemoteFile("a", Digest("sha256", "cd" * 32))], "list")


@pytest.mark.parametrize("place", ["file", "folder", "dangling"])
def test_nothing_is_written_through_a_symbolic_link(tmp_path: Path, place: str) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    if place == "file":
        (outside / "x").write_bytes(b"mine")
        (root / "x").symlink_to(outside / "x")
    elif place == "folder":
        (root / "a").symlink_to(outside)
    else:
        (root / "x").symlink_to(outside / "not-there")
    name = "a/x" if place == "folder" else "x"
    with pytest.raises(DataError, match="found a link"):
        destination(root, name)
    if place == "folder":
        with pytest.raises(DataError, match="found a link"):
            make_folders(root, root / "a/b/x")
        assert list(outside.iterdir()) == []


def test_checksums_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"hello\n")
    # `git hash-object` prints ce0136... for this content.
    good = {
        "sha256": hashlib.sha256(b"hello\n").hexdigest(),
        "md5": "b1946ac92492d2347c6235b4d2611184",
        "git-sha1": "ce013625030ba8dba906f756967f9e9ca394464a",
    }
    for algorithm, value in good.items():
        digest = Digest(algorithm, value)  # type: ignore[arg-type]
        assert matches(path, RemoteFile("f", digest))
        assert matches(path, RemoteFile("f", digest, 6))
        assert not matches(path, RemoteFile("f", digest, 7))
        wrong = Digest(algorithm, value[:-1] + "0")  # type: ignore[arg-type]
        assert value[-1] == "0" or not matches(path, RemoteFile("f", wrong))
    assert not matches(tmp_path / "none", RemoteFile("none", Digest("sha256", SHA)))
    for value in ("", "zz" * 32, "ab" * 31):
        with pytest.raises(DataError, match="checksum"):
            Digest("sha256", value)
