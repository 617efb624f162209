"""Files of a record, opened so that neither a name nor a size can hurt.

A header is written by strangers: the names in it may not lead out of its folder, and the sizes in
it are compared with the real files before anything is reserved.
"""

from __future__ import annotations

import os
import re
import stat

from truelead.errors import MalformedHeader, MissingFile, RecordTooLarge

_PLAIN_NAME = re.compile(r"[^/\\:\x00-\x1f\x7f]{1,255}")


def split_record_path(path: str | os.PathLike[str]) -> tuple[str, str]:
    """(folder, record name) of a path that may end in ".hea"."""
    text = os.fspath(path)
    if text.endswith(".hea"):
        text = text[:-4]
    return os.path.split(text)


def read_regular_file(path: str, *, maximum_bytes: int, field: str, where: str) -> bytes:
    """The bytes of an ordinary file whose size is checked before it is read.

    Raises:
        MissingFile: it is not there, not readable, or no ordinary file.
        RecordTooLarge: it is larger than `maximum_bytes`.
    """
    descriptor, size = open_regular_file(path, field=field, where=where)
    try:
        if size > maximum_bytes:
            raise RecordTooLarge(
                where, field=field, expected=f"at most {maximum_bytes} bytes", found=f"{size}"
            )
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def open_regular_file(path: str, *, field: str, where: str) -> tuple[int, int]:
    """(descriptor, size in bytes) of an ordinary file. The caller closes the descriptor.

    Raises:
        MissingFile: it is not there, not readable, or no ordinary file (a named pipe would block).
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the name.
        raise MissingFile(
            where,
            field=field,
            expected="a readable file",
            found=type(error).__name__,
        ) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise MissingFile(where, field=field, expected="an ordinary file", found="another kind")
    return descriptor, status.st_size


def check_file_name(name: str, *, where: str, field: str) -> str:
    """The name, if it stays beside the header: no folder, no drive, no "..", no standard input.

    Raises:
        MalformedHeader: it points elsewhere.
    """
    if _PLAIN_NAME.fullmatch(name) is None or name in {".", "..", "-"}:
        raise MalformedHeader(where, field=field, expected="a plain file name beside the header")
    return name
