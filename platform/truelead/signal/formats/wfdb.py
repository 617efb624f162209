"""WFDB records, PhysioNet's own format: a header beside its signal files.

Formats: header(5) and signal(5) of the WFDB Applications Guide, PhysioNet. The records of the
PhysioNet/CinC challenges (a .mat file of MATLAB level 4 with a .hea header) are WFDB format 16
behind 24 bytes, as their headers say, and need nothing of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from truelead.signal.formats.base import NOTHING_STATED, Format, StatedSignal
from truelead.signal.formats.statement import refuse_contradiction
from truelead.signal.wfdb_header import read_header
from truelead.signal.wfdb_reader import read_record
from truelead.signal.wfdb_record import ReadLimits, RecordHeader
from truelead.signal.wfdb_segments import GAP
from truelead.signal.wfdb_writer import write_record
from truelead.types import Ecg

SUFFIX = ".hea"

# NAME[/SEGMENTS] SIGNALS [RATE ...]: blanks only, so that no table with tabs or commas matches.
_RECORD_LINE = re.compile(
    rb"(?:[ ]*(?:#[^\r\n]*)?\r?\n)*[ ]*[^\s/,;#<\x00-\x1f\x7f-\xff]{1,255}(?:/[0-9]{1,9})?"
    rb" +[0-9]{1,4}(?: +[0-9.+eE/()-]+(?: [^\r\n\t,;\x00]*)?)?[ ]*\r?(?:\n|\Z)"
)


def header_path(path: Path) -> Path:
    """The header of a record given with or without ".hea"."""
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def recognise(head: bytes) -> bool:
    """Whether the first line that is no comment is a record line."""
    return _RECORD_LINE.match(head) is not None


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """Read a record given with or without ".hea"; see `read_record`.

    Raises:
        RecordError: see `read_record`; StatementError where a statement contradicts the header.
    """
    ecg = read_record(path, limits=limits)
    if stated != NOTHING_STATED:
        header = _signal_header(path, limits)
        units = {signal.units for signal in header.signals}
        refuse_contradiction(
            stated,
            header_path(path),
            sampling_rate=ecg.sampling_rate,
            leads=[signal.description for signal in header.signals],
            units=units.pop() if len(units) == 1 else None,
        )
    return ecg


def write(ecg: Ecg, path: Path) -> Path:
    """Write `path` with its .dat file beside it, 1 microvolt a bit; see `write_record`.

    Args:
        path: of the header, with or without ".hea"; letters, digits, "_" and "-" before it.

    Raises:
        InvalidEcg: see `write_record`.
    """
    name = path.name.removesuffix(SUFFIX)
    return header_path(write_record(path.parent, ecg, name=name))


def files(path: Path) -> Iterator[Path]:
    """The header, then its signal files in their order; of a multi-segment record, all of them.

    Raises:
        MissingFile, MalformedHeader, RecordTooLarge: see `read_header`.
    """
    yield from _files(path, depth=0)


def _files(path: Path, depth: int) -> Iterator[Path]:
    header = read_header(path)
    yield header_path(path)
    for name in dict.fromkeys(signal.file_name for signal in header.signals):
        if name != GAP:
            yield path.with_name(name)
    if depth == 0:
        for segment in dict.fromkeys(part.name for part in header.segments if part.name != GAP):
            yield from _files(path.with_name(segment), depth=1)


def _signal_header(path: Path, limits: ReadLimits) -> RecordHeader:
    """The header that names the signals: the record's own, or that of its first real segment."""
    header = read_header(path, limits=limits)
    for segment in header.segments:
        if segment.name != GAP and segment.samples > 0:
            return read_header(path.with_name(segment.name), limits=limits)
    return header


FORMAT = Format(
    name="wfdb",
    title="WFDB",
    suffixes=(SUFFIX,),
    read=read,
    recognise=recognise,
    write=write,
    files=files,
)
