"""NumPy arrays (.npy, NEP 1): a bare array of two axes, so everything else is stated.

The array's header is parsed and its claims are compared with the file's size before anything is
reserved; objects, records and text are refused, and nothing is ever unpickled.

Shape suffixes: L leads (12 or the file's), T samples.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from tokenize import TokenError

import numpy as np

from truelead.errors import MalformedHeader, TruncatedSignal
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.stated_array import check_array, ecg_of_array, stated_orientation
from truelead.signal.formats.statement import stated_rate
from truelead.signal.one_step import write_in_one_step
from truelead.signal.record_files import open_regular_file
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import Ecg

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000
"""Bytes; NumPy's own limit for a header that it parses."""

# What NumPy raises on headers that are none; it parses them as Python literals.
_HEADER_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    EOFError,
    TokenError,
)


def recognise(head: bytes) -> bool:
    """Whether the bytes begin with NumPy's magic string."""
    return head.startswith(MAGIC)


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """Read an array of numbers with one axis of samples and one of leads.

    Raises:
        StatementError: `--rate`, `--units`, `--leads` or `--orientation` is missing or does not
            fit the array.
        UnsupportedFormat: the array holds no real numbers, or has not two axes.
        MalformedHeader, TruncatedSignal, RecordTooLarge, LeadError, InvalidEcg, MissingFile.
    """
    orientation = stated_orientation(stated, path)
    rate = stated_rate(stated, path)
    where = os.fspath(path)
    descriptor, size = open_regular_file(where, field="file", where=where)
    with os.fdopen(descriptor, "rb") as stream:
        _check_header(stream, size, orientation, limits, path)
        stream.seek(0)
        array = np.load(stream, allow_pickle=False)
    return ecg_of_array(
        array,
        stated,
        path,
        orientation=orientation,
        sampling_rate=rate,
        record_id=path.stem,
    )


def write(ecg: Ecg, path: Path) -> Path:
    """Write the signal as it is: float32 millivolts, 12 leads by samples, NaN where missing."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(ecg.signal_LT), allow_pickle=False)
    return write_in_one_step(path, buffer.getvalue())


def _check_header(
    stream: io.BufferedReader, size: int, orientation: str, limits: ReadLimits, path: Path
) -> None:
    """Check what the header claims against the file's size and the limits."""
    try:
        version = np.lib.format.read_magic(stream)
        parse = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = parse(stream, max_header_size=LONGEST_HEADER)
    except _HEADER_ERRORS:
        raise MalformedHeader(
            path, field="header", expected="that of a NumPy array, version 1 or 2"
        ) from None
    kind = "O" if dtype.hasobject else dtype.kind
    check_array(shape, kind, dtype.itemsize, orientation=orientation, path=path, limits=limits)
    needed = stream.tell() + math.prod(shape) * dtype.itemsize
    if size != needed:
        raise TruncatedSignal(path, field="file", expected=f"{needed} bytes", found=f"{size}")


FORMAT = Format(
    name="npy",
    title="NumPy array",
    suffixes=(".npy",),
    read=read,
    recognise=recognise,
    write=write,
    needs=("sampling_rate", "units", "leads", "orientation"),
    precision_millivolts=0.0,
)
