"""SCP-ECG (EN 1064, ISO 11073-91064, AAMI EC71): the rhythm data of section 6.

Samples are 16-bit numbers, their first or second differences, plain or Huffman coded, and may be
what is left after a reference beat (sections 4 and 5) was subtracted. Bimodal files, which keep
fewer samples outside the QRS complexes, and the long-term section 12 are refused. Section 1 and
all others that speak of the patient are never decoded. Where a file leaves III and the augmented
leads to be computed from I and II, as the standard lets it, they are.

Shape suffixes: L leads of the file, T samples.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.errors import MalformedHeader, TruncatedSignal, UnsupportedFormat
from truelead.signal.formats.base import NOTHING_STATED, Format, StatedSignal
from truelead.signal.formats.limb_leads import with_limb_leads
from truelead.signal.formats.scp_ecg_huffman import (
    HuffmanTable,
    decode,
    parse_tables,
    undo_differences,
)
from truelead.signal.formats.scp_ecg_sections import (
    Lead,
    lead_definition,
    recognise,
    sections_of,
)
from truelead.signal.formats.statement import leads_in_order, refuse_contradiction
from truelead.signal.record_files import read_regular_file
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import Ecg

NANOVOLTS_PER_MILLIVOLT = 1e6
_OTHER_BYTES = 1 << 20
"""Room for the sections without samples."""

_DATA_HEADER = struct.Struct("<HHBB")
_BEAT = struct.Struct("<HIII")


@dataclass(frozen=True)
class _Data:
    """Section 5 or 6.

    Attributes:
        nanovolts: of one unit (AVM, amplitude value multiplier).
        microseconds: between two samples.
        samples_of_lead: int64, in the order of section 3.
    """

    nanovolts: int
    microseconds: int
    samples_of_lead: tuple[NDArray[np.int64], ...]


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """Read the rhythm data. A lead that begins later or ends earlier has NaN there.

    Raises:
        ChecksumMismatch: the record or a section was changed.
        UnsupportedFormat: bimodal or long-term data, or a reference beat at another rate.
        MalformedHeader, TruncatedSignal, RecordTooLarge, LeadError, MissingFile, StatementError.
    """
    maximum_bytes = 4 * limits.maximum_samples * limits.maximum_leads + _OTHER_BYTES
    content = read_regular_file(
        os.fspath(path), maximum_bytes=maximum_bytes, field="file", where=os.fspath(path)
    )
    sections = sections_of(content, path)
    definition = lead_definition(sections, limits, path)
    if 6 not in sections:
        raise UnsupportedFormat(
            path,
            field="section 6",
            expected="rhythm data",
            found="only long-term data (section 12)" if 12 in sections else "none",
        )
    tables = parse_tables(sections.get(2, b""), path)
    leads = [
        _from_one(lead, sections[6], number, len(definition.leads), tables, path)
        for number, lead in enumerate(definition.leads)
    ]
    if sections[6][5:6] not in (b"\x00", b""):
        raise UnsupportedFormat(
            path, field="section 6", expected="every sample stored", found="bimodal compression"
        )
    data = _data(sections[6], [lead.samples for lead in leads], tables, "section 6", path)
    nanovolts_of_lead = [samples * data.nanovolts for samples in data.samples_of_lead]
    if definition.reference_beat:
        _add_reference_beat(nanovolts_of_lead, leads, data, sections, tables, path)

    total = max(lead.last for lead in leads)
    nanovolts_LT = np.full((len(leads), total), np.nan)
    for row_T, lead, nanovolts_T in zip(nanovolts_LT, leads, nanovolts_of_lead, strict=True):
        row_T[lead.first - 1 : lead.last] = nanovolts_T
    names = [lead.name for lead in leads]
    sampling_rate = 1e6 / data.microseconds
    if stated != NOTHING_STATED:
        refuse_contradiction(stated, path, sampling_rate=sampling_rate, leads=names)
    signal_LT = leads_in_order(nanovolts_LT, names, NANOVOLTS_PER_MILLIVOLT, path)
    return Ecg(with_limb_leads(signal_LT, names), sampling_rate, record_id=path.stem)


def _from_one(
    lead: Lead, body: bytes, number: int, count: int, tables: Sequence[HuffmanTable], path: Path
) -> Lead:
    """The lead with its samples counted from 1.

    Some devices count from 0 and write the number of samples as the last one. Where the samples
    are not coded, their bytes tell whether that is what happened; otherwise nothing does.
    """
    if lead.first > 0:
        return lead
    place = _DATA_HEADER.size + 2 * number
    if not tables and len(body) >= place + 2:
        (stored_bytes,) = struct.unpack_from("<H", body, place)
        if stored_bytes == 2 * lead.last:
            return Lead(lead.name, 1, lead.last)
    raise MalformedHeader(path, field=f"lead {lead.name}", expected="samples counted from 1")


def _data(
    body: bytes,
    counts: Sequence[int],
    tables: Sequence[HuffmanTable],
    field: str,
    path: Path,
) -> _Data:
    """Decode section 5 or 6.

    Args:
        body: the section without its header.
        counts: samples of each lead.
        tables: of section 2; none where samples are not coded.
    """
    lengths_end = _DATA_HEADER.size + 2 * len(counts)
    if len(body) < lengths_end:
        raise TruncatedSignal(path, field=field, expected=f"at least {lengths_end} bytes")
    nanovolts, microseconds, order, _ = _DATA_HEADER.unpack_from(body)
    if nanovolts == 0 or microseconds == 0 or order > 2:
        raise MalformedHeader(
            path,
            field=field,
            expected="a multiplier and an interval above 0, and differences of order 0 to 2",
        )
    lengths = struct.unpack_from(f"<{len(counts)}H", body, _DATA_HEADER.size)
    if lengths_end + sum(lengths) > len(body):
        raise TruncatedSignal(
            path,
            field=field,
            expected=f"{lengths_end + sum(lengths)} bytes",
            found=f"{len(body)}",
        )
    samples_of_lead = []
    at = lengths_end
    for number, (length, count) in enumerate(zip(lengths, counts, strict=True), start=1):
        coded = body[at : at + length]
        at += length
        place = f"{field}, lead {number}"
        if tables:
            numbers = decode(coded, count, tables, field=place, where=path)
        elif length != 2 * count:
            raise TruncatedSignal(
                path,
                field=place,
                expected=f"{2 * count} bytes for {count} samples",
                found=f"{length}",
            )
        else:
            numbers = np.frombuffer(coded, dtype="<i2").astype(np.int64)
        samples_of_lead.append(undo_differences(numbers, order))
    return _Data(nanovolts, microseconds, tuple(samples_of_lead))


def _add_reference_beat(
    nanovolts_of_lead: list[NDArray[np.int64]],
    leads: Sequence[Lead],
    data: _Data,
    sections: Mapping[int, bytes],
    tables: Sequence[HuffmanTable],
    path: Path,
) -> None:
    """Add the reference beat of section 5 where section 4 says that it was subtracted, in place.

    A beat of type 0 is the reference beat's: its subtraction zone goes from one sample to another
    of the record (counted from 1), with the reference beat's fiducial point on the beat's own.
    """
    head = struct.Struct("<HHH")
    zones = sections.get(4, b"")
    if 5 not in sections or len(zones) < head.size:
        raise MalformedHeader(
            path, field="sections 4 and 5", expected="the reference beat that was subtracted"
        )
    milliseconds, fiducial, beats = head.unpack_from(zones)
    if len(zones) < head.size + beats * _BEAT.size:
        raise TruncatedSignal(path, field="section 4", expected=f"{beats} beats")
    interval = struct.unpack_from("<H", sections[5], 2)[0] if len(sections[5]) >= 4 else 0
    if interval != data.microseconds:
        raise UnsupportedFormat(
            path, field="section 5", expected="a reference beat at the rate of the rhythm data"
        )
    count = round(milliseconds * 1000 / interval)
    if count < 1 or not 1 <= fiducial <= count:
        raise MalformedHeader(
            path, field="section 4", expected="a fiducial point inside the reference beat"
        )
    reference = _data(sections[5], [count] * len(leads), tables, "section 5", path)
    for number in range(beats):
        kind, first, centre, last = _BEAT.unpack_from(zones, head.size + number * _BEAT.size)
        if kind != 0:
            continue
        begin = centre - fiducial + 1
        if first > last or first < begin or last >= begin + count:
            raise MalformedHeader(
                path,
                field=f"section 4, beat {number + 1}",
                expected="a subtraction zone inside the reference beat",
            )
        for nanovolts_T, beat_T, lead in zip(
            nanovolts_of_lead, reference.samples_of_lead, leads, strict=True
        ):
            low, high = max(first, lead.first), min(last, lead.last)
            if low > high:
                continue
            part_T = beat_T[low - begin : high - begin + 1] * reference.nanovolts
            nanovolts_T[low - lead.first : high - lead.first + 1] += part_T


FORMAT = Format(
    name="scp-ecg",
    title="SCP-ECG",
    suffixes=(".scp",),
    read=read,
    recognise=recognise,
)
