"""Philips ECG XML (root `restingecgdata`), documents SierraECG and PhilipsECG 1.03 to 1.04.

The facts are those of Philips' schemas 1.03 and 1.04.01 and of the sierra-ecg-tools project
(https://github.com/sixlettervariables/sierra-ecg-tools). Samples are 16-bit integers, lead behind
lead, of `resolution` microvolts, in base64 or as text, uncompressed or compressed (`philips_xli`).
Compressed files store four leads as what is left of them beside I and II, with halves rounded
towards zero; they are put back so:

    III = II - I - stored               aVR = -stored - (I + II) / 2
    aVL = (I - III) / 2 - stored        aVF = (II + III) / 2 - stored

Devices draw a calibration mark (all leads alike: 0, then 1 mV, then 0) behind the ECG. It is no
recorded voltage and is cut off. Representative beats are never read.

Shape suffixes: R rows of the file, T samples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from truelead.errors import LeadError, MalformedHeader, TruncatedSignal, UnsupportedFormat
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.philips_xli import decompress
from truelead.signal.formats.statement import refuse_contradiction
from truelead.signal.formats.xml_document import (
    attribute,
    base64_bytes,
    children,
    count,
    number,
    only_child,
    read_document,
    root_name,
    text_of,
)
from truelead.signal.formats.xml_ecg import checked_rate, columns_of, ecg_of
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

_DOCUMENTS = ("SierraECG", "PhilipsECG")
_VERSIONS = ("1.03", "1.04", "1.04.01", "1.04.02")
_TWELVE_LEADS = ("STD-12", "10-WIRE")
# The decompressor starts from two samples.
_FEWEST_SAMPLES = 2
_UNCOMPRESSED = ("", "None", "Uncompressed")
_VALUES = re.compile(r"[+-]?\d{1,5}(?:[ \t\r\n,]+[+-]?\d{1,5})*", re.ASCII)


@dataclass(frozen=True)
class _Waveforms:
    """What a file says of its waveforms, from whichever element its version says it in."""

    names: tuple[str, ...]
    samples: int
    sampling_rate: float
    microvolts: float
    offset: float
    encoding: str
    compression: str


def recognise(head: bytes) -> bool:
    """Whether the root element is Philips'."""
    return root_name(head) == "restingecgdata"


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """The waveforms of the file; no field about the patient is looked at.

    Raises:
        MissingFile, MalformedHeader, RecordTooLarge: see `xml_document.read_document`; also where
            a number is wrong, or more samples are claimed than the limit.
        UnsupportedFormat: another document, version, encoding or compression.
        TruncatedSignal: fewer samples than the file claims.
        LeadError: a lead is doubled or no lead, or I, II and III are not there to put back others.
        InvalidEcg: the compressed data are damaged.
        StatementError: a statement contradicts the file.
    """
    where = str(path)
    root = read_document(path, root="restingecgdata")
    _check_document(root, where)
    element = only_child(root, "waveforms", "parsedwaveforms", where=where)
    waveforms = _describe(root, element, limits, where)
    position_of_row = columns_of(waveforms.names, limits=limits, where=where)
    if waveforms.compression == "XLI":
        stored = _decompress(element, waveforms, where)
        digital = {LEADS[row]: stored[position] for row, position in position_of_row.items()}
        _put_back(digital, where)
    else:
        stored_RT = _uncompressed(element, waveforms, where) - waveforms.offset
        digital = {LEADS[row]: stored_RT[position] for row, position in position_of_row.items()}
    refuse_contradiction(
        stated,
        path,
        sampling_rate=waveforms.sampling_rate,
        leads=waveforms.names,
        units="uV",
    )
    end = _end_of_ecg(digital, waveforms.microvolts)
    rows = {
        LEADS.index(lead): lead_T[:end].astype(np.float64) * (waveforms.microvolts / 1000)
        for lead, lead_T in digital.items()
    }
    return ecg_of(path, rows, sampling_rate=waveforms.sampling_rate)


def _check_document(root: Element, where: str) -> None:
    for field, known in (("documenttype", _DOCUMENTS), ("documentversion", _VERSIONS)):
        if text_of(only_child(root, "documentinfo", field, where=where)) not in known:
            raise UnsupportedFormat(where, field=field, expected=f"one of {', '.join(known)}")


def _describe(root: Element, element: Element, limits: ReadLimits, where: str) -> _Waveforms:
    """Version 1.04 says it in attributes of the waveforms, 1.03 in `signalcharacteristics`."""
    characteristics = only_child(root, "dataacquisition", "signalcharacteristics", where=where)

    def said(*attributes: str, element_names: tuple[str, ...] = ()) -> str | None:
        for name in attributes:
            if (value := attribute(element, name)) is not None:
                return value
        for name in element_names:
            if children(characteristics, name):
                return text_of(only_child(characteristics, name, where=where))
        return None

    bits = said("bitspersample", "nbitspersample", element_names=("bitspersample",))
    signed = said("signalsigned", element_names=("signalsigned",)) or "True"
    if bits != "16" or signed.lower() != "true":
        raise UnsupportedFormat(where, field="samples", expected="16 bits, signed")
    rate = number(
        said("samplespersecond", element_names=("samplingrate",)),
        field="sampling rate",
        where=where,
        positive=True,
    )
    microvolts = number(
        said("resolution", element_names=("resolution", "signalresolution")),
        field="resolution",
        where=where,
        positive=True,
    )
    offset = said("signaloffset", element_names=("signaloffset",)) or "0"
    waveforms = _Waveforms(
        names=_names(element, characteristics, limits, where),
        samples=_samples(element, rate, limits, where),
        sampling_rate=checked_rate(rate, where=where),
        microvolts=microvolts,
        offset=number(offset, field="signaloffset", where=where),
        encoding=attribute(element, "dataencoding") or "",
        compression=_compression(element),
    )
    if waveforms.compression == "XLI":
        supported = waveforms.encoding == "Base64" and waveforms.offset == 0
    else:
        supported = waveforms.compression in _UNCOMPRESSED and (
            waveforms.encoding in ("Base64", "Plain")
        )
    if not supported:
        raise UnsupportedFormat(
            where,
            field="parsedwaveforms",
            expected="XLI in base64 without an offset, or no compression in base64 or plain text",
        )
    return waveforms


def _compression(element: Element) -> str:
    if (attribute(element, "compressflag") or "True").lower() == "false":
        return ""
    return attribute(element, "compression") or attribute(element, "compressmethod") or ""


def _names(
    element: Element, characteristics: Element, limits: ReadLimits, where: str
) -> tuple[str, ...]:
    labels = attribute(element, "leadlabels")
    if labels is not None:
        names = tuple(labels.split())
        claimed = count(
            attribute(element, "numberofleads"),
            field="numberofleads",
            where=where,
            maximum=limits.maximum_leads,
        )
        if claimed != len(names):
            raise MalformedHeader(
                where,
                field="leadlabels",
                expected=f"{claimed} labels, as numberofleads says",
                found=f"{len(names)}",
            )
        return names
    # Version 1.03 names no lead: its twelve-lead acquisitions have the canonical order.
    acquisition = text_of(only_child(characteristics, "acquisitiontype", where=where))
    channels = count(
        text_of(only_child(characteristics, "numberchannelsallocated", where=where)),
        field="numberchannelsallocated",
        where=where,
        maximum=limits.maximum_leads,
    )
    if acquisition not in _TWELVE_LEADS or channels < len(LEADS):
        raise UnsupportedFormat(
            where,
            field="acquisitiontype",
            expected=f"{' or '.join(_TWELVE_LEADS)} of at least 12 channels, or leadlabels",
        )
    return LEADS


def _samples(element: Element, rate: float, limits: ReadLimits, where: str) -> int:
    milliseconds = number(
        attribute(element, "durationperchannel"),
        field="durationperchannel",
        where=where,
        positive=True,
    )
    samples = milliseconds * rate / 1000
    whole = f"{samples:.0f}" if abs(samples - round(samples)) < 1e-6 * samples else None
    found = count(
        whole, field="samples in durationperchannel", where=where, maximum=limits.maximum_samples
    )
    if found < _FEWEST_SAMPLES:
        raise MalformedHeader(where, field="durationperchannel", expected="at least 2 samples")
    return found


def _decompress(element: Element, waveforms: _Waveforms, where: str) -> list[NDArray[np.int64]]:
    content = base64_bytes(text_of(element), field="parsedwaveforms", where=where)
    return decompress(content, leads=len(waveforms.names), samples=waveforms.samples, where=where)


def _uncompressed(element: Element, waveforms: _Waveforms, where: str) -> NDArray[np.float64]:
    """float64 (R, T); channels behind the named ones are left out."""
    text = text_of(element)
    if waveforms.encoding == "Plain":
        if _VALUES.fullmatch(text) is None:
            raise MalformedHeader(where, field="parsedwaveforms", expected="whole numbers")
        values = np.array(text.replace(",", " ").split(), dtype=np.float64)
    else:
        content = base64_bytes(text, field="parsedwaveforms", where=where)
        values = np.frombuffer(content[: len(content) // 2 * 2], dtype="<i2").astype(np.float64)
    wanted = len(waveforms.names) * waveforms.samples
    if values.size < wanted:
        raise TruncatedSignal(
            where, field="parsedwaveforms", expected=f"{wanted} values", found=f"{values.size}"
        )
    if values.size % waveforms.samples:
        raise MalformedHeader(
            where, field="parsedwaveforms", expected=f"channels of {waveforms.samples} samples"
        )
    return values[:wanted].reshape(len(waveforms.names), waveforms.samples)


def _put_back(digital: dict[str, NDArray[np.int64]], where: str) -> None:
    """Turn what is stored of III, aVR, aVL and aVF into the leads, in place."""
    if not {"III", "aVR", "aVL", "aVF"} & digital.keys():
        return
    if not {"I", "II", "III"} <= digital.keys():
        raise LeadError(
            where, field="leads", expected="I, II and III beside the leads stored by them"
        )
    first_T, second_T = digital["I"], digital["II"]
    third_T = digital["III"] = second_T - first_T - digital["III"]
    for lead, sum_T, sign in (
        ("aVR", first_T + second_T, -1),
        ("aVL", first_T - third_T, 1),
        ("aVF", second_T + third_T, 1),
    ):
        if lead in digital:
            digital[lead] = sign * _halved(sum_T) - digital[lead]


def _halved(values_T: NDArray[np.int64]) -> NDArray[np.int64]:
    """Half, rounded towards zero."""
    halves_T: NDArray[np.int64] = np.sign(values_T) * (np.abs(values_T) // 2)
    return halves_T


def _end_of_ecg(
    digital: dict[str, NDArray[np.int64]] | dict[str, NDArray[np.float64]], microvolts: float
) -> int:
    """The sample where the calibration mark begins, else the number of samples.

    I, II and aVR cannot be alike in a heart beat, because aVR = -(I + II) / 2, unless they are 0.
    """
    leads_RT = np.stack(list(digital.values()))
    samples = int(leads_RT.shape[1])
    if not {"I", "II", "aVR"} <= digital.keys():
        return samples
    height = 1000 / microvolts
    first_T = leads_RT[0]
    marked_T = (leads_RT == first_T).all(axis=0) & ((first_T == 0) | (first_T == round(height)))
    differing = np.flatnonzero(~marked_T)
    start = int(differing[-1]) + 1 if differing.size else 0
    return start if 0 < start < samples and first_T[start:].any() else samples


FORMAT = Format(
    name="philips",
    title="Philips ECG XML (SierraECG)",
    suffixes=(".xml",),
    read=read,
    recognise=recognise,
)
