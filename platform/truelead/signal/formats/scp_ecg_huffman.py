"""Huffman codes and differences of SCP-ECG (EN 1064 and ISO 11073-91064, sections 2, 5 and 6).

A code is a prefix, after which a fixed number of bits may follow that hold the value itself in
two's complement. The default table gives 0, 1, -1, ... 8, -8 a prefix each and every other number
8 or 16 bits of its own. A file may bring tables of its own, and a code may switch between them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.errors import MalformedHeader, TruncatedSignal, UnsupportedFormat

DEFAULT_TABLE_CODE = 19_999
"""Number of tables that stands for "the default table"."""

LONGEST_PREFIX = 16
LONGEST_VALUE = 16
MOST_TABLES = 32
MOST_CODES = 4_096

_CODE = struct.Struct("<BBBhI")


@dataclass(frozen=True)
class HuffmanCode:
    """One code of a table.

    Attributes:
        prefix: the bits that name the code, the first bit sent in the highest place.
        prefix_bits: how many bits the prefix has.
        value_bits: how many bits of value follow it.
        value: what the code means, to which the bits that follow are added.
        switch_to: table (from 0) that holds from here on; None for a code that means a value.
    """

    prefix: int
    prefix_bits: int
    value_bits: int
    value: int
    switch_to: int | None = None


@dataclass(frozen=True)
class HuffmanTable:
    """The codes of one table."""

    codes: tuple[HuffmanCode, ...]

    @cached_property
    def window(self) -> int:
        """Bits of the longest prefix."""
        return max(code.prefix_bits for code in self.codes)

    @cached_property
    def by_window(self) -> list[HuffmanCode | None]:
        """The code that the next `window` bits begin with, for each value they can have."""
        found: list[HuffmanCode | None] = [None] * (1 << self.window)
        for code in self.codes:
            free = self.window - code.prefix_bits
            first = code.prefix << free
            found[first : first + (1 << free)] = [code] * (1 << free)
        return found


@lru_cache(maxsize=1)
def default_table() -> HuffmanTable:
    """The table that the standard defines."""
    codes = [HuffmanCode(prefix=0, prefix_bits=1, value_bits=0, value=0)]
    for size in range(1, 9):
        ones = (1 << size) - 1
        codes.append(HuffmanCode(ones << 2, size + 2, 0, size))
        codes.append(HuffmanCode((ones << 2) | 1, size + 2, 0, -size))
    codes.append(HuffmanCode(0b1111111110, 10, 8, 0))
    codes.append(HuffmanCode(0b1111111111, 10, 16, 0))
    return HuffmanTable(tuple(codes))


def parse_tables(body: bytes, where: Path) -> tuple[HuffmanTable, ...]:
    """The tables of section 2.

    Args:
        body: the section without its header.

    Returns:
        the tables in their order; none where the section is empty: samples are then not coded.

    Raises:
        MalformedHeader: the section ends early, or two codes begin alike.
        UnsupportedFormat: codes longer than any that 16-bit samples need.
    """
    if len(body) < 2:
        return ()
    (count,) = struct.unpack_from("<H", body)
    if count == DEFAULT_TABLE_CODE:
        return (default_table(),)
    if count == 0 or count > MOST_TABLES:
        raise MalformedHeader(
            where, field="number of Huffman tables", expected=f"1 to {MOST_TABLES}"
        )
    tables = []
    position = 2
    for number in range(1, count + 1):
        table, position = _parse_table(body, position, count, f"Huffman table {number}", where)
        tables.append(table)
    return tuple(tables)


def _parse_table(
    body: bytes, position: int, tables: int, field: str, where: Path
) -> tuple[HuffmanTable, int]:
    if position + 2 > len(body):
        raise TruncatedSignal(where, field=field, expected="a number of codes")
    (count,) = struct.unpack_from("<H", body, position)
    position += 2
    if not 1 <= count <= MOST_CODES or position + count * _CODE.size > len(body):
        raise MalformedHeader(where, field=field, expected="as many codes as it says")
    codes = []
    for prefix_bits, all_bits, is_value, value, reversed_prefix in _CODE.iter_unpack(
        body[position : position + count * _CODE.size]
    ):
        value_bits = all_bits - prefix_bits
        if not 1 <= prefix_bits <= LONGEST_PREFIX or not 0 <= value_bits <= LONGEST_VALUE:
            raise UnsupportedFormat(
                where,
                field=field,
                expected=f"prefixes of 1 to {LONGEST_PREFIX} bits "
                f"and values of at most {LONGEST_VALUE}",
            )
        # The first bit sent is the lowest bit of the number in the file.
        low = reversed_prefix & ((1 << prefix_bits) - 1)
        prefix = int(f"{low:0{prefix_bits}b}"[::-1], 2)
        if is_value:
            codes.append(HuffmanCode(prefix, prefix_bits, value_bits, value))
            continue
        if not 1 <= value <= tables:
            raise MalformedHeader(where, field=field, expected=f"a switch to table 1 to {tables}")
        codes.append(HuffmanCode(prefix, prefix_bits, value_bits, 0, switch_to=value - 1))
    covered = sum(1 << (LONGEST_PREFIX - code.prefix_bits) for code in codes)
    table = HuffmanTable(tuple(codes))
    distinct = sum(code is not None for code in table.by_window)
    if covered >> (LONGEST_PREFIX - table.window) != distinct:
        raise MalformedHeader(where, field=field, expected="no code that another begins with")
    return table, position + count * _CODE.size


def decode(
    content: bytes, count: int, tables: Sequence[HuffmanTable], *, field: str, where: Path
) -> NDArray[np.int64]:
    """The first `count` numbers of a bit stream.

    Args:
        content: the coded bytes, the highest bit first.
        count: numbers to decode; each takes at least one bit, so content bounds it.
        tables: the first of them holds at the start.

    Returns:
        int64 of shape (count,).

    Raises:
        TruncatedSignal: the bits end before the last number.
        MalformedHeader: bits that are no code, or switches without an end.
    """
    bits = 8 * len(content)
    if count > bits:
        raise TruncatedSignal(where, field=field, expected=f"{count} samples in {bits} bits")
    windows = _windows(content)
    numbers = np.empty(count, dtype=np.int64)
    table = tables[0]
    by_window, shift = table.by_window, 32 - table.window
    position = done = 0
    while done < count:
        if position >= bits:
            raise TruncatedSignal(where, field=field, expected=f"{count} samples", found=f"{done}")
        window = windows[position]
        code = by_window[window >> shift]
        if code is None:
            raise MalformedHeader(where, field=field, expected="a code of the Huffman table")
        position += code.prefix_bits
        value = code.value
        if code.value_bits:
            raw = (window << code.prefix_bits & 0xFFFFFFFF) >> (32 - code.value_bits)
            value += raw - ((raw >> (code.value_bits - 1)) << code.value_bits)
            position += code.value_bits
        if code.switch_to is None:
            numbers[done] = value
            done += 1
        else:
            table = tables[code.switch_to]
            by_window, shift = table.by_window, 32 - table.window
    if position > bits:
        raise TruncatedSignal(where, field=field, expected=f"{count} samples", found=f"{done - 1}")
    return numbers


def _windows(content: bytes) -> list[int]:
    """The 32 bits from each bit on, with zeros behind the end."""
    octets = np.frombuffer(content + bytes(8), dtype=np.uint8).astype(np.uint64)
    wide = np.zeros(len(content), dtype=np.uint64)
    for place in range(5):
        wide = (wide << np.uint64(8)) | octets[place : place + len(content)]
    shifts = np.arange(8, 0, -1, dtype=np.uint64)
    windows: list[int] = ((wide[:, None] >> shifts) & np.uint64(0xFFFFFFFF)).reshape(-1).tolist()
    return windows


def undo_differences(numbers: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Samples from their first or second differences.

    The first one (or two) numbers are samples themselves. Sums wrap at 16 bits, as samples have 16
    bits and a difference of two of them may not fit where it is stored.

    Args:
        numbers: int64 of shape (T,).
        order: 0 for samples, 1 for first, 2 for second differences.
    """
    if order == 0 or numbers.size == 0:
        return numbers
    samples = numbers
    if order == 2:
        # The second number is a sample: its difference to the first begins the first differences.
        slopes = numbers.copy()
        slopes[1:2] -= numbers[:1]
        slopes[1:] = np.cumsum(slopes[1:])
        samples = slopes
    wrapped: NDArray[np.int64] = np.cumsum(samples).astype(np.int16).astype(np.int64)
    return wrapped
