"""The header of EDF and EDF+, parsed from its fixed ASCII fields and written into them.

Kemp et al., "A simple format for exchange of digitized polygraphic recordings",
Electroencephalogr Clin Neurophysiol 82 (1992), and Kemp and Olivier, "European data format 'plus'
(EDF+)", Clin Neurophysiol 114 (2003). The fields on patient and recording are looked at for
letters outside ASCII only, and no error quotes a text of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from truelead.errors import MalformedHeader, TruncatedSignal, UnsupportedFormat
from truelead.signal.formats.claims import check_signals
from truelead.signal.wfdb_record import ReadLimits

EDF_VERSION = b"0       "
ANNOTATIONS = "EDF Annotations"
BYTES_PER_SAMPLE = 2
HEADER_PART = 256
"""Bytes of the fixed header, and of each signal's part of it."""

OTHER_TYPES = frozenset(
    ("EEG", "EOG", "ERG", "EMG", "MEG", "MCG", "EP", "Temp", "Resp", "SaO2", "Light", "Sound",
     "Event", "Dist", "Area", "Pos", "EDF")
)  # fmt: skip
"""What stands first in the label of signals that are no ECG, after EDF+'s standard texts."""

_NAMES_OF_PATIENT = slice(8, 168)
_WHOLE = re.compile(r"[+-]?[0-9]{1,8}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
# Width of each field of a signal; all signals' labels come first, then all transducers, ...
_SIGNAL_FIELDS = (
    ("label", 16),
    ("transducer", 80),
    ("physical dimension", 8),
    ("physical minimum", 8),
    ("physical maximum", 8),
    ("digital minimum", 8),
    ("digital maximum", 8),
    ("prefiltering", 80),
    ("samples per record", 8),
    ("reserved", 32),
)


@dataclass(frozen=True, slots=True)
class EdfSignal:
    """One signal: a voltage is linear between (digital, physical) minimum and maximum.

    Attributes:
        samples_per_record: samples of this signal in each data record.
    """

    label: str
    unit: str
    physical_minimum: float
    physical_maximum: float
    digital_minimum: int
    digital_maximum: int
    samples_per_record: int


@dataclass(frozen=True, slots=True)
class EdfHeader:
    """A checked header.

    Attributes:
        plus: whether it is EDF+, where signals called `ANNOTATIONS` hold text.
        records: number of data records.
        record_seconds: duration of each.
    """

    plus: bool
    records: int
    record_seconds: Fraction
    signals: tuple[EdfSignal, ...]

    def is_annotation(self, signal: EdfSignal) -> bool:
        """Whether the signal holds EDF+ annotations."""
        return self.plus and signal.label == ANNOTATIONS


def signal_count(fixed: bytes, *, where: object, limits: ReadLimits) -> int:
    """How many signals the first 256 bytes announce, so how long the header is.

    Raises:
        MalformedHeader: no EDF, or the number or the header's size is wrong.
        UnsupportedFormat: BDF, EDF's sister of 24 bits.
        RecordTooLarge: more signals than the limit.
    """
    if fixed[1:8] == b"BIOSEMI":
        raise UnsupportedFormat(where, field="version", expected="EDF", found="BDF")
    if len(fixed) < HEADER_PART or fixed[:8] != EDF_VERSION:
        raise MalformedHeader(where, field="version", expected="an EDF header of 256 bytes")
    count = _whole(fixed[252:256], where=where, field="number of signals")
    check_signals(count, where=where, limits=limits)
    size = _whole(fixed[184:192], where=where, field="number of header bytes")
    if size != HEADER_PART * (count + 1):
        raise MalformedHeader(
            where,
            field="number of header bytes",
            expected=f"{HEADER_PART * (count + 1)} for {count} signals",
            found=f"{size}",
        )
    return count


def parse_edf_header(header: bytes, count: int, file_bytes: int, *, where: object) -> EdfHeader:
    """Parse the header and compare its sizes with the file's.

    Args:
        header: all of it, 256 bytes and 256 for each signal.
        count: what `signal_count` says.
        file_bytes: size of the file.

    Raises:
        MalformedHeader: a field cannot be parsed, or contradicts another or the file's size.
        TruncatedSignal: the file is shorter than the header says.
        UnsupportedFormat: EDF+D, a recording with gaps.
    """
    if len(header) < HEADER_PART * (count + 1):
        raise TruncatedSignal(
            where,
            field="header",
            expected=f"{HEADER_PART * (count + 1)} bytes",
            found=f"{len(header)}",
        )
    if not all(32 <= byte <= 126 for byte in header[_NAMES_OF_PATIENT]):
        # Shown never: these fields name the patient.
        raise MalformedHeader(
            where, field="patient or recording", expected="printable ASCII, as EDF demands"
        )
    reserved = header[192:197]
    if reserved == b"EDF+D":
        raise UnsupportedFormat(
            where, field="reserved", expected="a continuous recording", found="EDF+D, with gaps"
        )
    records = _whole(header[236:244], where=where, field="number of data records")
    if records < 1:
        raise MalformedHeader(
            where,
            field="number of data records",
            expected="at least 1; the recording was not closed",
            found=f"{records}",
        )
    seconds = _decimal(header[244:252], where=where, field="duration of a data record")
    if seconds <= 0:
        raise MalformedHeader(where, field="duration of a data record", expected="above 0 s")
    signals = _signals(header[HEADER_PART:], count, where=where)
    per_record = sum(signal.samples_per_record for signal in signals)
    needed = HEADER_PART * (count + 1) + BYTES_PER_SAMPLE * per_record * records
    if file_bytes != needed:
        kind = TruncatedSignal if file_bytes < needed else MalformedHeader
        raise kind(
            where, field="data records", expected=f"a file of {needed} bytes", found=f"{file_bytes}"
        )
    return EdfHeader(reserved == b"EDF+C", records, seconds, signals)


def _signals(text: bytes, count: int, *, where: object) -> tuple[EdfSignal, ...]:
    fields: dict[str, list[bytes]] = {}
    start = 0
    for name, width in _SIGNAL_FIELDS:
        fields[name] = [text[start + width * n : start + width * (n + 1)] for n in range(count)]
        start += width * count
    signals = []
    for number in range(count):
        place = f"of signal {number + 1}"

        def whole(name: str, number: int = number, place: str = place) -> int:
            return _whole(fields[name][number], where=where, field=f"{name} {place}")

        def real(name: str, number: int = number, place: str = place) -> float:
            return float(_decimal(fields[name][number], where=where, field=f"{name} {place}"))

        signal = EdfSignal(
            label=_text(fields["label"][number]),
            unit=_text(fields["physical dimension"][number]),
            physical_minimum=real("physical minimum"),
            physical_maximum=real("physical maximum"),
            digital_minimum=whole("digital minimum"),
            digital_maximum=whole("digital maximum"),
            samples_per_record=whole("samples per record"),
        )
        if not -32768 <= signal.digital_minimum < signal.digital_maximum <= 32767:
            raise MalformedHeader(
                where,
                field=f"digital range {place}",
                expected="minimum below maximum in 16 bits",
                found=f"{signal.digital_minimum} to {signal.digital_maximum}",
            )
        if signal.physical_minimum == signal.physical_maximum:
            raise MalformedHeader(
                where,
                field=f"physical range {place}",
                expected="minimum and maximum that differ",
                found=f"{signal.physical_minimum:g} twice",
            )
        if signal.samples_per_record < 1:
            raise MalformedHeader(
                where,
                field=f"samples per record {place}",
                expected="at least 1",
                found=f"{signal.samples_per_record}",
            )
        signals.append(signal)
    return tuple(signals)


def edf_header_bytes(header: EdfHeader, *, where: object) -> bytes:
    """The header with everything about the patient, the place and the time anonymised.

    EDF+ writes X for what is unknown or withheld; 1 January 1985 is its clipping date.

    Raises:
        MalformedHeader: a number does not fit into its field.
    """
    count = len(header.signals)
    fixed = (
        (EDF_VERSION.decode(), 8),
        ("X X X X", 80),
        ("Startdate X X X X", 80),
        ("01.01.85", 8),
        ("00.00.00", 8),
        (str(HEADER_PART * (count + 1)), 8),
        ("EDF+C" if header.plus else "", 44),
        (str(header.records), 8),
        (decimal_text(header.record_seconds), 8),
        (str(count), 4),
    )
    values = [
        (
            signal.label,
            "",
            signal.unit,
            f"{signal.physical_minimum:.8g}",
            f"{signal.physical_maximum:.8g}",
            str(signal.digital_minimum),
            str(signal.digital_maximum),
            "",
            str(signal.samples_per_record),
            "",
        )
        for signal in header.signals
    ]
    by_field: list[tuple[str, int]] = []
    for position, (_, width) in enumerate(_SIGNAL_FIELDS):
        by_field += [(signal[position], width) for signal in values]
    return b"".join(_field(text, width, where=where) for text, width in (*fixed, *by_field))


def decimal_text(number: Fraction) -> str:
    """The number as a decimal that is exactly it, "" where there is none of 8 characters."""
    scaled = number * 10**6
    if scaled.denominator != 1:
        return ""
    text = f"{scaled.numerator // 10**6}.{scaled.numerator % 10**6:06d}".rstrip("0").rstrip(".")
    return text if len(text) <= 8 else ""


def _field(text: str, width: int, *, where: object) -> bytes:
    if len(text) > width:
        raise MalformedHeader(where, field=text[:8], expected=f"at most {width} characters")
    return text.ljust(width).encode("ascii")


def _text(field: bytes) -> str:
    return field.decode("latin-1").strip()


def _whole(content: bytes, *, where: object, field: str) -> int:
    text = _text(content)
    if _WHOLE.fullmatch(text) is None:
        raise MalformedHeader(where, field=field, expected="a whole number")
    return int(text)


def _decimal(content: bytes, *, where: object, field: str) -> Fraction:
    text = _text(content)
    if _DECIMAL.fullmatch(text) is None:
        raise MalformedHeader(where, field=field, expected="a number")
    return Fraction(text)
