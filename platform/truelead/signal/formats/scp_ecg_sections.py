"""The frame of an SCP-ECG file (EN 1064, ISO 11073-91064): sections, pointers, checksums.

A record is a checksum, its length, and sections; section 0 points to the others. Each section has
a header of 16 bytes: checksum, number, length, two versions, six reserved bytes. All numbers are
little-endian. Checksums are CRC-CCITT: polynomial 0x1021, start 0xFFFF.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from truelead.errors import (
    ChecksumMismatch,
    LeadError,
    MalformedHeader,
    RecordTooLarge,
    TruncatedSignal,
)
from truelead.signal.wfdb_record import ReadLimits

RECORD_HEADER = 6
SECTION_HEADER = 16
POINTER = struct.Struct("<HII")
CALIBRATION_CODES = frozenset((*range(31, 61), *range(79, 86)))
"""Leads that hold a calibration pulse."""

# ISO 11073-91064, lead identification: the leads that stand in a 12-lead recording.
LEAD_NAMES: dict[int, str] = {
    1: "I",
    2: "II",
    **{number + 2: f"V{number}" for number in range(1, 7)},
    9: "V7",
    **{number + 8: f"V{number}R" for number in range(2, 7)},
    16: "X",
    17: "Y",
    18: "Z",
    61: "III",
    62: "aVR",
    63: "aVL",
    64: "aVF",
    66: "V8",
    67: "V9",
}


@dataclass(frozen=True)
class Lead:
    """One lead of section 3: its samples `first` to `last` of the record, counted from 1."""

    name: str
    first: int
    last: int

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class LeadDefinition:
    """Section 3.

    Attributes:
        leads: in the order of the data.
        reference_beat: whether the rhythm data is what is left after a reference beat.
    """

    leads: tuple[Lead, ...]
    reference_beat: bool


def recognise(head: bytes) -> bool:
    """Whether the bytes begin with section 0, which points to itself at byte 7."""
    if len(head) < RECORD_HEADER + SECTION_HEADER + POINTER.size:
        return False
    (record_bytes,) = struct.unpack_from("<I", head, 2)
    number, section_bytes = struct.unpack_from("<HI", head, RECORD_HEADER + 2)
    pointer = POINTER.unpack_from(head, RECORD_HEADER + SECTION_HEADER)
    whole_pointers = (section_bytes - SECTION_HEADER) % POINTER.size == 0
    return (
        number == 0
        and whole_pointers
        and SECTION_HEADER + POINTER.size <= section_bytes <= record_bytes - RECORD_HEADER
        and pointer == (0, section_bytes, RECORD_HEADER + 1)
    )


def crc_ccitt(content: bytes) -> int:
    """CRC-CCITT with start 0xFFFF."""
    return binascii.crc_hqx(content, 0xFFFF)


def sections_of(content: bytes, where: Path) -> dict[int, bytes]:
    """Section number -> its bytes behind the header; empty sections have no entry.

    Raises:
        MalformedHeader: no SCP-ECG, or a pointer that its section contradicts.
        TruncatedSignal: the file is shorter than it says.
        ChecksumMismatch: the record or one of its sections was changed.
    """
    if not recognise(content):
        raise MalformedHeader(
            where, field="section 0", expected="pointers at byte 7, as SCP-ECG has"
        )
    checksum, size = struct.unpack_from("<HI", content)
    if size > len(content):
        raise TruncatedSignal(
            where, field="file", expected=f"{size} bytes", found=f"{len(content)}"
        )
    record = content[:size]
    _check(checksum, record[2:], "record", where)
    (pointers_bytes,) = struct.unpack_from("<I", record, RECORD_HEADER + 4)
    sections: dict[int, bytes] = {}
    for at in range(RECORD_HEADER + SECTION_HEADER, RECORD_HEADER + pointers_bytes, POINTER.size):
        number, length, index = POINTER.unpack_from(record, at)
        if length == 0:
            continue
        field = f"section {number}"
        start = index - 1
        if start < RECORD_HEADER or length < SECTION_HEADER or start + length > size:
            raise MalformedHeader(where, field=field, expected="a place inside the record")
        section = record[start : start + length]
        checksum, own_number, own_length = struct.unpack_from("<HHI", section)
        if own_number != number or own_length != length or number in sections:
            raise MalformedHeader(
                where, field=field, expected="the number and length that section 0 says, once"
            )
        _check(checksum, section[2:], field, where)
        sections[number] = section[SECTION_HEADER:]
    return sections


def lead_definition(
    sections: Mapping[int, bytes], limits: ReadLimits, where: Path
) -> LeadDefinition:
    """Section 3, its claims compared with the limits.

    Raises:
        MalformedHeader: it is missing, ends early, or a lead ends before it begins.
        RecordTooLarge: more leads or samples than the limits allow.
        LeadError: a lead's code is none of an electrocardiogram's leads.
    """
    body = sections.get(3, b"")
    if len(body) < 2 or body[0] == 0 or len(body) < 2 + 9 * body[0]:
        raise MalformedHeader(
            where, field="section 3", expected="a number of leads, and as many definitions"
        )
    count, flags = body[0], body[1]
    if count > limits.maximum_leads:
        raise RecordTooLarge(
            where, field="leads", expected=f"at most {limits.maximum_leads}", found=f"{count}"
        )
    leads = []
    for number in range(count):
        first, last, code = struct.unpack_from("<IIB", body, 2 + 9 * number)
        name = LEAD_NAMES.get(code)
        if name is None:
            kind = "a calibration" if code in CALIBRATION_CODES else "another"
            raise LeadError(
                where,
                field=f"lead {number + 1}",
                expected=f"one of {', '.join(LEAD_NAMES.values())}",
                found=f"{kind} lead (code {code})",
            )
        if last < max(first, 1):
            raise MalformedHeader(
                where, field=f"lead {name}", expected="a first sample from 1 on, and a later last"
            )
        if last > limits.maximum_samples:
            raise RecordTooLarge(
                where,
                field=f"samples of lead {name}",
                expected=f"at most {limits.maximum_samples}",
                found=f"{last}",
            )
        leads.append(Lead(name, first, last))
    return LeadDefinition(tuple(leads), reference_beat=bool(flags & 1))


def _check(checksum: int, content: bytes, field: str, where: Path) -> None:
    found = crc_ccitt(content)
    if found != checksum:
        raise ChecksumMismatch(
            where, field=f"checksum of {field}", expected=f"{checksum}", found=f"{found}"
        )
