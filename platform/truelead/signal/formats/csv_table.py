"""Tables of text: one row a sample, one column a lead, separated by comma, semicolon or tab.

The first row names the leads ("I", "aVR", "V1 (mV)"); a table without it needs `--leads`. A column
of time stamps ("time", "time (s)", "time (ms)") is checked against the stated rate, never used
instead of it. Numbers have a decimal point; an empty cell or "nan" is a missing sample. RFC 4180
without line breaks inside cells.

Cells are strangers' text and may hold patient data: no error repeats one.

Shape suffixes: T samples, C columns.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.errors import (
    InvalidEcg,
    LeadError,
    MalformedHeader,
    RecordTooLarge,
    StatementError,
    TruncatedSignal,
)
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.statement import (
    leads_in_order,
    missing_statement,
    stated_rate,
    units_per_millivolt,
)
from truelead.signal.leads import canonical_lead_name, is_additional_lead
from truelead.signal.one_step import write_in_one_step
from truelead.signal.record_files import open_regular_file, read_regular_file
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

DELIMITERS = ",;\t"
LONGEST_CELL = 32
"""Bytes of a cell that the size limit allows for; no number of an ECG needs more."""

_MISSING = ("", "nan", "NaN", "NAN")
_NUMBER = re.compile(r"[+-]?(?:\d{1,18}\.?\d{0,18}|\.\d{1,18})(?:[eE][+-]?\d{1,3})?")
_NOT_A_NUMBER = re.compile(rb"nan|NaN|NAN")
_TIME = re.compile(r"(?:time|t|seconds)(?:[ _]*[(\[]?(s|sec|seconds|ms)[)\]]?)?", re.IGNORECASE)
_LEAD_WITH_UNIT = re.compile(r"(.{1,40}?)[ _]*[(\[](mV|uV|µV|μV|V)[)\]]")
_TIME_COLUMN = "time"


@dataclass(frozen=True)
class _Columns:
    """What the first row says.

    Attributes:
        names: of the columns, "time" for the one with time stamps.
        units: of the leads where the row says them.
        milliseconds: whether the time stamps are in ms; None where the row does not say.
    """

    names: tuple[str, ...]
    units: str | None = None
    milliseconds: bool | None = None


def recognise(head: bytes) -> bool:
    """Whether the first row names leads, or the first two rows are numbers with a delimiter."""
    text = _text(head)
    if text is None:
        return False
    lines = text.splitlines()[:2]
    if not lines or not lines[0].strip():
        return False
    delimiter = _delimiter(lines[0])
    cells = _cells(lines[0], delimiter)
    if _is_header(cells):
        return True
    return delimiter is not None and all(
        cell in _MISSING or _NUMBER.fullmatch(cell) is not None
        for line in lines
        for cell in _cells(line, delimiter)
    )


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """Read a table whose sampling rate is stated, and whose units are stated or in its first row.

    Raises:
        StatementError: `--rate`, `--units` or `--leads` is missing or contradicts the table.
        MalformedHeader: the first row is neither lead names nor numbers.
        InvalidEcg: a cell is no number, rows differ in length, or time stamps leave the rate.
        RecordTooLarge, LeadError, MissingFile, TruncatedSignal: see the classes.
    """
    first = _first_line(path, limits)
    delimiter = _delimiter(first)
    cells = _cells(first, delimiter)
    if len(cells) > limits.maximum_leads + 1:
        raise RecordTooLarge(
            path, field="columns", expected=f"at most {limits.maximum_leads + 1}", found="more"
        )
    named = not all(cell in _MISSING or _NUMBER.fullmatch(cell) for cell in cells)
    columns = _columns(cells if named else None, len(cells), stated, path)
    if stated.orientation not in (None, "samples-by-leads"):
        raise StatementError(
            path, field="orientation", expected="samples-by-leads, as a table has one row a sample"
        )
    units = StatedSignal(units=columns.units, gain=stated.gain) if columns.units else stated
    per_millivolt = units_per_millivolt(units, path)
    rate = stated_rate(stated, path) if stated.sampling_rate is not None else None

    maximum_bytes = (limits.maximum_samples + 1) * len(cells) * LONGEST_CELL
    content = read_regular_file(
        os.fspath(path), maximum_bytes=maximum_bytes, field="file", where=os.fspath(path)
    )
    values_TC = _numbers(content, named, delimiter, len(cells), limits, path)
    kept = [position for position, name in enumerate(columns.names) if name != _TIME_COLUMN]
    time_T = None
    if len(kept) < len(columns.names):
        time_T = values_TC[:, columns.names.index(_TIME_COLUMN)]
    if rate is None:
        found = "" if time_T is None else f"time stamps {_step(time_T):g} apart"
        raise missing_statement(path, "sampling_rate", found)
    if time_T is not None:
        _check_time(time_T, rate, columns.milliseconds, path)
    signal_LT = leads_in_order(
        values_TC.T[kept], [columns.names[position] for position in kept], per_millivolt, path
    )
    return Ecg(signal_LT, rate, record_id=path.stem)


def write(ecg: Ecg, path: Path) -> Path:
    """Write seconds and the 12 leads in millivolts to the microvolt; empty where not recorded.

    Raises:
        InvalidEcg: a voltage is infinite.
    """
    if np.isinf(ecg.signal_LT).any():
        raise InvalidEcg(path, field="signal", expected="finite voltages or missing samples")
    lines = [",".join(["time (s)", *(f"{lead} (mV)" for lead in LEADS)])]
    for number, sample_L in enumerate(ecg.signal_LT.T.tolist()):
        cells = ("" if value != value else f"{value:.3f}" for value in sample_L)
        lines.append(f"{number / ecg.sampling_rate:.6f},{','.join(cells)}")
    return write_in_one_step(path, "".join(f"{line}\n" for line in lines).encode("ascii"))


def _text(head: bytes) -> str | None:
    """The bytes as text, None where they are none; a character cut at the end is left out."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8-sig")
    controls = set(text) & {chr(code) for code in range(32) if chr(code) not in "\t\r\n"}
    return None if controls else text


def _first_line(path: Path, limits: ReadLimits) -> str:
    where = os.fspath(path)
    descriptor, size = open_regular_file(where, field="file", where=where)
    with os.fdopen(descriptor, "rb") as stream:
        line = stream.readline(limits.maximum_header_bytes)
    if size == 0:
        raise TruncatedSignal(path, field="file", expected="a first row", found="an empty file")
    text = _text(line)
    if text is None or (not line.endswith((b"\n", b"\r")) and len(line) < size):
        raise MalformedHeader(path, field="first row", expected="one line of text")
    return text.rstrip("\r\n")


def _delimiter(line: str) -> str | None:
    """The delimiter of the line, None where it has a single cell or mixes delimiters."""
    found = [delimiter for delimiter in DELIMITERS if delimiter in line]
    return found[0] if len(found) == 1 else None


def _cells(line: str, delimiter: str | None) -> list[str]:
    cells = line.split(delimiter) if delimiter else [line]
    return [cell.strip().removeprefix('"').removesuffix('"').strip() for cell in cells]


def _lead_and_unit(cell: str) -> tuple[str, str | None]:
    match = _LEAD_WITH_UNIT.fullmatch(cell)
    if match is None:
        return cell, None
    return match[1], "uV" if match[2] in ("µV", "μV") else match[2]


def _is_lead(name: str) -> bool:
    if is_additional_lead(name):
        return True
    try:
        canonical_lead_name(name)
    except LeadError:
        return False
    return True


def _is_header(cells: list[str]) -> bool:
    leads = [_is_lead(_lead_and_unit(cell)[0]) for cell in cells if not _TIME.fullmatch(cell)]
    return bool(leads) and all(leads)


def _columns(header: list[str] | None, count: int, stated: StatedSignal, path: Path) -> _Columns:
    """The columns by the first row, or by the statement where the row holds numbers."""
    if header is None:
        if stated.leads is None:
            raise missing_statement(path, "leads")
        names = tuple("time" if _TIME.fullmatch(name) else name for name in stated.leads)
        if len(names) != count or names.count(_TIME_COLUMN) > 1:
            raise StatementError(
                path, field="leads", expected=f"{count} names, one a column", found=f"{len(names)}"
            )
        return _Columns(names)
    names_found: list[str] = []
    units: set[str | None] = set()
    milliseconds: bool | None = None
    for number, cell in enumerate(header, start=1):
        if (time := _TIME.fullmatch(cell)) is not None:
            names_found.append(_TIME_COLUMN)
            milliseconds = None if time[1] is None else time[1].lower() == "ms"
            continue
        name, unit = _lead_and_unit(cell)
        if not _is_lead(name):
            raise MalformedHeader(
                path, field=f"column {number}", expected='the name of a lead, or "time"'
            )
        names_found.append(name)
        units.add(unit)
    if names_found.count(_TIME_COLUMN) > 1 or len(units) > 1:
        raise MalformedHeader(
            path, field="first row", expected="one column of time and one unit for all leads"
        )
    unit = units.pop() if units else None
    leads = [name for name in names_found if name != _TIME_COLUMN]
    if stated.leads is not None and [n.strip().lower() for n in stated.leads] != [
        n.strip().lower() for n in leads
    ]:
        raise StatementError(
            path, field="leads", expected="those of the first row in its order, or no --leads"
        )
    if unit is not None and stated.units not in (None, unit):
        raise StatementError(path, field="units", expected=f"{unit} as the first row says")
    return _Columns(tuple(names_found), unit, milliseconds)


def _numbers(
    content: bytes,
    named: bool,
    delimiter: str | None,
    count: int,
    limits: ReadLimits,
    path: Path,
) -> NDArray[np.float64]:
    """float64 (T, C), NaN where a cell is empty or "nan"."""
    # Half a second to import, which other formats need not wait for.
    import pandas as pd

    lines = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").split(b"\n")
    while lines and not lines[-1].strip(b" "):
        lines.pop()
    rows = lines[1:] if named else lines
    if not rows:
        raise TruncatedSignal(path, field="rows", expected="at least 1 sample", found="0")
    if len(rows) > limits.maximum_samples:
        raise RecordTooLarge(
            path, field="rows", expected=f"at most {limits.maximum_samples}", found=f"{len(rows)}"
        )
    separator = (delimiter or ",").encode()
    for number, row in enumerate(rows, start=2 if named else 1):
        if row.count(separator) != count - 1 or (count == 1 and not row.strip()):
            raise InvalidEcg(path, field=f"row {number}", expected=f"{count} cells")
    not_numbers = InvalidEcg(
        path, field="rows", expected="numbers with a decimal point, or empty cells"
    )
    text = b"\n".join(rows)
    # pandas knows further words for numbers, such as True.
    letters = text.translate(None, b"0123456789+-.eE \n" + separator)
    if _NOT_A_NUMBER.sub(b"", letters):
        raise not_numbers
    try:
        table = pd.read_csv(
            io.BytesIO(text),
            sep=delimiter or ",",
            header=None,
            dtype=np.float64,
            na_values=list(_MISSING),
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            encoding="utf-8",
            engine="c",
        )
    except (ValueError, pd.errors.ParserError):
        # pandas repeats the cell in its message; a cell may be anything.
        raise not_numbers from None
    values_TC = table.to_numpy(dtype=np.float64)
    if values_TC.shape != (len(rows), count):
        raise InvalidEcg(path, field="rows", expected=f"{len(rows)} rows of {count} cells")
    return values_TC


def _check_time(
    time_T: NDArray[np.float64], rate: float, milliseconds: bool | None, path: Path
) -> None:
    """Compare the time stamps with the stated rate: none may be half a sample off."""
    expected_T = np.arange(time_T.size) / rate
    scales = (1.0, 1e-3) if milliseconds is None else (1e-3 if milliseconds else 1.0,)
    for scale in scales:
        off_T = (time_T - time_T[0]) * scale - expected_T
        if bool((np.abs(off_T) < 0.5 / rate).all()):
            return
    raise StatementError(
        path,
        field="sampling rate",
        expected=f"time stamps 1 / {rate:g} s apart, as stated with --rate",
        found=f"{_step(time_T):g} apart",
    )


def _step(time_T: NDArray[np.float64]) -> float:
    """The usual step from one time stamp to the next, in the table's own unit."""
    return float(np.median(np.diff(time_T))) if time_T.size > 1 else 0.0


FORMAT = Format(
    name="csv",
    title="CSV and TSV tables",
    suffixes=(".csv", ".tsv"),
    read=read,
    recognise=recognise,
    write=write,
    needs=("sampling_rate", "units", "leads"),
)
