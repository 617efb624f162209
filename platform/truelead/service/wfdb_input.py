"""A WFDB record from a request: its header made anonymous, then read like any other record.

A header may hold the patient's name in its record name, file names, lead names, date or comments.
None of these survive into the private folder where the record is read, so none can reach an error
or a log.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from truelead.errors import LeadError, RecordError, UnsupportedFormat
from truelead.service import limits
from truelead.service.anonymous_error import anonymous
from truelead.signal import ReadLimits, canonical_lead_name, read_record
from truelead.signal.leads import is_additional_lead
from truelead.signal.wfdb_header import parse_header
from truelead.signal.wfdb_record import RecordHeader
from truelead.types import LEADS, Ecg

_RECORD = "record"
_SIGNAL_FILE, _OTHER_FILE = "signal.dat", "other.dat"
_READ_LIMITS = ReadLimits(
    maximum_samples=limits.MAXIMUM_SAMPLES,
    maximum_header_bytes=limits.MAXIMUM_HEADER_BYTES,
    maximum_segments=1,
)


def decode_wfdb(header: bytes, signal: bytes, *, where: str) -> Ecg:
    """The ECG of a record's two files.

    Args:
        header: content of the .hea file.
        signal: content of the file that holds the 12 leads.
        where: name of the ECG in the request; errors are about it.

    Raises:
        RecordError: a subclass says what cannot be used: see `truelead.signal.read_record`; all 12
            leads must be there, in one file.
    """
    try:
        own_header = _anonymous_header(header)
        with tempfile.TemporaryDirectory(prefix="truelead_") as folder:
            Path(folder, _RECORD + ".hea").write_bytes(own_header)
            Path(folder, _SIGNAL_FILE).write_bytes(signal)
            return read_record(Path(folder, _RECORD), limits=_READ_LIMITS)
    except RecordError as error:
        raise anonymous(error, where) from None


def signal_file_name(header: bytes, *, where: str) -> str:
    """Name of the file that holds the leads, as the header has it (it may tell of the patient).

    Raises:
        RecordError: the header cannot be used.
    """
    parsed = parse_header(header, where=where, limits=_READ_LIMITS)
    return _signal_file(parsed, _lead_names(parsed))


def _anonymous_header(content: bytes) -> bytes:
    """The header with our own file names, canonical lead names, and no date or comment."""
    header = parse_header(content, limits=_READ_LIMITS)
    names = _lead_names(header)
    signal_file = _signal_file(header, names)
    lines = [
        line
        for line in map(str.strip, content.decode("utf-8", errors="replace").splitlines())
        if line and not line.startswith("#")
    ]
    # Record line: name, number of signals, rate, number of samples; date and time are left out.
    kept = [" ".join([_RECORD, *lines[0].split()[1:4]])]
    for line, signal, name in zip(lines[1:], header.signals, names, strict=True):
        fields = line.split(None, 8)
        own = _SIGNAL_FILE if signal.file_name == signal_file else _OTHER_FILE
        kept.append(" ".join([own, *fields[1:8], name]))
    return "".join(f"{line}\n" for line in kept).encode()


def _lead_names(header: RecordHeader) -> list[str]:
    """Of each signal: the canonical name of a standard lead, or that of an additional one."""
    if header.segments:
        raise UnsupportedFormat(
            "header", field="record line", expected="a record of one segment", found="several"
        )
    names = []
    for number, signal in enumerate(header.signals, start=1):
        try:
            names.append(canonical_lead_name(signal.description))
        except LeadError:
            if not is_additional_lead(signal.description):
                raise LeadError(
                    "header",
                    field=f"signal {number}",
                    expected=f"one of the leads {', '.join(LEADS)}",
                    found="another name",
                ) from None
            names.append(signal.description.strip())
    missing = [lead for lead in LEADS if lead not in names]
    if missing:
        raise LeadError(
            "header",
            field="leads",
            expected=f"the 12 leads {', '.join(LEADS)}",
            found=f"{len(LEADS) - len(missing)}, without {', '.join(missing)}",
        )
    return names


def _signal_file(header: RecordHeader, names: list[str]) -> str:
    files = {
        signal.file_name
        for signal, name in zip(header.signals, names, strict=True)
        if name in LEADS
    }
    if len(files) != 1:
        raise UnsupportedFormat(
            "header",
            field="signal files",
            expected="one file with the 12 leads",
            found=f"{len(files)}",
        )
    return files.pop()
