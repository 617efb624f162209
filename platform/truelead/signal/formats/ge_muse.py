"""GE MUSE XML (root `RestingECG`), the export of GE's ECG management system.

GE publishes no specification; the elements are those that MUSE 7 to 9 exports hold. Samples are
16-bit integers (low byte first) in base64, one `LeadData` a lead. MUSE stores 8 leads and leaves
out the 4 that follow from I and II; where they are absent they are computed:

    III = II - I     aVR = -(I + II) / 2     aVL = I - II / 2     aVF = II - I / 2

Only the waveform of type Rhythm is read, never the median beat. A lead whose electrode was off
(`LeadOff`) is NaN, and so are the leads that would follow from it.

Shape suffixes: T samples.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from truelead.errors import (
    ChecksumMismatch,
    MalformedHeader,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.claims import one_unit
from truelead.signal.formats.limb_leads import WEIGHTS_OF_I_AND_II
from truelead.signal.formats.statement import refuse_contradiction
from truelead.signal.formats.xml_document import (
    base64_bytes,
    children,
    count,
    number,
    only_child,
    read_document,
    root_name,
    text_of,
)
from truelead.signal.formats.xml_ecg import MILLIVOLTS, checked_rate, columns_of, ecg_of
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

_UNITS = {"NANOVOLTS": "nV", "MICROVOLTS": "uV", "MILLIVOLTS": "mV", "VOLTS": "V"}
_FLAGS = {"TRUE": True, "FALSE": False}
_BYTES_PER_SAMPLE = 2


def recognise(head: bytes) -> bool:
    """Whether the root element is MUSE's."""
    return root_name(head) == "RestingECG"


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """The rhythm waveform of the file; no field about the patient is looked at.

    Raises:
        MissingFile, MalformedHeader, RecordTooLarge: see `xml_document.read_document`; also where
            a number is wrong, leads differ in length, or more samples are claimed than the limit.
        UnsupportedFormat: no rhythm waveform, several of them, or samples that are not 16 bits.
        TruncatedSignal: a lead has fewer samples than it claims.
        ChecksumMismatch: a lead's samples do not have its CRC-32.
        LeadError: a lead is doubled, or no lead.
        InvalidEcg: a voltage is beyond float32.
        StatementError: a statement contradicts the file.
    """
    where = str(path)
    waveform = _rhythm(read_document(path, root="RestingECG", document_type_allowed=True), where)
    rate = _rate(waveform, where)
    leads = children(waveform, "LeadData")
    names = [text_of(only_child(lead, "LeadID", where=where)) for lead in leads]
    position_of_row = columns_of(names, limits=limits, where=where)
    claimed = _optional(waveform, "NumberofLeads", where)
    if claimed is not None and claimed != str(len(leads)):
        raise MalformedHeader(
            where, field="NumberofLeads", expected="the number of LeadData", found=f"{len(leads)}"
        )
    rows: dict[int, NDArray[np.float64]] = {}
    units: set[str] = set()
    for row, position in position_of_row.items():
        unit, rows[row] = _voltages(leads[position], limits, where)
        units.add(unit)
    if len({row_T.size for row_T in rows.values()}) != 1:
        raise MalformedHeader(where, field="LeadSampleCountTotal", expected="one for all leads")
    refuse_contradiction(
        stated,
        path,
        sampling_rate=rate,
        leads=names,
        units=one_unit(units),
    )
    _derive(rows)
    return ecg_of(path, rows, sampling_rate=rate)


def _rhythm(root: Element, where: str) -> Element:
    every = children(root, "Waveform")
    rhythm = [
        waveform
        for waveform in every
        if text_of(only_child(waveform, "WaveformType", where=where)).upper() == "RHYTHM"
    ]
    if len(rhythm) != 1:
        raise UnsupportedFormat(
            where,
            field="Waveform",
            expected="one of type Rhythm",
            found=f"{len(rhythm)} among {len(every)}",
        )
    return rhythm[0]


def _rate(waveform: Element, where: str) -> float:
    """SampleBase x 10 ^ SampleExponent, in Hz."""
    base = _number(waveform, "SampleBase", where, positive=True)
    exponent = 0.0
    if children(waveform, "SampleExponent"):
        exponent = _number(waveform, "SampleExponent", where)
    if not -9 <= exponent <= 9:
        raise MalformedHeader(where, field="SampleExponent", expected="from -9 to 9")
    return checked_rate(base * 10.0**exponent, where=where)


def _voltages(lead: Element, limits: ReadLimits, where: str) -> tuple[str, NDArray[np.float64]]:
    """(unit, voltages in mV), NaN where the lead was off."""
    unit = _UNITS.get(text_of(only_child(lead, "LeadAmplitudeUnits", where=where)).upper())
    if unit is None:
        raise MalformedHeader(where, field="LeadAmplitudeUnits", expected=", ".join(_UNITS))
    step = MILLIVOLTS[unit] * _number(lead, "LeadAmplitudeUnitsPerBit", where, positive=True)
    samples = count(
        text_of(only_child(lead, "LeadSampleCountTotal", where=where)),
        field="LeadSampleCountTotal",
        where=where,
        maximum=limits.maximum_samples,
    )
    if (_optional(lead, "LeadSampleSize", where) or "2") != str(_BYTES_PER_SAMPLE):
        raise UnsupportedFormat(where, field="LeadSampleSize", expected="2 bytes")
    for shift in ("LeadTimeOffset", "LeadOffsetFirstSample"):
        if children(lead, shift) and _number(lead, shift, where) != 0:
            raise UnsupportedFormat(where, field=shift, expected="0")
    content = base64_bytes(
        text_of(only_child(lead, "WaveFormData", where=where)), field="WaveFormData", where=where
    )
    _check_length(lead, content, samples, where)
    _check_checksum(lead, content, where)
    if _off(lead, where):
        return unit, np.full(samples, np.nan)
    return unit, step * np.frombuffer(content, dtype="<i2").astype(np.float64)


def _check_length(lead: Element, content: bytes, samples: int, where: str) -> None:
    size = samples * _BYTES_PER_SAMPLE
    claimed = _optional(lead, "LeadByteCountTotal", where)
    if claimed is not None and claimed != str(size):
        raise MalformedHeader(
            where, field="LeadByteCountTotal", expected=f"{size} for {samples} samples"
        )
    kind = TruncatedSignal if len(content) < size else MalformedHeader
    if len(content) != size:
        raise kind(where, field="WaveFormData", expected=f"{size} bytes", found=f"{len(content)}")


def _check_checksum(lead: Element, content: bytes, where: str) -> None:
    text = _optional(lead, "LeadDataCRC32", where)
    if text is None:
        return
    stored = _number(lead, "LeadDataCRC32", where)
    if stored not in {zlib.crc32(content), zlib.crc32(content) - 2**32}:
        raise ChecksumMismatch(where, field="LeadDataCRC32", expected="that of the samples")


def _off(lead: Element, where: str) -> bool:
    text = _optional(lead, "LeadOff", where)
    flag = _FLAGS.get((text or "FALSE").upper())
    if flag is None:
        raise MalformedHeader(where, field="LeadOff", expected="TRUE or FALSE")
    return flag


def _derive(rows: dict[int, NDArray[np.float64]]) -> None:
    """Add the leads that follow from I and II and are absent."""
    first, second = rows.get(LEADS.index("I")), rows.get(LEADS.index("II"))
    if first is None or second is None:
        return
    for lead, (weight_of_first, weight_of_second) in WEIGHTS_OF_I_AND_II.items():
        derived_T = weight_of_first * first + weight_of_second * second
        rows.setdefault(LEADS.index(lead), derived_T)


def _optional(parent: Element, name: str, where: str) -> str | None:
    if not children(parent, name):
        return None
    return text_of(only_child(parent, name, where=where))


def _number(parent: Element, name: str, where: str, *, positive: bool = False) -> float:
    text = text_of(only_child(parent, name, where=where))
    return number(text, field=name, where=where, positive=positive)


FORMAT = Format(
    name="muse",
    title="GE MUSE XML",
    suffixes=(".xml",),
    read=read,
    recognise=recognise,
)
