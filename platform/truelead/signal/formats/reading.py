"""Read and write an ECG in any format: the file's first bytes decide, then its suffix.

A suffix is shared (".xml", ".mat", ".dat") and lies at times, so content comes first. A WFDB
record may be named without ".hea", as WFDB itself does, and by one of its signal files, whose
content says nothing: the header beside it does.
"""

from __future__ import annotations

import os
from pathlib import Path

from truelead.errors import MissingFile, RecordError, UnsupportedFormat
from truelead.signal.formats import FORMATS
from truelead.signal.formats.address import parse_address
from truelead.signal.formats.base import (
    DEFAULT_LIMITS,
    HEAD_BYTES,
    NOTHING_STATED,
    Format,
    StatedSignal,
)
from truelead.signal.formats.wfdb import header_path
from truelead.signal.record_files import open_regular_file
from truelead.signal.wfdb_header import read_header
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import Ecg

WFDB = "wfdb"
SIGNAL_FILE_SUFFIXES = (".dat", ".mat")
"""Files whose WFDB header, where one lies beside them, says what they hold."""


def read_ecg(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    limits: ReadLimits = DEFAULT_LIMITS,
    stated: StatedSignal = NOTHING_STATED,
) -> Ecg:
    """Read one ECG.

    Args:
        path: of the file; a WFDB record also without ".hea" or by its .dat or .mat file; one ECG
            of an HDF5 or MATLAB file as "FILE::NAME", see `address`.
        format: name in `FORMATS`; found out where None, see `find_format`.
        limits: what the file may claim before it is refused.
        stated: what the file does not say itself.

    Raises:
        UnsupportedFormat: no format, or more than one, fits the file.
        RecordError: one of its kinds; see the format's reader.
    """
    source, found = find_format(path, format=format)
    try:
        return found.read(source, limits=limits, stated=stated)
    except OSError as error:
        raise MissingFile(
            source, field="file", expected="a readable file", found=type(error).__name__
        ) from error


def find_format(path: str | os.PathLike[str], *, format: str | None = None) -> tuple[Path, Format]:
    """The path to read and the format to read it in, without reading more than the first bytes.

    Raises:
        MissingFile: nothing to read there.
        UnsupportedFormat: no known format, or several that fit alike.
    """
    source = Path(path)
    if format is not None:
        return source, format_named(format)
    if header := _wfdb_header(source):
        return header, FORMATS[WFDB]
    file = parse_address(source).file
    head = read_head(file)
    fitting = [one for one in FORMATS.values() if one.recognise(head)]
    by_suffix = [one for one in FORMATS.values() if file.suffix.lower() in one.suffixes]
    if len(fitting) > 1:
        fitting = [one for one in fitting if one in by_suffix] or fitting
    # A damaged file is no longer recognised; its suffix leads to the reader that says why.
    chosen = fitting or by_suffix
    if len(chosen) == 1:
        return source, chosen[0]
    raise UnsupportedFormat(
        source,
        field="format",
        expected=f"one of {', '.join(one.name for one in chosen or FORMATS.values())} "
        "(--format says which)",
        found="more than one that fits" if chosen else "none of them",
    )


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        UnsupportedFormat: there is none; the message lists them all.
    """
    if name not in FORMATS:
        raise UnsupportedFormat(
            "format", field="name", expected=f"one of {', '.join(FORMATS)}", found=repr(name[:24])
        )
    return FORMATS[name]


def write_ecg(ecg: Ecg, path: str | os.PathLike[str], format: str | None = None) -> Path:
    """Write one ECG in one step, without anything about the patient.

    Args:
        ecg: as it is; no resampling.
        path: of the file; its folder is made if it is not there.
        format: name in `FORMATS`; by the path's suffix where None.

    Returns:
        the path that was written.

    Raises:
        UnsupportedFormat: no format, or none that can be written, is named or has the suffix.
        InvalidEcg: the ECG does not fit the format.
    """
    target = Path(path)
    if format is None:
        suffix = target.suffix.lower()
        writable = [one for one in writable_formats() if suffix in one.suffixes]
        if not writable:
            raise UnsupportedFormat(
                target,
                field="suffix",
                expected="that of a format that can be written: "
                + ", ".join(f"{one.suffixes[0]} ({one.name})" for one in writable_formats()),
            )
        chosen = writable[0]
    else:
        chosen = format_named(format)
    if chosen.write is None:
        raise UnsupportedFormat(
            target,
            field="format",
            expected=f"one of {', '.join(one.name for one in writable_formats())} to write",
            found=chosen.name,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    return chosen.write(ecg, target)


def writable_formats() -> list[Format]:
    """The formats that have a writer."""
    return [one for one in FORMATS.values() if one.write is not None]


def read_head(path: Path) -> bytes:
    """The first bytes of an ordinary file.

    Raises:
        MissingFile: it is not there, not readable, or no ordinary file.
    """
    where = os.fspath(path)
    descriptor, _ = open_regular_file(where, field="file", where=where)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(HEAD_BYTES)


def _wfdb_header(path: Path) -> Path | None:
    """The header that `path` stands for, where it is no file that says itself what it is."""
    if path.suffix != ".hea" and not path.is_file() and header_path(path).is_file():
        return header_path(path)
    if path.suffix.lower() not in SIGNAL_FILE_SUFFIXES:
        return None
    header = path.with_suffix(".hea")
    if not header.is_file():
        return None
    try:
        named = {signal.file_name for signal in read_header(header).signals}
    except RecordError:
        return None
    return header if path.name in named else None
