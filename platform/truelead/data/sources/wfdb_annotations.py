"""Marks of a WFDB annotation file: annot(5) of the WFDB Applications Guide, PhysioNet, MIT format.

Of a file only the places and codes of its marks are read, and the rate that it states. wfdb reads
everything, but by way of tables that take far longer than a file of 50 marks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from truelead.errors import RecordError
from truelead.signal.record_files import read_regular_file

_SKIP, _NUMBER, _SUBTYPE, _CHANNEL, _TEXT = 59, 60, 61, 62, 63
_NOTE = 22
_MAXIMUM_BYTES = 1 << 20
_RESOLUTION = re.compile(rb"## time resolution: ([0-9]{1,9}(?:\.[0-9]{1,9})?)\0?")


@dataclass(frozen=True)
class Annotations:
    """What a file holds.

    Attributes:
        marks: place in samples and annotation code of each mark, as in ecgcodes.h (1 is a normal
            beat), in the order of the file.
        sampling_rate: of the places in Hz, None where the file does not state it.
    """

    marks: tuple[tuple[int, int], ...]
    sampling_rate: float | None


def read_annotations(path: Path) -> Annotations:
    """Read an annotation file.

    Raises:
        MissingFile: it is not there or cannot be read.
        RecordError: it is larger than 1 MiB, breaks off, or goes on behind its end.
    """
    content = read_regular_file(
        str(path), maximum_bytes=_MAXIMUM_BYTES, field="annotations", where=str(path)
    )
    marks: list[tuple[int, int]] = []
    sampling_rate: float | None = None
    place = at = 0
    while True:
        if at + 2 > len(content):
            raise _broken(path, "an end mark")
        word = int.from_bytes(content[at : at + 2], "little")
        code, interval = word >> 10, word & 0x3FF
        at += 2
        if word == 0:
            break
        if code == _SKIP:
            if at + 4 > len(content):
                raise _broken(path, "4 bytes behind a skip")
            high = int.from_bytes(content[at : at + 2], "little", signed=True)
            place += (high << 16) + int.from_bytes(content[at + 2 : at + 4], "little")
            at += 4
        elif code == _TEXT:
            text = content[at : at + interval]
            at += interval + interval % 2
            # The rate is the text of a note at the start, which is no mark of the ECG.
            if marks and marks[-1] == (0, _NOTE) and (stated := _RESOLUTION.fullmatch(text)):
                marks.pop()
                sampling_rate = float(stated[1])
        elif code not in (_NUMBER, _SUBTYPE, _CHANNEL):
            place += interval
            marks.append((place, code))
    if content[at:].strip(b"\0"):
        raise _broken(path, "nothing behind the end mark")
    return Annotations(tuple(marks), sampling_rate)


def _broken(path: Path, expected: str) -> RecordError:
    return RecordError(path, field="annotations", expected=expected)
