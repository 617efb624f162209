"""Rarer storage formats (8, 310, 311, FLAC) through the wfdb package.

The package is called only after the header, the limits and the file's size have been checked, and
what it returns is checked again: only its decoder is trusted.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

import numpy as np

from truelead.errors import MissingFile, UnsupportedFormat
from truelead.signal.record_files import open_regular_file
from truelead.signal.wfdb_decoders import Digital
from truelead.signal.wfdb_record import ReadLimits, SignalSpecification
from truelead.signal.wfdb_signal import resolve_frames


def read_with_wfdb_package(
    folder: str,
    record: str,
    positions: Sequence[int],
    group: Sequence[SignalSpecification],
    frames: int | None,
    *,
    where: str,
    limits: ReadLimits,
) -> Digital:
    """Read one signal file of a rarer format.

    Args:
        folder: where the record lies.
        record: the header's name in that folder, without ".hea".
        positions: of the file's signals in the header.
        group: their specifications.
        frames: frames as the header says; None to take what the file holds.
        where: the record that an error is about.

    Returns:
        integers of shape (frames, samples in one frame).

    Raises:
        UnsupportedFormat: the package cannot read it, or returned something else than was claimed.
        TruncatedSignal, RecordTooLarge, MissingFile: as for the other formats.
    """
    import wfdb

    first = group[0]
    descriptor, size = open_regular_file(
        os.path.join(folder, first.file_name), field=first.file_name, where=where
    )
    os.close(descriptor)
    frames = resolve_frames(group, frames, size, where=where, limits=limits)
    failed = UnsupportedFormat(
        where,
        field=first.file_name,
        expected=f"{frames} frames in format {first.storage_format}, readable by the wfdb package",
    )
    try:
        read = wfdb.rdrecord(
            os.path.abspath(os.path.join(folder, record)),
            sampto=frames,
            channels=list(positions),
            physical=False,
            smooth_frames=False,
            ignore_skew=True,
        )
    except FileNotFoundError as error:
        raise MissingFile(where, field=first.file_name, expected="a readable file") from error
    except (
        ArithmeticError,
        AttributeError,
        ImportError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise failed from error
    signals = read.e_d_signal
    if signals is None or len(signals) != len(group):
        raise failed
    columns = []
    for digital, signal in zip(signals, group, strict=True):
        samples = np.asarray(digital)
        expected = frames * signal.samples_per_frame
        if not np.issubdtype(samples.dtype, np.signedinteger) or samples.shape != (expected,):
            raise failed
        columns.append(samples.astype(np.int32, copy=False).reshape(frames, -1))
    return np.concatenate(columns, axis=1)
