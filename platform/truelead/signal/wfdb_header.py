"""WFDB header files, read with bounds: nothing is allocated on a header's word.

Format: header(5) of the WFDB Applications Guide, PhysioNet. Three kinds of line: a record line,
one line a signal, or, in a multi-segment record, one line a segment. Comments begin with "#" and
may hold patient data: they are kept in the header, never shown in an error or a repr.
"""

from __future__ import annotations

import os
import re
from datetime import date, datetime, time
from functools import lru_cache

from truelead.errors import MalformedHeader, RecordTooLarge
from truelead.signal.record_files import check_file_name, read_regular_file, split_record_path
from truelead.signal.wfdb_record import (
    DEFAULT_GAIN,
    DEFAULT_SAMPLING_RATE,
    ReadLimits,
    RecordHeader,
    Segment,
    SignalSpecification,
)

# Far outside what a device has; within them no sample overflows a float32 millivolt.
_SMALLEST_GAIN = 1e-6
_LARGEST_GAIN = 1e12

# Digits are bounded everywhere: no field of a real header needs more than 18.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_INTEGERS = re.compile(r"(?:[+-]?[0-9]{1,18} )*")
_NUMBER = r"[+-]?(?:[0-9]{1,18}\.?[0-9]{0,18}|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,3})?"
_NAME = re.compile(r"([^/\s]{1,255})(?:/([0-9]{1,9}))?")
_RATE = re.compile(rf"({_NUMBER})(?:/({_NUMBER})(?:\(({_NUMBER})\))?)?")
_FORMAT = re.compile(r"([0-9]{1,4})(?:x([0-9]{1,9}))?(?::([0-9]{1,18}))?(?:\+([0-9]{1,18}))?")
_GAIN = re.compile(rf"({_NUMBER})?(?:\(([+-]?[0-9]{{1,18}})\))?(?:/(\S{{1,32}}))?")


def read_header(path: str | os.PathLike[str], *, limits: ReadLimits | None = None) -> RecordHeader:
    """Read the header of the record at `path`, given with or without ".hea".

    Raises:
        MissingFile, MalformedHeader, RecordTooLarge: see `parse_header`.
    """
    limits = limits or ReadLimits()
    folder, name = split_record_path(path)
    file_name = os.path.join(folder, name + ".hea")
    content = read_regular_file(
        file_name, maximum_bytes=limits.maximum_header_bytes, field="header", where=file_name
    )
    return parse_header(content, where=file_name, limits=limits)


def parse_header(
    content: bytes, *, where: str = "header", limits: ReadLimits | None = None
) -> RecordHeader:
    """Parse the bytes of a header file.

    Raises:
        MalformedHeader: a line is not what header(5) describes, or lines are missing.
        RecordTooLarge: it claims more samples, signals or segments than the limits allow.
    """
    return _parse_header(content, where, limits or ReadLimits())


# A record is read, and its files are listed for their digest: its header is parsed once for both.
@lru_cache(maxsize=4)
def _parse_header(content: bytes, where: str, limits: ReadLimits) -> RecordHeader:
    if len(content) > limits.maximum_header_bytes:
        raise RecordTooLarge(
            where,
            field="header",
            expected=f"at most {limits.maximum_header_bytes} bytes",
            found=f"{len(content)}",
        )
    lines: list[str] = []
    comments: list[str] = []
    for line in content.decode("utf-8", errors="replace").replace("\r", "\n").split("\n"):
        line = line.strip()
        if line.startswith("#"):
            comments.append(line[1:].strip())
        elif line:
            lines.append(line)
    if not lines:
        raise MalformedHeader(where, field="record line", expected="one", found="none")

    fields = lines[0].split()
    name_match = _NAME.fullmatch(fields[0])
    if name_match is None:
        raise MalformedHeader(where, field="record name", expected="NAME or NAME/SEGMENTS")
    segment_count = int(name_match[2]) if name_match[2] else None
    if len(fields) < 2:
        raise MalformedHeader(where, field="number of signals", expected="an integer")
    lead_count = _integer(fields[1], where, "number of signals", minimum=0)
    _check_limit(where, "number of signals", lead_count, limits.maximum_leads)
    rate, counter_rate, base_counter = _parse_rate(fields[2:3], where)
    samples: int | None = None
    if len(fields) > 3:
        # 0 means "not stated" (header(5)), like a missing field.
        samples = _integer(fields[3], where, "number of samples", minimum=0) or None
        _check_limit(where, "number of samples", samples or 0, limits.maximum_samples)
    base_time, base_date = _parse_moment(fields[4:6])

    expected_lines = lead_count if segment_count is None else segment_count
    if segment_count is not None:
        _check_limit(where, "number of segments", segment_count, limits.maximum_segments)
    if len(lines) - 1 != expected_lines:
        raise MalformedHeader(
            where,
            field="signal lines" if segment_count is None else "segment lines",
            expected=f"{expected_lines} as the record line says",
            found=f"{len(lines) - 1}",
        )
    signals: tuple[SignalSpecification, ...] = ()
    segments: tuple[Segment, ...] = ()
    if segment_count is None:
        signals = tuple(
            _parse_signal(line, where, position, limits)
            for position, line in enumerate(lines[1:], start=1)
        )
    else:
        segments = tuple(_parse_segment(line, where, limits) for line in lines[1:])
    return RecordHeader(
        name=name_match[1],
        sampling_rate=rate,
        samples=samples,
        lead_count=lead_count,
        signals=signals,
        segments=segments,
        counter_rate=counter_rate,
        base_counter=base_counter,
        base_time=base_time,
        base_date=base_date,
        comments=tuple(comments),
    )


def _check_limit(where: str, field: str, value: int, limit: int) -> None:
    if value > limit:
        raise RecordTooLarge(where, field=field, expected=f"at most {limit}", found=f"{value}")


def _integer(text: str, where: str, field: str, *, minimum: int | None = None) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise MalformedHeader(where, field=field, expected="an integer")
    value = int(text)
    if minimum is not None and value < minimum:
        raise MalformedHeader(where, field=field, expected=f"at least {minimum}", found=f"{value}")
    return value


def _parse_rate(fields: list[str], where: str) -> tuple[float, float | None, float]:
    """(sampling rate, counter rate or None, base counter) from "RATE/COUNTER(BASE)"."""
    if not fields:
        return DEFAULT_SAMPLING_RATE, None, 0.0
    match = _RATE.fullmatch(fields[0])
    if match is None:
        raise MalformedHeader(where, field="sampling rate", expected="RATE[/COUNTER[(BASE)]]")
    rate = float(match[1])
    if not 0.0 < rate <= 1e6:
        raise MalformedHeader(
            where, field="sampling rate", expected="above 0 and at most 1e6 Hz", found=f"{rate:g}"
        )
    counter_rate = float(match[2]) if match[2] else None
    return rate, counter_rate, float(match[3]) if match[3] else 0.0


def _parse_moment(fields: list[str]) -> tuple[time | None, date | None]:
    """Base time and date. Neither is needed to read a signal and some sets swap or misspell them:
    what is not understood is left out."""
    found_time: time | None = None
    found_date: date | None = None
    for text in fields:
        for pattern in ("%H:%M:%S", "%H:%M:%S.%f", "%M:%S", "%d/%m/%Y", "%d-%b-%Y"):
            try:
                moment = datetime.strptime(text, pattern)
            except ValueError:
                continue
            if ":" in pattern:
                found_time = moment.time()
            else:
                found_date = moment.date()
            break
    return found_time, found_date


@lru_cache(maxsize=256)
def _parse_format(text: str) -> tuple[str, int, int, int | None] | None:
    """(format, samples per frame, skew, byte offset) of "FORMATxN:SKEW+OFFSET"."""
    match = _FORMAT.fullmatch(text)
    if match is None:
        return None
    per_frame = int(match[2]) if match[2] else 1
    offset = int(match[4]) if match[4] else None
    return match[1], per_frame, int(match[3] or 0), offset


@lru_cache(maxsize=256)
def _parse_gain(text: str) -> tuple[float, int | None, str] | None:
    """(gain, baseline, units) of "GAIN(BASELINE)/UNITS"."""
    match = _GAIN.fullmatch(text)
    if match is None:
        return None
    gain = float(match[1]) if match[1] else 0.0
    if gain != 0.0 and not _SMALLEST_GAIN <= abs(gain) <= _LARGEST_GAIN:
        return None
    return gain or DEFAULT_GAIN, int(match[2]) if match[2] else None, match[3] or "mV"


def _parse_signal(line: str, where: str, position: int, limits: ReadLimits) -> SignalSpecification:
    fields = line.split(None, 8)
    place = f"signal {position}"
    if len(fields) < 2:
        raise MalformedHeader(where, field=place, expected="a file name and a format")
    file_name = check_file_name(fields[0], where=where, field=f"{place} file name")
    storage = _parse_format(fields[1]) if len(fields[1]) < 64 else None
    if storage is None:
        raise MalformedHeader(
            where, field=f"{place} format", expected="FORMAT[xSAMPLES][:SKEW][+OFFSET]"
        )
    storage_format, per_frame, skew, offset = storage
    if per_frame < 1:
        raise MalformedHeader(where, field=f"{place} samples per frame", expected="at least 1")
    _check_limit(where, f"{place} samples per frame", per_frame, limits.maximum_samples)
    gain: float = DEFAULT_GAIN
    baseline: int | None = None
    units = "mV"
    if len(fields) > 2:
        scale = _parse_gain(fields[2]) if len(fields[2]) < 96 else None
        if scale is None:
            raise MalformedHeader(where, field=f"{place} gain", expected="GAIN[(BASELINE)][/UNITS]")
        gain, baseline, units = scale
    numbers = fields[3:8]
    if _INTEGERS.fullmatch(" ".join([*numbers, ""])) is None:
        raise MalformedHeader(
            where,
            field=place,
            expected="integers for ADC resolution, ADC zero, initial value, checksum, block size",
        )
    stored = [int(number) for number in numbers]
    adc_zero = stored[1] if len(stored) > 1 else 0
    return SignalSpecification(
        file_name=file_name,
        storage_format=storage_format,
        samples_per_frame=per_frame,
        skew=skew,
        byte_offset=offset,
        gain=gain,
        baseline=adc_zero if baseline is None else baseline,
        units=units,
        adc_resolution=stored[0] if stored else 0,
        adc_zero=adc_zero,
        initial_value=stored[2] if len(stored) > 2 else adc_zero,
        checksum=stored[3] if len(stored) > 3 else None,
        block_size=stored[4] if len(stored) > 4 else 0,
        description=fields[8] if len(fields) > 8 else "",
    )


def _parse_segment(line: str, where: str, limits: ReadLimits) -> Segment:
    fields = line.split()
    if len(fields) < 2:
        raise MalformedHeader(where, field="segment line", expected="a name and a length")
    name = check_file_name(fields[0], where=where, field="segment name")
    samples = _integer(fields[1], where, "segment length", minimum=0)
    _check_limit(where, "segment length", samples, limits.maximum_samples)
    return Segment(name, samples)
