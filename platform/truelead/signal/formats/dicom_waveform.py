"""The waveform groups of a DICOM file, extracted through pydicom and checked, as plain values.

DICOM PS3.3 C.10.9 (Waveform module). Only the SOP class and the waveform sequence are parsed into
a dataset; the elements on the patient are skipped. All errors of pydicom end here.
"""

from __future__ import annotations

import io
import re
import struct
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from truelead.errors import MalformedHeader, RecordError, TruncatedSignal, UnsupportedFormat
from truelead.signal.formats.claims import check_samples, check_signals
from truelead.signal.formats.dicom_channel import ChannelSource
from truelead.signal.formats.optional_package import optional_package
from truelead.signal.wfdb_record import ReadLimits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TWELVE_LEAD_ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
GENERAL_ECG = "1.2.840.10008.5.1.4.1.1.9.1.2"
AMBULATORY_ECG = "1.2.840.10008.5.1.4.1.1.9.1.3"
GENERAL_32_BIT_ECG = "1.2.840.10008.5.1.4.1.1.9.1.4"
_ECG_CLASSES = (TWELVE_LEAD_ECG, GENERAL_ECG, AMBULATORY_ECG, GENERAL_32_BIT_ECG)

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

SAMPLE_TYPES: dict[tuple[int, str], str] = {
    (8, "SB"): "<i1",
    (8, "UB"): "<u1",
    (16, "SS"): "<i2",
    (16, "US"): "<u2",
    (32, "SL"): "<i4",
    (32, "UL"): "<u4",
}
"""(bits allocated, sample interpretation) -> NumPy's name of the type."""

MAXIMUM_GROUPS = 64
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")

# Warning filters belong to the whole process.
_WARNINGS_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: a voltage is (sample x sensitivity x correction + baseline) units.

    Attributes:
        skew_seconds, skew_samples: by how much its first sample lags behind the group's start.
    """

    source: ChannelSource
    sensitivity: float
    correction: float
    baseline: float
    unit: str
    skew_seconds: float
    skew_samples: float


@dataclass(frozen=True, slots=True)
class Group:
    """One multiplex group.

    Attributes:
        offset_seconds: its start after the acquisition's.
        sample_type: one of `SAMPLE_TYPES`.
        padding: the sample that stands for "not recorded", as stored; None where there is none.
        data: samples x channels, exactly as many bytes as they need.
    """

    label: str
    original: bool
    offset_seconds: float
    sampling_rate: float
    samples: int
    sample_type: str
    padding: bytes | None
    channels: tuple[Channel, ...]
    data: bytes


def waveform_groups(content: bytes, *, where: str, limits: ReadLimits) -> list[Group]:
    """All multiplex groups of an ECG waveform file.

    Raises:
        UnsupportedFormat: another SOP class, transfer syntax or way of storing samples.
        MalformedHeader: no DICOM file, or an element is missing, unreadable or contradicts another.
        TruncatedSignal, RecordTooLarge: sizes do not fit the data or the limits.
    """
    optional_package("pydicom", where=where)
    try:
        # Every element that is used is checked below, so pydicom's warnings say nothing new; they
        # would quote values.
        with _WARNINGS_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = _dataset(content, where=where)
            return [
                _group(item, number + 1, where=where, limits=limits)
                for number, item in enumerate(_groups(dataset, where=where))
            ]
    except RecordError:
        raise
    except Exception:  # noqa: BLE001  # pydicom's own errors derive from nothing narrower
        # Without the cause: it may quote the patient.
        raise MalformedHeader(
            where, field="data elements", expected="those of a DICOM waveform"
        ) from None


def _dataset(content: bytes, *, where: str) -> Dataset:
    """The two elements of the data set that are needed.

    The transfer syntax is told here and not by pydicom, which would inflate a deflated data set
    to any size.
    """
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag

    if content[128:132] != b"DICM":
        raise MalformedHeader(where, field="preamble", expected="DICM after 128 bytes")
    syntax, start = _transfer_syntax(content)
    if syntax not in (IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN):
        raise UnsupportedFormat(
            where, field="transfer syntax", expected="implicit or explicit VR little endian"
        )
    stream = io.BytesIO(content)
    stream.seek(start)
    return read_dataset(
        stream,
        is_implicit_VR=syntax == IMPLICIT_LITTLE_ENDIAN,
        is_little_endian=True,
        specific_tags=[Tag("SOPClassUID"), Tag("WaveformSequence")],
    )


def _transfer_syntax(content: bytes) -> tuple[str, int]:
    """(UID of the transfer syntax, where the data set begins), DICOM PS3.10, 7.1.

    The file meta information is the elements of group 2, always in explicit VR little endian.
    """
    syntax, place = "", 132
    while content[place : place + 2] == b"\x02\x00":
        element, vr, length = struct.unpack_from("<H2sH", content, place + 2)
        place += 8
        if vr in (b"OB", b"UN"):
            (length,) = struct.unpack_from("<I", content, place)
            place += 4
        if element == 0x0010:
            syntax = content[place : place + length].decode("ascii").rstrip("\0 ")
        place += length
    return syntax, place


def _groups(dataset: Dataset, *, where: str) -> list[Dataset]:
    if str(dataset.get("SOPClassUID", "")) not in _ECG_CLASSES:
        raise UnsupportedFormat(
            where, field="SOP class", expected="12-lead, general or ambulatory ECG waveform"
        )
    groups = list(dataset.get("WaveformSequence") or ())
    if not 1 <= len(groups) <= MAXIMUM_GROUPS:
        raise MalformedHeader(
            where,
            field="waveform sequence",
            expected=f"1 to {MAXIMUM_GROUPS} groups",
            found=f"{len(groups)}",
        )
    return groups


def _group(item: Dataset, number: int, *, where: str, limits: ReadLimits) -> Group:
    place = f"of group {number}"
    count = _whole(item, "NumberOfWaveformChannels", place, where)
    samples = _whole(item, "NumberOfWaveformSamples", place, where)
    check_signals(count, where=where, limits=limits)
    check_samples(samples, where=where, limits=limits)
    bits = _whole(item, "WaveformBitsAllocated", place, where)
    sample_type = SAMPLE_TYPES.get((bits, str(item.get("WaveformSampleInterpretation", ""))))
    if sample_type is None:
        # Mu-law and A-law (MB, AB) are for sound; no ECG object may hold them.
        raise UnsupportedFormat(
            where,
            field=f"sample interpretation {place}",
            expected="8 bits SB or UB, 16 bits SS or US, 32 bits SL or UL",
        )
    definitions = list(item.get("ChannelDefinitionSequence") or ())
    if len(definitions) != count:
        raise MalformedHeader(
            where,
            field=f"channel definitions {place}",
            expected=f"{count}, one for each channel",
            found=f"{len(definitions)}",
        )
    needed = samples * count * bits // 8
    data = item.get("WaveformData")
    held = len(data) if isinstance(data, bytes) else 0
    if held < needed:
        raise TruncatedSignal(
            where, field=f"waveform data {place}", expected=f"{needed} bytes", found=f"{held}"
        )
    if held > needed + needed % 2:
        raise MalformedHeader(
            where, field=f"waveform data {place}", expected=f"{needed} bytes", found=f"{held}"
        )
    padding = item.get("WaveformPaddingValue")
    if padding is not None and (not isinstance(padding, bytes) or len(padding) < bits // 8):
        raise MalformedHeader(where, field=f"padding value {place}", expected=f"{bits // 8} bytes")
    return Group(
        label=str(item.get("MultiplexGroupLabel", "")).strip().upper(),
        original=str(item.get("WaveformOriginality", "")) == "ORIGINAL",
        offset_seconds=_real(item, "MultiplexGroupTimeOffset", place, where, absent=0.0) / 1000,
        sampling_rate=_real(item, "SamplingFrequency", place, where),
        samples=samples,
        sample_type=sample_type,
        padding=None if padding is None else padding[: bits // 8],
        channels=tuple(
            _channel(definition, f"of channel {position + 1} {place}", where)
            for position, definition in enumerate(definitions)
        ),
        data=data[:needed],
    )


def _channel(definition: Dataset, place: str, where: str) -> Channel:
    source = _first(definition, "ChannelSourceSequence")
    unit = _first(definition, "ChannelSensitivityUnitsSequence")
    return Channel(
        source=ChannelSource(
            code=_text(source, "CodeValue"),
            meaning=_text(source, "CodeMeaning"),
            label=_text(definition, "ChannelLabel"),
        ),
        sensitivity=_real(definition, "ChannelSensitivity", place, where),
        correction=_real(
            definition, "ChannelSensitivityCorrectionFactor", place, where, absent=1.0
        ),
        baseline=_real(definition, "ChannelBaseline", place, where, absent=0.0),
        unit=_text(unit, "CodeValue"),
        skew_seconds=_real(definition, "ChannelTimeSkew", place, where, absent=0.0)
        + _real(definition, "ChannelOffset", place, where, absent=0.0),
        skew_samples=_real(definition, "ChannelSampleSkew", place, where, absent=0.0),
    )


def _first(item: Dataset, keyword: str) -> Dataset | None:
    sequence = item.get(keyword)
    return sequence[0] if sequence else None


def _text(item: Dataset | None, keyword: str) -> str:
    value = None if item is None else item.get(keyword)
    return "" if value is None else str(value).strip()


def _whole(item: Dataset, keyword: str, place: str, where: str) -> int:
    value = item.get(keyword)
    if type(value) is not int:
        raise MalformedHeader(where, field=f"{keyword} {place}", expected="a whole number")
    return value


def _real(
    item: Dataset, keyword: str, place: str, where: str, *, absent: float | None = None
) -> float:
    """The number of a decimal string, `absent` where the element is missing or empty."""
    value: Any = item.get(keyword)
    if (value is None or value == "") and absent is not None:
        return absent
    text = str(value).strip()
    if _NUMBER.fullmatch(text) is None:
        raise MalformedHeader(where, field=f"{keyword} {place}", expected="a number")
    return float(text)
