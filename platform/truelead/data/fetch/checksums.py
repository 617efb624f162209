"""Checksums of files as publishers list them, and whether a file on disk fits.

SHA256SUMS.txt is the format of GNU sha256sum, also with one space as PhysioNet writes it. Zenodo
publishes MD5 and git names a file by SHA-1 (gitformat-pack(5): "blob", size, NUL, content). Both
find damage; against forgery only HTTPS stands there.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from truelead.data.fetch.names import safe_name
from truelead.errors import DataError

Algorithm = Literal["sha256", "md5", "git-sha1"]
HEX_DIGITS: dict[Algorithm, int] = {"sha256": 64, "md5": 32, "git-sha1": 40}
SHOWN: dict[Algorithm, str] = {"sha256": "SHA-256", "md5": "MD5", "git-sha1": "git SHA-1"}

MAXIMUM_LINE_BYTES = 4096
_LINE = re.compile(r"([0-9A-Fa-f]{64})(?: \*|  ?)(\S.*)")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """A checksum: algorithm and lower-case hexadecimal value."""

    algorithm: Algorithm
    value: str

    def __post_init__(self) -> None:
        digits = HEX_DIGITS.get(self.algorithm)
        if digits is None or re.fullmatch(r"[0-9a-f]+", self.value) is None:
            raise DataError(f"checksum: expected hexadecimal {', '.join(HEX_DIGITS)}")
        if len(self.value) != digits:
            raise DataError(f"checksum: expected {digits} digits, found {len(self.value)}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A listed file: safe relative name, checksum, size in bytes where the list tells it."""

    name: str
    digest: Digest
    size: int | None = None


def parse_checksums(stream: BinaryIO, where: object) -> Iterator[RemoteFile]:
    """Files of a SHA256SUMS.txt, in its order.

    Raises:
        DataError: a line is not checksum and name, or a name could lead outside the folder.
    """
    number = 0
    while line := stream.readline(MAXIMUM_LINE_BYTES):
        number += 1
        here = f"{where}: line {number}"
        if not line.endswith(b"\n") and len(line) == MAXIMUM_LINE_BYTES:
            raise DataError(f"{here}: expected at most {MAXIMUM_LINE_BYTES} bytes")
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise DataError(f"{here}: expected UTF-8") from None
        if not text.strip():
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise DataError(f"{here}: expected a SHA-256 in hexadecimal and a file name")
        yield RemoteFile(safe_name(match[2], here), Digest("sha256", match[1].lower()))


def without_doubles(files: Iterable[RemoteFile], where: object) -> list[RemoteFile]:
    """Each name once, in order.

    Raises:
        DataError: a name is listed with two checksums.
    """
    digests: dict[str, Digest] = {}
    kept = []
    for file in files:
        first = digests.setdefault(file.name, file.digest)
        if first is file.digest:
            kept.append(file)
        elif first != file.digest:
            raise DataError(f"{where}: {file.name!a}: expected one checksum, found two")
    return kept


def matches(path: Path, file: RemoteFile) -> bool:
    """Whether the bytes at `path` are those that were listed; False where nothing is there."""
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if file.size is not None and size != file.size:
                return False
            return _hexdigest(stream, size, file.digest.algorithm) == file.digest.value
    except (FileNotFoundError, NotADirectoryError):
        return False


def _hexdigest(stream: BinaryIO, size: int, algorithm: Algorithm) -> str:
    if algorithm == "git-sha1":
        state = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    elif algorithm == "md5":
        state = hashlib.md5(usedforsecurity=False)
    else:
        state = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        state.update(block)
    return state.hexdigest()
