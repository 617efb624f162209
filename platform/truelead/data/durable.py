"""Files that are whole or not there: written beside their place, flushed, then renamed."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".part"


@contextmanager
def durable_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write; when the block ends well, it takes the place of `path`.

    The file and its folder are flushed to disk first, so that not even a power cut leaves a
    half-written file under the final name. An exception inside the block leaves `path` untouched.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        place_durably(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def place_durably(temporary: Path, path: Path) -> None:
    """Flush a finished file to disk and give it its name, replacing what was there."""
    flush_file(temporary)
    temporary.replace(path)
    flush_folder(path.parent)


def write_durable_text(path: Path, text: str) -> None:
    """Write UTF-8 text through `durable_file`."""
    with durable_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def flush_file(path: Path) -> None:
    """Flush a file's bytes to disk."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Flush a folder's list of names to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
