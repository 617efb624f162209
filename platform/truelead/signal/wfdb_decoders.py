"""The storage formats of WFDB signal files: bytes -> samples of the ADC.

Formats: signal(5) of the WFDB Applications Guide, PhysioNet. Formats 16, 212, 24 and 32 (and so
the .mat files of the PhysioNet/CinC challenges, which are format 16 behind a 24-byte offset), and
61, 80 and 160, are decoded here; the rarer ones go to `wfdb_fallback`.

Shape suffixes: S stored samples in file order, P pairs of samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Digital = NDArray[np.signedinteger[Any]]

INVALID_SAMPLE: dict[str, int] = {
    "16": -(2**15),
    "61": -(2**15),
    "160": -(2**15),
    "516": -(2**15),
    "24": -(2**23),
    "524": -(2**23),
    "32": -(2**31),
    "212": -(2**11),
    "310": -(2**9),
    "311": -(2**9),
    "80": -(2**7),
    "508": -(2**7),
}
"""Lowest value of each format: it stands for "no sample here". Format 8 has none."""


def _decode_16(raw: memoryview, count: int) -> Digital:
    return np.frombuffer(raw, dtype="<i2", count=count)


def _decode_32(raw: memoryview, count: int) -> Digital:
    return np.frombuffer(raw, dtype="<i4", count=count)


def _decode_61(raw: memoryview, count: int) -> Digital:
    """Format 16 with the high byte first."""
    return np.frombuffer(raw, dtype=">i2", count=count).astype(np.int16)


def _decode_80(raw: memoryview, count: int) -> Digital:
    """8-bit offset binary."""
    return np.frombuffer(raw, dtype=np.uint8, count=count).astype(np.int16) - 128


def _decode_160(raw: memoryview, count: int) -> Digital:
    """16-bit offset binary: flipping the upper bit makes it two's complement."""
    return (np.frombuffer(raw, dtype="<u2", count=count) ^ 0x8000).astype(np.int16)


def _decode_24(raw: memoryview, count: int) -> Digital:
    bytes_S4 = np.zeros((count, 4), dtype=np.uint8)
    bytes_S4[:, 1:] = np.frombuffer(raw, dtype=np.uint8, count=3 * count).reshape(count, 3)
    # The value sits in the upper three bytes: the shift brings it down with its sign.
    return bytes_S4.view("<i4").reshape(count) >> 8


def _decode_212(raw: memoryview, count: int) -> Digital:
    """Two 12-bit samples in three bytes: low byte, two high nibbles, low byte."""
    pairs = (count + 1) // 2
    bytes_flat = np.zeros(3 * pairs, dtype=np.uint8)
    stored = len(raw)
    bytes_flat[:stored] = np.frombuffer(raw, dtype=np.uint8, count=stored)
    bytes_P3 = bytes_flat.reshape(pairs, 3)
    nibbles_P = bytes_P3[:, 1].astype(np.int16)
    samples_P2 = np.empty((pairs, 2), dtype=np.int16)
    # Built in the upper 12 bits, so that the shift down carries the sign.
    samples_P2[:, 0] = ((nibbles_P & 0x0F) << 12) | (bytes_P3[:, 0].astype(np.int16) << 4)
    samples_P2[:, 1] = ((nibbles_P & 0xF0) << 8) | (bytes_P3[:, 2].astype(np.int16) << 4)
    return (samples_P2 >> 4).reshape(-1)[:count]


DECODERS: dict[str, Callable[[memoryview, int], Digital]] = {
    "16": _decode_16,
    "24": _decode_24,
    "32": _decode_32,
    "61": _decode_61,
    "80": _decode_80,
    "160": _decode_160,
    "212": _decode_212,
}
"""Storage format -> decoder of (stored bytes, number of samples)."""

_BITS_PER_SAMPLE = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12}
COMPRESSED_FORMATS = frozenset(("508", "516", "524"))
FALLBACK_FORMATS = frozenset(("8", "310", "311")) | COMPRESSED_FORMATS


def stored_bytes(storage_format: str, count: int) -> int:
    """Bytes that `count` samples take at least (0 for compressed formats: not known before)."""
    if storage_format in COMPRESSED_FORMATS:
        return 0
    if storage_format in ("310", "311"):
        # Three 10-bit samples in four bytes.
        return -(-4 * count // 3)
    return -(-_BITS_PER_SAMPLE[storage_format] * count // 8)


def samples_in(storage_format: str, size: int) -> int:
    """How many whole samples a file of `size` bytes can hold."""
    if storage_format in ("310", "311"):
        return 3 * size // 4
    return 8 * size // _BITS_PER_SAMPLE[storage_format]
