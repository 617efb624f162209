"""XLI, the compression of samples in Philips' ECG files.

Philips has not published it; the facts are those of the sierra-ecg-tools project
(https://github.com/sixlettervariables/sierra-ecg-tools/wiki). Each lead is a chunk:

    bytes 0-3  size of the compressed data (low byte first)
    bytes 4-5  always 1
    bytes 6-7  first step of the second difference, signed
    then       LZW in codes of 10 bits, high bit first; 1023 ends the data, the table is never
               cleared and is full at code 1022

The decompressed bytes are the high bytes of all 16-bit words, then their low bytes. The first two
words w are samples as they are; from there x[n] = 2 x[n-1] - x[n-2] - c[n], where c[2] is the
header's step and c[n] = w[n-1] - 64 for n > 2.

Shape suffixes: T samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from truelead.errors import InvalidEcg, MalformedHeader, TruncatedSignal

_HEADER_BYTES = 8
_CODE_BITS = 10
_END = 2**_CODE_BITS - 1
_LARGEST_CODE = _END - 1
_BIAS = 64
_SAMPLES_16_BITS = (-(2**15), 2**15 - 1)
_FIELD = "parsedwaveforms"


def decompress(content: bytes, *, leads: int, samples: int, where: str) -> list[NDArray[np.int64]]:
    """The first `leads` chunks; devices write up to 16, of which the last are empty.

    Args:
        content: chunk behind chunk.
        leads: how many are wanted.
        samples: of each lead, at least 2; nothing longer is ever built.
        where: the file that errors name.

    Returns:
        int64 (T,) for each lead, within 16 bits.

    Raises:
        TruncatedSignal: fewer chunks, bytes or samples.
        MalformedHeader: a chunk's header or a code is impossible, or there are more samples.
        InvalidEcg: a sample does not fit 16 bits, so the data are damaged.
    """
    decompressed: list[NDArray[np.int64]] = []
    position = 0
    for _ in range(leads):
        header = content[position : position + _HEADER_BYTES]
        size = int.from_bytes(header[:4], "little")
        start = position + _HEADER_BYTES
        if len(header) < _HEADER_BYTES or len(content) - start < size:
            raise TruncatedSignal(
                where,
                field=_FIELD,
                expected=f"{leads} whole chunks",
                found=f"{len(decompressed)}",
            )
        if int.from_bytes(header[4:6], "little") != 1:
            raise MalformedHeader(where, field=f"{_FIELD} chunk", expected="1 in bytes 4 and 5")
        step = int.from_bytes(header[6:], "little", signed=True)
        words = _decompress_lzw(content[start : start + size], 2 * samples, where)
        decompressed.append(_samples(words, step, where))
        position = start + size
    return decompressed


def _decompress_lzw(content: bytes, size: int, where: str) -> bytes:
    """Exactly `size` bytes."""
    table = [bytes((value,)) for value in range(256)]
    parts: list[bytes] = []
    total = 0
    previous = b""
    for code in _codes(content):
        if code == _END or total == size:
            break
        if code < len(table):
            entry = table[code]
        elif code == len(table) and previous:
            # The entry that this very code is about to complete.
            entry = previous + previous[:1]
        else:
            raise MalformedHeader(where, field=f"{_FIELD} code", expected="one of the table")
        if previous and len(table) <= _LARGEST_CODE:
            table.append(previous + entry[:1])
        previous = entry
        parts.append(entry)
        total += len(entry)
        if total > size:
            raise MalformedHeader(
                where, field=f"{_FIELD} samples", expected=f"{size // 2} a lead", found="more"
            )
    if total < size:
        raise TruncatedSignal(
            where, field=f"{_FIELD} samples", expected=f"{size // 2} a lead", found=f"{total // 2}"
        )
    return b"".join(parts)


def _codes(content: bytes) -> list[int]:
    """The whole codes of the bits."""
    bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8))
    whole = bits.size // _CODE_BITS
    weights = 1 << np.arange(_CODE_BITS - 1, -1, -1)
    codes: list[int] = (bits[: whole * _CODE_BITS].reshape(whole, _CODE_BITS) @ weights).tolist()
    return codes


def _samples(content: bytes, step: int, where: str) -> NDArray[np.int64]:
    halves = np.frombuffer(content, dtype=np.uint8).reshape(2, -1)
    words_T = ((halves[0].astype(np.uint16) << 8) | halves[1]).view(np.int16).astype(np.int64)
    changes_T = np.concatenate(([step], words_T[2:-1] - _BIAS))[: words_T.size - 2]
    slopes_T = (words_T[1] - words_T[0]) - np.cumsum(changes_T)
    samples_T = np.concatenate((words_T[:2], words_T[1] + np.cumsum(slopes_T)))
    lowest, highest = _SAMPLES_16_BITS
    if samples_T.min() < lowest or samples_T.max() > highest:
        raise InvalidEcg(where, field=f"{_FIELD} samples", expected="within 16 bits")
    return samples_T
