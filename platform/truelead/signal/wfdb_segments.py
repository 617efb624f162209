"""Multi-segment WFDB records: each segment is a record of its own, put one behind the other.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from truelead.errors import MalformedHeader, RecordTooLarge, UnsupportedFormat
from truelead.signal.wfdb_header import read_header
from truelead.signal.wfdb_record import ReadLimits, RecordHeader
from truelead.signal.wfdb_single import read_leads
from truelead.types import LEADS

GAP = "~"
"""Name of a segment in which nothing was recorded."""


def read_segments(
    header: RecordHeader, folder: str, *, where: str, limits: ReadLimits, verify: bool
) -> tuple[NDArray[np.float32], float]:
    """Read the leads of a multi-segment record.

    A first segment of length 0 is the layout of a record whose leads change from segment to
    segment: it holds no samples. Each segment names its own leads, so the layout is not needed.

    Returns:
        float32 (12, T) in mV with NaN in gaps, and the sampling rate in Hz.

    Raises:
        MalformedHeader: lengths or rates contradict each other.
        UnsupportedFormat: a segment has segments itself.
        RecordTooLarge: the segments together hold more samples than the limits allow.
        RecordError: any that reading one segment raises.
    """
    frames = sum(segment.samples for segment in header.segments)
    if frames > limits.maximum_samples:
        raise RecordTooLarge(
            where,
            field="sum of segment lengths",
            expected=f"at most {limits.maximum_samples}",
            found=f"{frames}",
        )
    if frames == 0 or header.samples not in (None, frames):
        raise MalformedHeader(
            where,
            field="sum of segment lengths",
            expected=f"{header.samples or 'above 0'}",
            found=f"{frames}",
        )
    parts: list[NDArray[np.float32]] = []
    rates: set[float] = set()
    for segment in header.segments:
        if segment.samples == 0:
            continue
        if segment.name == GAP:
            parts.append(np.full((len(LEADS), segment.samples), np.nan, dtype=np.float32))
            continue
        inner = read_header(os.path.join(folder, segment.name), limits=limits)
        if inner.segments:
            raise UnsupportedFormat(
                where, field="segment", expected="a record without segments of its own"
            )
        if inner.samples not in (None, segment.samples):
            raise MalformedHeader(
                where,
                field="segment length",
                expected=f"{segment.samples}",
                found=f"{inner.samples}",
            )
        signal_LT, rate = read_leads(inner, folder, segment.name, limits=limits, verify=verify)
        rates.add(rate)
        if signal_LT.shape[1] != segment.samples or len(rates) > 1:
            raise MalformedHeader(
                where, field="segment", expected="one length and one sampling rate throughout"
            )
        parts.append(signal_LT)
    if rates and rates != {header.sampling_rate}:
        raise MalformedHeader(
            where, field="sampling rate", expected="the same in the record and its segments"
        )
    return np.concatenate(parts, axis=1), header.sampling_rate
