"""The quality of the stored ECGs: measured while a shard is written, reported for the whole set.

Each shard carries the measures of its ECGs in its receipt. `quality.parquet` gathers them, one row
an ECG, and `quality.md` sums them up. The measures are those of `truelead.signal.quality`, taken
on the ECG as it was read, before it is resampled and cut; they describe and judge nothing.

Shape suffixes: L leads (12), R rows: leads without a gap, T samples.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from truelead.signal.quality import CLIPPED_RUN, FLAT_MILLIVOLTS
from truelead.signal.quality_bands import Bands, measure_bands
from truelead.types import LEADS, Ecg

QUALITY_NAME = "quality.parquet"
SUMMARY_NAME = "quality.md"

QualityRow = dict[str, Any]

MEASURES: tuple[pa.Field, ...] = (
    pa.field("source_seconds", pa.float64()),  # None: of a migrated shard, not known any more
    pa.field("missing_leads", pa.string(), nullable=False),
    pa.field("flat_leads", pa.string(), nullable=False),
    pa.field("clipped_leads", pa.string(), nullable=False),
    pa.field("missing_share", pa.float32(), nullable=False),
    pa.field("lowest_millivolts", pa.float32(), nullable=False),
    pa.field("highest_millivolts", pa.float32(), nullable=False),
    pa.field("noise_millivolts", pa.float32()),
    pa.field("wander_share", pa.float32()),
)
"""What is measured of an ECG.

`*_leads` are names with a blank between them: leads without a sample, flat ones, and ones with a
run of equal samples at their extremes. `missing_share` is over all 12 leads, the lowest and
highest sample too. Noise and wander are medians over the leads, None where none can be measured.
"""

QUALITY_SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("source_sampling_rate", pa.float64(), nullable=False),
        *MEASURES,
    ]
)
"""Columns of `quality.parquet`; one row an ECG, in the order of the shards."""


def quality_row(ecg: Ecg, source_seconds: float | None) -> QualityRow:
    """The measures of one ECG that holds at least one sample.

    Args:
        ecg: as read.
        source_seconds: length of its recording, None where it is not known.
    """
    signal_LT = ecg.signal_LT
    samples = signal_LT.shape[1]
    known_RT, low_R, high_R = signal_LT, signal_LT.min(axis=1), signal_LT.max(axis=1)
    missing_L = np.zeros(len(LEADS), dtype=np.int64)
    gaps = bool(np.isnan(low_R).any())  # the smallest of a lead with a gap is NaN
    if gaps:
        missing_L = np.isnan(signal_LT).sum(axis=1)
        known_RT = signal_LT[missing_L < samples]
        low_R, high_R = np.nanmin(known_RT, axis=1), np.nanmax(known_RT, axis=1)
    absent_L = missing_L == samples
    flat_R = high_R - low_R <= FLAT_MILLIVOLTS
    clipped_R = ~flat_R & (_stays_at(known_RT, low_R) | _stays_at(known_RT, high_R))
    present = np.flatnonzero(~absent_L)
    noise_R, wander_R = _bands(known_RT, ecg.sampling_rate, gaps)
    return {
        "source_seconds": source_seconds,
        "missing_leads": _names(np.flatnonzero(absent_L)),
        "flat_leads": _names(present[flat_R]),
        "clipped_leads": _names(present[clipped_R]),
        "missing_share": float(missing_L.sum()) / signal_LT.size,
        "lowest_millivolts": float(low_R.min()),
        "highest_millivolts": float(high_R.max()),
        "noise_millivolts": _median(noise_R),
        "wander_share": _median(wander_R[~flat_R]),
    }


def quality_text(rows: Sequence[QualityRow]) -> str:
    """The rows as a JSON object of columns, for a shard's receipt."""
    columns = {field.name: [row[field.name] for row in rows] for field in MEASURES}
    return json.dumps(columns, separators=(",", ":"))


def quality_columns(text: str) -> dict[str, pa.Array]:
    """The columns out of a shard's receipt."""
    tree = json.loads(text)
    return {field.name: pa.array(tree[field.name], field.type) for field in MEASURES}


def _stays_at(known_RT: NDArray[np.float32], value_R: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether a lead has that value `CLIPPED_RUN` times in a row."""
    stays_R = np.zeros(len(known_RT), dtype=np.bool_)
    at = np.flatnonzero(known_RT == value_R[:, None])
    starts, ends = at[: 1 - CLIPPED_RUN], at[CLIPPED_RUN - 1 :]
    rows = starts // known_RT.shape[1]
    # A run does not go on from the end of one lead to the start of the next.
    unbroken = (ends - starts == CLIPPED_RUN - 1) & (ends // known_RT.shape[1] == rows)
    stays_R[rows[unbroken]] = True
    return stays_R


def _bands(known_RT: NDArray[np.float32], rate: float, gaps: bool) -> Bands:
    """Noise and wander of every lead, on its longest stretch without a gap."""
    if not gaps or not np.isnan(known_RT).any():
        return measure_bands(known_RT, rate)
    each = [measure_bands(_longest_stretch(row_T)[None], rate) for row_T in known_RT]
    return Bands(*(np.concatenate(measure) for measure in zip(*each, strict=True)))


def _longest_stretch(row_T: NDArray[np.float32]) -> NDArray[np.float32]:
    edges = np.flatnonzero(np.diff(np.isfinite(row_T).astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    stretch_T: NDArray[np.float32] = row_T[starts[longest] : ends[longest]]
    return stretch_T


def _names(indices: NDArray[np.int64]) -> str:
    return " ".join(LEADS[index] for index in indices)


def _median(values: NDArray[np.float32]) -> float | None:
    # `numpy.median` takes longer for a dozen numbers than the noise of a whole lead.
    known = [value for value in values.tolist() if math.isfinite(value)]
    return round(statistics.median(known), 6) if known else None
