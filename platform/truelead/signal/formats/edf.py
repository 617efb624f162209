"""EDF and EDF+ files (European Data Format), samples through pyedflib.

EDFlib is written in C, so every size and number of the header is checked against the file before
EDFlib sees it, see `edf_header`. Annotations are not read.

Shape suffixes: L leads (12), T samples, R data records, W samples of one data record.
"""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.errors import InvalidEcg, MalformedHeader, TruncatedSignal, UnsupportedFormat
from truelead.signal.formats.base import Format, StatedSignal
from truelead.signal.formats.claims import (
    check_samples,
    millivolts_of,
    one_unit,
    voltage_unit,
)
from truelead.signal.formats.edf_header import (
    ANNOTATIONS,
    EDF_VERSION,
    HEADER_PART,
    OTHER_TYPES,
    EdfHeader,
    EdfSignal,
    decimal_text,
    edf_header_bytes,
    parse_edf_header,
    signal_count,
)
from truelead.signal.formats.optional_package import optional_package
from truelead.signal.formats.sixteen_bits import stored_in_16_bits
from truelead.signal.formats.statement import refuse_contradiction
from truelead.signal.formats.xml_ecg import checked_rate, columns_of, ecg_of
from truelead.signal.one_step import write_in_one_step
from truelead.signal.record_files import open_regular_file
from truelead.signal.wfdb_record import ReadLimits
from truelead.types import LEADS, Ecg

# EDFlib keeps its open files in one list and refuses a path that is open already.
_EDFLIB_LOCK = threading.Lock()
_NOT_READ = 1 << 24
_RECORD_BYTES = 61_440
_MAXIMUM_RECORD_BYTES = 10 * 2**20
# EDF+ keeps the time of each data record in its annotations: "+12345.678901", two marks, zeros.
_TIME_BYTES = 32


def read(path: Path, *, limits: ReadLimits, stated: StatedSignal) -> Ecg:
    """Read the ECG leads of a continuous EDF or EDF+ file.

    Leads are labelled as EDF+ has it ("ECG V1"), with EKG, or with the lead's name alone. Signals
    of EDF+'s other types (EEG, Resp, ...), additional leads and annotations are left out.

    Raises:
        RecordError: one of its kinds. The ECG leads must have one sampling rate and be voltages.
    """
    where = str(path)
    descriptor, size = open_regular_file(where, field="file", where=where)
    with os.fdopen(descriptor, "rb") as file:
        fixed = file.read(HEADER_PART)
        count = signal_count(fixed, where=where, limits=limits)
        header = parse_edf_header(fixed + file.read(HEADER_PART * count), count, size, where=where)
    # EDFlib numbers the signals without the annotations.
    numbered = [signal for signal in header.signals if not header.is_annotation(signal)]
    candidates = [
        (number, signal)
        for number, signal in enumerate(numbered)
        if signal.label.split(" ")[0] not in OTHER_TYPES
    ]
    names = [_lead_name(signal.label) for _, signal in candidates]
    column_of_row = columns_of(names, limits=limits, where=where)
    used = {row: candidates[column] for row, column in column_of_row.items()}
    per_record = {signal.samples_per_record for _, signal in used.values()}
    if len(per_record) != 1:
        raise UnsupportedFormat(
            where,
            field="samples per record",
            expected="one sampling rate for all ECG leads",
            found=f"{len(per_record)} rates",
        )
    width = per_record.pop()
    samples = width * header.records
    check_samples(samples, where=where, limits=limits)
    sampling_rate = checked_rate(float(width / header.record_seconds), where=where)
    units = {
        row: voltage_unit(
            signal.unit, where=where, field=f"physical dimension of lead {LEADS[row]}"
        )
        for row, (_, signal) in used.items()
    }
    refuse_contradiction(
        stated,
        path,
        sampling_rate=sampling_rate,
        leads=[names[column] for column in sorted(column_of_row.values())],
        units=one_unit(set(units.values())),
    )
    digital = _read_digital(path, {row: number for row, (number, _) in used.items()}, samples)
    millivolts = {
        row: _physical(digital[row], signal) * millivolts_of(units[row])
        for row, (_, signal) in used.items()
    }
    return ecg_of(path, millivolts, sampling_rate=sampling_rate)


def _lead_name(label: str) -> str:
    """The label with EKG, which devices write too, as ECG."""
    return f"ECG{label[3:]}" if label[:3].upper() == "EKG" else label


def _read_digital(
    path: Path, number_of_row: dict[int, int], samples: int
) -> dict[int, NDArray[np.int32]]:
    """row -> the stored integers, through EDFlib."""
    where = str(path)
    pyedflib = optional_package("pyedflib", where=where)
    digital = {}
    with _EDFLIB_LOCK:
        try:
            reader = pyedflib.EdfReader(
                where, pyedflib.DO_NOT_READ_ANNOTATIONS, pyedflib.CHECK_FILE_SIZE
            )
        except OSError:
            # Without the cause: EDFlib is free to quote the header.
            raise MalformedHeader(
                where, field="header", expected="a file that EDFlib accepts", found="a refusal"
            ) from None
        try:
            for row, number in number_of_row.items():
                if number >= reader.signals_in_file or reader.samples_in_file(number) != samples:
                    raise MalformedHeader(
                        where, field="number of samples", expected=f"{samples} by EDFlib, too"
                    )
                row_T = np.full(samples, _NOT_READ, dtype=np.int32)
                reader.read_digital_signal(number, 0, samples, row_T)
                if row_T.max() == _NOT_READ:
                    raise TruncatedSignal(
                        where, field="data records", expected=f"{samples} samples", found="fewer"
                    )
                digital[row] = row_T
        finally:
            reader.close()
    return digital


def _physical(digital_T: NDArray[np.int32], signal: EdfSignal) -> NDArray[np.float64]:
    """Volts, millivolts or microvolts, as the header's two points of the line say."""
    slope = (signal.physical_maximum - signal.physical_minimum) / (
        signal.digital_maximum - signal.digital_minimum
    )
    physical_T: NDArray[np.float64] = (
        digital_T.astype(np.float64) - signal.digital_minimum
    ) * slope + signal.physical_minimum
    return physical_T


def write(ecg: Ecg, path: Path) -> Path:
    """Write EDF+ of 16 bits in one step, with nothing about patient, place or time.

    Steps are those of `stored_in_16_bits`, 1 uV for all but huge voltages. A lead without any
    sample is left out, and read back as missing.

    Raises:
        InvalidEcg: a sample within a lead is missing, a voltage is too large, or no data record
            exists whose duration EDF's 8 characters hold exactly.
    """
    where = ecg.record_id or path.name
    rows = [row for row, recorded in enumerate(ecg.lead_mask_L) if recorded]
    missing = [LEADS[row] for row in rows if np.isnan(ecg.signal_LT[row]).any()]
    if missing or not rows:
        raise InvalidEcg(
            where,
            field="signal",
            expected="no missing sample (NaN), for which EDF has no value",
            found=f"missing samples in {', '.join(missing) or 'all leads'}",
        )
    samples = ecg.signal_LT.shape[1]
    width, seconds = _data_record(samples, ecg.sampling_rate, len(rows), where=where)
    signals, stored = [], []
    for row in rows:
        step, stored_T = stored_in_16_bits(ecg.signal_LT[row], LEADS[row], where=where)
        label = f"ECG {LEADS[row]}"
        signals.append(EdfSignal(label, "uV", -32768 * step, 32767 * step, -32768, 32767, width))
        stored.append(stored_T.reshape(-1, width))
    signals.append(EdfSignal(ANNOTATIONS, "", -1, 1, -32768, 32767, _TIME_BYTES // 2))
    records = samples // width
    times = [
        f"+{decimal_text(number * seconds) or float(number * seconds)}\x14\x14".encode()
        for number in range(records)
    ]
    times_RW = np.frombuffer(
        b"".join(text.ljust(_TIME_BYTES, b"\0") for text in times), dtype="<i2"
    ).reshape(records, -1)
    header = edf_header_bytes(EdfHeader(True, records, seconds, tuple(signals)), where=where)
    return write_in_one_step(path, header + np.hstack([*stored, times_RW]).tobytes())


def _data_record(
    samples: int, sampling_rate: float, leads: int, *, where: str
) -> tuple[int, Fraction]:
    """(samples of a lead in each data record, its seconds).

    Records must be filled, as EDF cannot say that the last one is not, and their duration must
    have an exact decimal. Of those that do, the best lasts a tenth of a second or more, keeps
    within the recommended 61,440 bytes, lasts whole seconds, and is the longest.
    """
    rate = Fraction(repr(float(sampling_rate)))
    found: list[tuple[bool, bool, bool, int]] = []
    for width in _divisors(samples):
        seconds = width / rate
        size = 2 * width * leads + _TIME_BYTES
        if decimal_text(seconds) and size <= _MAXIMUM_RECORD_BYTES:
            small = size <= _RECORD_BYTES
            order = width if small else -width
            found.append((10 * seconds >= 1, small, seconds.denominator == 1, order))
    if not found:
        raise InvalidEcg(
            where,
            field="length",
            expected="whole data records with a duration of at most 8 characters",
            found=f"{samples} samples at {sampling_rate:g} Hz",
        )
    width = abs(max(found)[-1])
    return width, width / rate


def _divisors(number: int) -> list[int]:
    small = [n for n in range(1, int(number**0.5) + 1) if number % n == 0]
    return sorted({*small, *(number // n for n in small)})


def recognise(head: bytes) -> bool:
    """Whether the file begins as EDF does: version 0, and the digits of the start date."""
    date = head[168:176]
    return head.startswith(EDF_VERSION) and date[2:3] == b"." and date[5:6] == b"."


FORMAT = Format(
    name="edf",
    title="EDF and EDF+",
    suffixes=(".edf", ".rec"),
    read=read,
    recognise=recognise,
    write=write,
)
