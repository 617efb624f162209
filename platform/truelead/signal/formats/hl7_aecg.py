"""HL7 version 3 annotated ECG (aECG), the format of ECGs submitted to the FDA.

Standard: HL7 aECG Implementation Guide, 21 March 2005. A series (rhythm strip or representative
beat) holds sequence sets; a set holds one time sequence (head and increment) and one sequence of
voltages a lead: origin + scale x digit. Several sets of a series, as in a 3 x 4 print, are placed
by their heads; what no set covers is NaN. Only the rhythm series is read.

Shape suffixes: T samples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from truelead.errors import LeadError, MalformedHeader, RecordTooLarge, UnsupportedFormat
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.claims import one_unit
from truelead.signal.formats.hl7_aecg_writer import write
from truelead.signal.formats.statement import refuse_contradiction
from truelead.signal.formats.xml_document import (
    attribute,
    children,
    number,
    only_child,
    read_document,
    root_name,
    text_of,
)
from truelead.signal.formats.xml_ecg import MILLIVOLTS, UNITS, checked_rate, columns_of, ecg_of
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_TIME_CODES = {"TIME_ABSOLUTE": "GLIST_TS", "TIME_RELATIVE": "GLIST_PQ"}
_DIGITS = re.compile(r"[+-]?\d{1,10}(?:[ \t\r\n]+[+-]?\d{1,10})*", re.ASCII)
_TIMESTAMP = re.compile(
    r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(?:(\d\d)(?:\.(\d{1,9}))?)?(?:([+-])(\d\d)(\d\d))?", re.ASCII
)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _SequenceSet:
    """Leads sampled together.

    Attributes:
        time_code: "TIME_ABSOLUTE" or "TIME_RELATIVE".
        head: seconds since an epoch (absolute) or the series' start (relative); None if masked.
        increment: seconds from sample to sample.
        voltages: (lead as the file codes it, its unit, float64 (T,) in mV).
    """

    time_code: str
    head: float | None
    increment: float
    voltages: tuple[tuple[str, str, NDArray[np.float64]], ...]


def recognise(head: bytes) -> bool:
    """Whether the root element is an annotated ECG."""
    return root_name(head) == "AnnotatedECG"


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """The rhythm series of the file; no field about the patient is looked at.

    Raises:
        MissingFile, MalformedHeader, RecordTooLarge: see `xml_document.read_document`; also where
            a sequence is damaged or longer than the limit.
        UnsupportedFormat: no rhythm series, several of them, or voltages stored in another way.
        LeadError: a lead covers a time twice, or is no lead.
        InvalidEcg: a voltage is beyond float32.
        StatementError: a statement contradicts the file.
    """
    where = str(path)
    series = _rhythm_series(read_document(path, root="AnnotatedECG"), where)
    found = children(series, "component", "sequenceSet")
    if not found:
        raise MalformedHeader(where, field="sequenceSet", expected="at least one", found="0")
    if len(found) > limits.maximum_segments:
        raise RecordTooLarge(
            where,
            field="sequenceSet",
            expected=f"at most {limits.maximum_segments}",
            found=f"{len(found)}",
        )
    sets = [_sequence_set(element, limits, where) for element in found]
    rate = checked_rate(1.0 / sets[0].increment, where=where)
    starts, samples = _places(sets, rate, limits, where)
    rows: dict[int, NDArray[np.float64]] = {}
    names: list[str] = []
    units: set[str] = set()
    for start, sequences in zip(starts, sets, strict=True):
        coded = [name for name, _, _ in sequences.voltages]
        for row, position in columns_of(coded, limits=limits, where=where).items():
            _, unit, voltages_T = sequences.voltages[position]
            units.add(unit)
            if row not in rows:
                rows[row] = np.full(samples, np.nan)
                names.append(LEADS[row])
            part_T = rows[row][start : start + voltages_T.size]
            if not np.isnan(part_T).all():
                raise LeadError(
                    where,
                    field="leads",
                    expected="each lead once at a time",
                    found=f"{LEADS[row]} more than once",
                )
            part_T[:] = voltages_T
    refuse_contradiction(
        stated,
        path,
        sampling_rate=rate,
        leads=names,
        units=one_unit(units),
    )
    return ecg_of(path, rows, sampling_rate=rate)


def _rhythm_series(root: Element, where: str) -> Element:
    every = children(root, "component", "series")
    rhythm = [series for series in every if _code(series, where) == "RHYTHM"]
    if len(rhythm) != 1:
        raise UnsupportedFormat(
            where,
            field="series",
            expected="one of code RHYTHM",
            found=f"{len(rhythm)} among {len(every)}",
        )
    return rhythm[0]


def _code(element: Element, where: str) -> str:
    return attribute(only_child(element, "code", where=where), "code") or ""


def _sequence_set(element: Element, limits: ReadLimits, where: str) -> _SequenceSet:
    times: list[tuple[str, float | None, float]] = []
    voltages: list[tuple[str, str, NDArray[np.float64]]] = []
    for sequence in children(element, "component", "sequence"):
        code = _code(sequence, where)
        value = only_child(sequence, "value", where=where)
        kind = (attribute(value, "type") or "").rpartition(":")[2]
        if code in _TIME_CODES:
            _expect_type(kind, _TIME_CODES[code], code, where)
            times.append((code, _head(value, code, where), _increment(value, where)))
        else:
            _expect_type(kind, "SLIST_PQ", "lead", where)
            unit, voltages_T = _voltages(value, limits, where)
            voltages.append((code, unit, voltages_T))
        if len(voltages) > limits.maximum_leads:
            raise RecordTooLarge(
                where, field="leads", expected=f"at most {limits.maximum_leads}", found="more"
            )
    if len(times) != 1:
        raise MalformedHeader(
            where, field="time sequence", expected="one in each set", found=f"{len(times)}"
        )
    if not voltages or len({voltages_T.size for _, _, voltages_T in voltages}) != 1:
        raise MalformedHeader(
            where, field="digits", expected="leads of one length in each sequence set"
        )
    return _SequenceSet(*times[0], voltages=tuple(voltages))


def _expect_type(kind: str, expected: str, field: str, where: str) -> None:
    if kind != expected:
        raise UnsupportedFormat(where, field=f"{field} value", expected=f"type {expected}")


def _increment(value: Element, where: str) -> float:
    element = only_child(value, "increment", where=where)
    return _time(element, "increment", where, positive=True)


def _time(element: Element, field: str, where: str, *, positive: bool = False) -> float:
    unit = attribute(element, "unit")
    if unit not in _SECONDS:
        raise MalformedHeader(where, field=f"{field} unit", expected="s, ms or us")
    return _SECONDS[unit] * number(
        attribute(element, "value"), field=field, where=where, positive=positive
    )


def _head(value: Element, code: str, where: str) -> float | None:
    """Seconds; None where the file masks the time, which de-identification does."""
    element = only_child(value, "head", where=where)
    text = attribute(element, "value")
    if text is None and attribute(element, "nullFlavor"):
        return None
    if code == "TIME_RELATIVE":
        return _time(element, "head", where)
    seconds = _seconds_since_epoch(text or "")
    if seconds is None:
        # The moment itself is patient data, so it is not quoted.
        raise MalformedHeader(where, field="head", expected="YYYYMMDDhhmm[ss[.f]]")
    return seconds


def _seconds_since_epoch(text: str) -> float | None:
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[group] or 0) for group in range(1, 7))
    zone = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    # Subtracted as numbers: a zone may lead out of the calendar.
    since = (moment - _EPOCH).total_seconds() + float(f"0.{found[7] or 0}")
    return since - (-1 if found[8] == "-" else 1) * zone.total_seconds()


def _voltages(value: Element, limits: ReadLimits, where: str) -> tuple[str, NDArray[np.float64]]:
    """(unit of the scale, voltages in mV)."""
    origin = only_child(value, "origin", where=where)
    scale = only_child(value, "scale", where=where)
    offset = _millivolts(origin, "origin", where)
    step = _millivolts(scale, "scale", where)
    if step == 0:
        raise MalformedHeader(where, field="scale", expected="a number other than 0")
    text = text_of(only_child(value, "digits", where=where))
    # A digit and a blank take 2 characters; only a longer text needs counting.
    most = limits.maximum_samples
    if len(text) > 2 * most and sum(1 for _ in re.finditer(r"\S+", text)) > most:
        raise RecordTooLarge(where, field="digits", expected=f"at most {most}", found="more")
    if _DIGITS.fullmatch(text) is None:
        raise MalformedHeader(where, field="digits", expected="whole numbers between blanks")
    digits_T = np.array(text.split(), dtype=np.float64)
    return UNITS[attribute(scale, "unit") or ""], offset + step * digits_T


def _millivolts(element: Element, field: str, where: str) -> float:
    unit = UNITS.get(attribute(element, "unit") or "")
    if unit is None:
        raise MalformedHeader(where, field=f"{field} unit", expected="nV, uV, mV or V")
    return MILLIVOLTS[unit] * number(attribute(element, "value"), field=field, where=where)


def _places(
    sets: list[_SequenceSet], rate: float, limits: ReadLimits, where: str
) -> tuple[list[int], int]:
    """(first sample of each set, samples of the whole), from the earliest head."""
    if any(abs(each.increment - sets[0].increment) > 1e-9 * each.increment for each in sets):
        raise UnsupportedFormat(where, field="increment", expected="the same in all sequence sets")
    if len(sets) == 1:
        return [0], sets[0].voltages[0][2].size
    heads = [each.head for each in sets if each.head is not None]
    if len(heads) != len(sets) or len({each.time_code for each in sets}) != 1:
        raise MalformedHeader(
            where, field="head", expected="a time of one kind in each of several sequence sets"
        )
    offsets = [(head - min(heads)) * rate for head in heads]
    ends = [offset + each.voltages[0][2].size for offset, each in zip(offsets, sets, strict=True)]
    # Compared as floats: heads may lie ages apart.
    if max(ends) > limits.maximum_samples:
        raise RecordTooLarge(
            where,
            field="head",
            expected=f"at most {limits.maximum_samples} samples over all sequence sets",
            found=f"{max(ends):.0f}",
        )
    starts = [round(offset) for offset in offsets]
    return starts, max(
        start + each.voltages[0][2].size for start, each in zip(starts, sets, strict=True)
    )


FORMAT = Format(
    name="aecg",
    title="HL7 annotated ECG (aECG)",
    suffixes=(".xml", ".aecg"),
    read=read,
    recognise=recognise,
    write=write,
    precision_millivolts=0.00001,
)
