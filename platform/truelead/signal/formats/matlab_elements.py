"""The variables of a MATLAB level 5 file, told from their headers and bounded before use.

"MAT-File Format", The MathWorks: a file is a list of elements, each a variable, most of them
deflated. An element may grow without bound and claim any size, so each wanted one is inflated to
a limit and its claims are compared with what it holds; only then is it handed to scipy.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from truelead.errors import MalformedHeader, RecordTooLarge, TruncatedSignal, UnsupportedFormat

SIGNATURE = b"MATLAB 5.0 MAT-file"
HEADER_BYTES = 128
MAXIMUM_VARIABLES = 1_000
# A variable's flags, dimensions and name lie in its first bytes.
_HEAD_BYTES = 1_024
_MAXIMUM_DIMENSIONS = 8

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
# Bytes of one number of each storage type: int8 to uint32, single, double, int64, uint64.
_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
# Array classes of numbers: double, single, int8 to uint64.
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX, _LOGICAL = 0x0800, 0x0200


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable.

    Attributes:
        numeric: whether it holds real numbers; no text, cells, structures, objects, logicals.
        shape: as it claims.
        element: its bytes in the file, without the tag.
        compressed: whether they are deflated.
    """

    name: str
    numeric: bool
    shape: tuple[int, ...]
    element: memoryview
    compressed: bool


def variables(content: bytes, *, path: Path) -> dict[str, Variable]:
    """Name -> variable, without inflating more than their first bytes.

    Raises:
        MalformedHeader: no little-endian file of level 5, or a variable's header is damaged, or a
            name stands twice.
        UnsupportedFormat: a big-endian file.
        TruncatedSignal: the file ends within a variable.
        RecordTooLarge: too many variables.
    """
    if not content.startswith(SIGNATURE) or len(content) < HEADER_BYTES:
        raise MalformedHeader(path, field="header", expected="that of a MATLAB 5.0 MAT-file")
    if content[124:128] != b"\x00\x01IM":
        raise UnsupportedFormat(
            path, field="byte order and version", expected="little endian, version 1"
        )
    found: dict[str, Variable] = {}
    for kind, element in _elements(memoryview(content)[HEADER_BYTES:], path):
        if kind not in (_MATRIX, _COMPRESSED):
            continue
        if len(found) >= MAXIMUM_VARIABLES:
            raise RecordTooLarge(path, field="variables", expected=f"at most {MAXIMUM_VARIABLES}")
        variable = _variable(element, kind == _COMPRESSED, path)
        if variable.name in found:
            raise MalformedHeader(path, field="variables", expected="each name once")
        found[variable.name] = variable
    return found


def checked_matrix(variable: Variable, maximum_numbers: int, *, path: Path) -> bytes:
    """The variable as an element of its own, inflated, all its claims checked.

    Args:
        variable: a numeric one.
        maximum_numbers: that it may hold.

    Raises:
        RecordTooLarge: it claims or holds more.
        MalformedHeader, TruncatedSignal: its parts do not fit its claims.
    """
    numbers = math.prod(variable.shape)
    if not 1 <= numbers <= maximum_numbers:
        raise RecordTooLarge(
            path, field="variable", expected=f"1 to {maximum_numbers} numbers", found=f"{numbers}"
        )
    matrix = variable.element
    if variable.compressed:
        matrix = memoryview(_inflated(matrix, 8 * numbers + _HEAD_BYTES, path))
        if len(matrix) < 8 or struct.unpack_from("<II", matrix) != (_MATRIX, len(matrix) - 8):
            raise MalformedHeader(path, field="variable", expected="one deflated matrix")
        matrix = matrix[8:]
    parts = list(_elements(matrix, path))
    if len(parts) != 4:
        raise MalformedHeader(
            path, field="variable", expected="flags, dimensions, name, numbers", found="others"
        )
    kind, stored = parts[3]
    if kind not in _BYTES_OF_TYPE or len(stored) != numbers * _BYTES_OF_TYPE[kind]:
        raise MalformedHeader(
            path, field="variable", expected="as many numbers as its dimensions say"
        )
    return struct.pack("<II", _MATRIX, len(matrix)) + matrix.tobytes()


def _variable(element: memoryview, compressed: bool, path: Path) -> Variable:
    """A variable's header; of a deflated one, only its first bytes are inflated."""
    head = element[:_HEAD_BYTES]
    if compressed:
        try:
            head = memoryview(zlib.decompressobj().decompress(element, _HEAD_BYTES))
        except zlib.error:
            raise MalformedHeader(path, field="variable", expected="deflated data") from None
        if len(head) < 8 or struct.unpack_from("<I", head)[0] != _MATRIX:
            raise MalformedHeader(path, field="variable", expected="a deflated matrix")
        head = head[8:]
    parts = _elements(head, path)
    try:
        (flags_kind, flags), (shape_kind, shape), (name_kind, name) = (
            next(parts), next(parts), next(parts),
        )  # fmt: skip
    except StopIteration:
        raise MalformedHeader(
            path, field="variable", expected="flags, dimensions and name"
        ) from None
    if (
        (flags_kind, len(flags)) != (_UINT32, 8)
        or shape_kind != _INT32
        or len(shape) % 4
        or not 2 <= len(shape) // 4 <= _MAXIMUM_DIMENSIONS
        or name_kind != _INT8
    ):
        raise MalformedHeader(path, field="variable", expected="flags, dimensions and name")
    (word,) = struct.unpack_from("<I", flags)
    dimensions = struct.unpack(f"<{len(shape) // 4}i", shape)
    if min(dimensions) < 0:
        raise MalformedHeader(path, field="dimensions", expected="none below 0")
    numeric = word & 0xFF in _NUMERIC_CLASSES and not word & (_COMPLEX | _LOGICAL)
    return Variable(
        name=name.tobytes().decode("latin-1"),
        numeric=numeric,
        shape=dimensions,
        element=element,
        compressed=compressed,
    )


def _elements(data: memoryview, path: Path) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of one element after another.

    Raises:
        TruncatedSignal: the data end within one.
    """
    place = 0
    while place < len(data):
        if len(data) - place < 8:
            raise TruncatedSignal(path, field="element", expected="a tag of 8 bytes", found="fewer")
        kind, size = struct.unpack_from("<II", data, place)
        if kind >> 16:
            # A small element: size and type share one word, the content is in the other.
            kind, size, start, after = kind & 0xFFFF, kind >> 16, place + 4, place + 8
            if size > 4:
                raise MalformedHeader(path, field="element", expected="at most 4 bytes in a tag")
        else:
            start = place + 8
            # Elements are padded to 8 bytes, but for deflated ones.
            after = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise TruncatedSignal(
                path, field="element", expected=f"{size} bytes", found=f"{len(data) - start}"
            )
        yield kind, data[start : start + size]
        place = after


def _inflated(element: memoryview, maximum_bytes: int, path: Path) -> bytes:
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(element, maximum_bytes + 1)
    except zlib.error:
        raise MalformedHeader(path, field="variable", expected="deflated data") from None
    if len(content) > maximum_bytes:
        raise RecordTooLarge(path, field="variable", expected=f"at most {maximum_bytes} bytes")
    if not inflater.eof:
        raise TruncatedSignal(path, field="variable", expected="all of the deflated data")
    return content
