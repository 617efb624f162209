"""An encoder of SCP-ECG for tests, written from the standard's text and apart from the reader."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

CODES = (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)
"""Lead codes of I, II, III, aVR, aVL, aVF, V1 to V6."""

DEFAULT_WORDS = {
    0: "0",
    1: "100",
    -1: "101",
    2: "1100",
    -2: "1101",
    3: "11100",
    -3: "11101",
    4: "111100",
    -4: "111101",
    5: "1111100",
    -5: "1111101",
    6: "11111100",
    -6: "11111101",
    7: "111111100",
    -7: "111111101",
    8: "1111111100",
    -8: "1111111101",
}
BYTE_ESCAPE, WORD_ESCAPE = "1111111110", "1111111111"


def crc(content: bytes) -> int:
    """CRC-CCITT bit by bit."""
    register = 0xFFFF
    for octet in content:
        register ^= octet << 8
        for _ in range(8):
            register = (register << 1) ^ (0x1021 if register & 0x8000 else 0)
            register &= 0xFFFF
    return register


def in_16_bits(number: int) -> int:
    return (number + 32768) % 65536 - 32768


def differences(samples: Sequence[int], order: int) -> list[int]:
    """The samples themselves, their first or their second differences, wrapped to 16 bits."""
    result = list(samples[:order])
    for at in range(order, len(samples)):
        if order == 0:
            result.append(samples[at])
        elif order == 1:
            result.append(in_16_bits(samples[at] - samples[at - 1]))
        else:
            result.append(in_16_bits(samples[at] - 2 * samples[at - 1] + samples[at - 2]))
    return result


def packed(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 16)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


def default_coded(numbers: Sequence[int]) -> bytes:
    """Coded by the default table."""
    words = []
    for number in numbers:
        if number in DEFAULT_WORDS:
            words.append(DEFAULT_WORDS[number])
        elif -128 <= number <= 127:
            words.append(BYTE_ESCAPE + format(number & 0xFF, "08b"))
        else:
            words.append(WORD_ESCAPE + format(number & 0xFFFF, "016b"))
    return packed("".join(words))


def plain(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}h", *numbers)


def code(word: str, value: int, *, more_bits: int = 0, switch: bool = False) -> bytes:
    """One code of a custom table; its first bit is stored lowest."""
    stored = sum(1 << place for place, bit in enumerate(word) if bit == "1")
    return struct.pack(
        "<BBBhI", len(word), len(word) + more_bits, 0 if switch else 1, value, stored
    )


def custom_tables(*tables: Sequence[bytes]) -> bytes:
    body = struct.pack("<H", len(tables))
    for codes in tables:
        body += struct.pack("<H", len(codes)) + b"".join(codes)
    return body


DEFAULT_TABLES = struct.pack("<H", 19999)


def data_section(
    coded_leads: Sequence[bytes], *, nanovolts: int, microseconds: int, order: int, last: int = 0
) -> bytes:
    """Section 5 or 6."""
    body = struct.pack("<HHBB", nanovolts, microseconds, order, last)
    body += b"".join(struct.pack("<H", len(coded)) for coded in coded_leads)
    return body + b"".join(coded_leads)


def lead_section(
    samples: Sequence[tuple[int, int]], codes: Sequence[int] = CODES, flags: int = 0x04
) -> bytes:
    """Section 3: (first, last) sample of each lead."""
    body = struct.pack("<BB", len(samples), flags | (len(samples) & 0x1F) << 3)
    for (first, last), lead in zip(samples, codes, strict=True):
        body += struct.pack("<IIB", first, last, lead)
    return body


def patient_section(texts: Mapping[int, str]) -> bytes:
    body = b""
    for tag, text in texts.items():
        value = text.encode("latin-1") + b"\0"
        body += struct.pack("<BH", tag, len(value)) + value
    return body + struct.pack("<BH", 255, 0)


def record(sections: Mapping[int, bytes]) -> bytes:
    """The whole file: checksum, length, section 0 with pointers to 12 sections, the sections."""
    numbers = sorted({*range(1, 12), *sections})
    pointers_bytes = 16 + 10 * (len(numbers) + 1)
    at = 6 + pointers_bytes
    pointers = struct.pack("<HII", 0, pointers_bytes, 7)
    parts = []
    for number in numbers:
        if number not in sections:
            pointers += struct.pack("<HII", number, 0, 0)
            continue
        body = sections[number] + b"\0" * (len(sections[number]) % 2)
        head = struct.pack("<HIBB6s", number, 16 + len(body), 20, 20, bytes(6))
        parts.append(struct.pack("<H", crc(head + body)) + head + body)
        pointers += struct.pack("<HII", number, len(parts[-1]), at + 1)
        at += len(parts[-1])
    head = struct.pack("<HIBB6s", 0, pointers_bytes, 20, 20, b"SCPECG") + pointers
    content = struct.pack("<H", crc(head)) + head + b"".join(parts)
    sized = struct.pack("<I", 6 + len(content)) + content
    return struct.pack("<H", crc(sized)) + sized


def twelve_leads(
    digital_LT: np.ndarray,
    *,
    coded: bool = True,
    order: int = 2,
    nanovolts: int = 1000,
    microseconds: int = 2000,
    patient: Mapping[int, str] | None = None,
) -> bytes:
    """A record of 12 leads of one length."""
    coder = default_coded if coded else plain
    leads = [coder(differences(row, order)) for row in digital_LT.tolist()]
    sections = {
        1: patient_section(patient or {2: "pseudonym"}),
        3: lead_section([(1, digital_LT.shape[1])] * len(leads)),
        6: data_section(leads, nanovolts=nanovolts, microseconds=microseconds, order=order),
    }
    if coded:
        sections[2] = DEFAULT_TABLES
    return record(sections)
