"""WFDB signal files -> samples of the ADC, and those -> millivolts.

The file's size is compared with what the header claims before anything is reserved.

Shape suffixes: F frames, W samples in one frame of a file, R rows: leads, T samples of a lead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from truelead.errors import (
    ChecksumMismatch,
    MalformedHeader,
    RecordTooLarge,
    TruncatedSignal,
    UnsupportedFormat,
)
from truelead.signal.record_files import open_regular_file
from truelead.signal.wfdb_decoders import (
    COMPRESSED_FORMATS,
    DECODERS,
    FALLBACK_FORMATS,
    INVALID_SAMPLE,
    Digital,
    samples_in,
    stored_bytes,
)
from truelead.signal.wfdb_record import ReadLimits, SignalSpecification

UNITS_PER_MILLIVOLT: dict[str, float] = {"mv": 1.0, "uv": 1e3, "µv": 1e3, "μv": 1e3, "v": 1e-3}
"""Physical units that a lead may have, in lower case (both Greek mu and the micro sign)."""


def check_group(group: Sequence[SignalSpecification], *, where: str) -> None:
    """Check what the signals of one file must have in common.

    Raises:
        UnsupportedFormat: a format that neither this reader nor the fallback knows.
        MalformedHeader: formats or offsets differ within the file.
    """
    first = group[0]
    if first.storage_format not in DECODERS and first.storage_format not in FALLBACK_FORMATS:
        known = sorted(DECODERS.keys() | FALLBACK_FORMATS, key=int)
        raise UnsupportedFormat(
            where,
            field=f"format of {first.file_name}",
            expected=f"one of {', '.join(known)}",
            found=first.storage_format,
        )
    if any(signal.storage_format != first.storage_format for signal in group):
        raise MalformedHeader(
            where, field=f"format of {first.file_name}", expected="one format for the whole file"
        )
    if any(signal.byte_offset not in (None, first.byte_offset) for signal in group):
        raise MalformedHeader(
            where, field=f"offset of {first.file_name}", expected="one offset for the whole file"
        )


def read_signal_file(
    folder: str,
    group: Sequence[SignalSpecification],
    frames: int | None,
    *,
    where: str,
    limits: ReadLimits,
) -> Digital:
    """Read one signal file that `DECODERS` knows.

    Args:
        folder: where the record lies.
        group: the specifications of all signals in the file, in header order.
        frames: frames as the header says; None to take what the file holds.
        where: the record that an error is about.

    Returns:
        integers of shape (F, W): W is the sum of the signals' samples per frame. May be read-only.

    Raises:
        TruncatedSignal: the file is shorter than the header says.
        RecordTooLarge: a file of unstated length holds more than the limits allow.
        MissingFile: there is no such file.
    """
    first = group[0]
    offset = first.byte_offset or 0
    width = sum(signal.samples_per_frame for signal in group)
    field = first.file_name
    descriptor, size = open_regular_file(os.path.join(folder, field), field=field, where=where)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        frames = resolve_frames(group, frames, size, where=where, limits=limits)
        needed = stored_bytes(first.storage_format, frames * width)
        if offset:
            file.seek(offset)
        raw = file.read(needed)
        # A raw read may end early (pipes, network disks): go on until the file ends.
        while raw is not None and len(raw) < needed:
            more = file.read(needed - len(raw))
            if not more:
                raise _truncated(where, field, offset + needed, offset + len(raw))
            raw += more
    decoded = DECODERS[first.storage_format](memoryview(raw), frames * width)
    return decoded.reshape(frames, width)


def resolve_frames(
    group: Sequence[SignalSpecification],
    frames: int | None,
    size: int,
    *,
    where: str,
    limits: ReadLimits,
) -> int:
    """The number of frames, checked against a file of `size` bytes and against the limits.

    Raises:
        TruncatedSignal, RecordTooLarge: see `read_signal_file`.
    """
    first = group[0]
    offset = first.byte_offset or 0
    width = sum(signal.samples_per_frame for signal in group)
    if frames is None:
        if first.storage_format in COMPRESSED_FORMATS:
            raise UnsupportedFormat(
                where,
                field="number of samples",
                expected="a number, as the file is compressed",
                found="none",
            )
        frames = samples_in(first.storage_format, max(0, size - offset)) // width
    longest = frames * max(signal.samples_per_frame for signal in group)
    if longest > limits.maximum_samples:
        raise RecordTooLarge(
            where,
            field="number of samples",
            expected=f"at most {limits.maximum_samples}",
            found=f"{longest}",
        )
    needed = offset + stored_bytes(first.storage_format, frames * width)
    if size < needed or frames == 0:
        raise _truncated(where, first.file_name, max(needed, offset + 1), size)
    return frames


def _truncated(where: str, field: str, needed: int, size: int) -> TruncatedSignal:
    return TruncatedSignal(where, field=field, expected=f"at least {needed} bytes", found=f"{size}")


def verify_checksums(
    digital_RT: Digital, signals: Sequence[SignalSpecification], *, where: str
) -> None:
    """Compare the 16-bit sum of each row's samples with the header's.

    Raises:
        ChecksumMismatch: they differ; rows for which the header gives no checksum always pass.
    """
    # Sums wrap at 16 bits by definition, so 16-bit arithmetic is exact here, and fast.
    narrow_RT = digital_RT if digital_RT.dtype == np.int16 else digital_RT.astype(np.int16)
    sums = np.add.reduce(narrow_RT, axis=1, dtype=np.int16).tolist()
    for found, signal in zip(sums, signals, strict=True):
        if signal.checksum is not None and (found - signal.checksum) & 0xFFFF:
            raise ChecksumMismatch(
                where,
                field=f"checksum of lead {signal.description[:24]!r}",
                expected=f"{signal.checksum & 0xFFFF}",
                found=f"{found & 0xFFFF}",
            )


def to_millivolts(
    digital_RT: Digital, signals: Sequence[SignalSpecification], *, where: str
) -> NDArray[np.float32]:
    """ADC samples to millivolts: (digital - baseline) / gain, invalid samples to NaN.

    Equal to the float64 computation rounded once to float32.

    Args:
        digital_RT: one row a signal.
        signals: what the header says about each row; all of one storage format.

    Raises:
        UnsupportedFormat: a unit is no voltage.
    """
    gains_R = np.array([s.gain * _units_per_millivolt(s, where=where) for s in signals])
    baselines_R = np.array([s.baseline for s in signals], dtype=np.float64)
    # A float32 quotient of operands that float32 holds exactly is the correctly rounded one, and
    # so is the float64 quotient rounded again (53 >= 2 * 24 + 2 bits): both are the same number.
    narrow = (
        digital_RT.dtype == np.int16
        and bool((gains_R.astype(np.float32) == gains_R).all())
        and bool((np.abs(baselines_R) < 2**23).all())
    )
    dtype = np.float32 if narrow else np.float64
    gains_R1 = gains_R.astype(dtype)[:, None]
    if baselines_R.any():
        physical_RT = np.subtract(digital_RT, baselines_R.astype(dtype)[:, None], dtype=dtype)
        np.divide(physical_RT, gains_R1, out=physical_RT)
    else:
        physical_RT = np.divide(digital_RT, gains_R1, dtype=dtype)
    invalid = INVALID_SAMPLE.get(signals[0].storage_format)
    if invalid is not None and digital_RT.min() == invalid:
        physical_RT[digital_RT == invalid] = np.nan
    return physical_RT.astype(np.float32, copy=False)


def _units_per_millivolt(signal: SignalSpecification, *, where: str) -> float:
    # "MV" would be megavolts by the book; no ECG has them, and some devices write it for mV.
    units = signal.units
    factor = 1.0 if units == "mV" else UNITS_PER_MILLIVOLT.get(units.lower())
    if factor is None:
        raise UnsupportedFormat(
            where,
            field=f"units of lead {signal.description[:24]!r}",
            expected="mV, uV or V",
            found=repr(signal.units[:16]),
        )
    return factor
