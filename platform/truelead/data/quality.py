"""The quality of the stored ECGs: measured while a shard is written, reported for the whole set.

Each shard carries the measures of its ECGs in its receipt. `quality.parquet` gathers them, one row
an ECG, and `quality.md` sums them up. The measures are those of `truelead.signal.quality`, taken
on the ECG as it was read, before it is resampled and cut; they describe and judge nothing.

Shape suffixes: L leads (12), R rows: leads without a gap, T samples.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from truelead.signal.quality import CLIPPED_RUN, FLAT_MILLIVOLTS
from truelead.signal.quality_bands import noise_levels, wander_shares
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
    missing_LT = np.isnan(signal_LT)
    missing_L = missing_LT.sum(axis=1)
    samples = signal_LT.shape[1]
    absent_L = missing_L == samples
    gaps = bool(missing_L.any())
    known_RT = signal_LT[~absent_L] if gaps else signal_LT
    low_R = np.nanmin(known_RT, axis=1) if gaps else known_RT.min(axis=1)
    high_R = np.nanmax(known_RT, axis=1) if gaps else known_RT.max(axis=1)
    flat_R = high_R - low_R <= FLAT_MILLIVOLTS
    clipped_R = ~flat_R & (_longest_runs(known_RT, low_R, high_R) >= CLIPPED_RUN)
    present = np.flatnonzero(~absent_L)
    noise_R, wander_R = _bands(known_RT, flat_R, ecg.sampling_rate)
    return {
        "source_seconds": source_seconds,
        "missing_leads": _names(np.flatnonzero(absent_L)),
        "flat_leads": _names(present[flat_R]),
        "clipped_leads": _names(present[clipped_R]),
        "missing_share": float(missing_L.sum()) / missing_LT.size,
        "lowest_millivolts": float(low_R.min()),
        "highest_millivolts": float(high_R.max()),
        "noise_millivolts": _median(noise_R),
        "wander_share": _median(wander_R),
    }


def quality_text(rows: Sequence[QualityRow]) -> str:
    """The rows as a JSON object of columns, for a shard's receipt."""
    columns = {field.name: [row[field.name] for row in rows] for field in MEASURES}
    return json.dumps(columns, separators=(",", ":"))


def quality_columns(text: str) -> dict[str, pa.Array]:
    """The columns out of a shard's receipt."""
    tree = json.loads(text)
    return {field.name: pa.array(tree[field.name], field.type) for field in MEASURES}


def _longest_runs(
    known_RT: NDArray[np.float32], low_R: NDArray[np.float32], high_R: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Longest run of equal samples at either extreme of each lead, counted up to CLIPPED_RUN."""
    longest_R = np.zeros(len(known_RT), dtype=np.int64)
    for extreme_R in (low_R, high_R):
        run_RT = known_RT == extreme_R[:, None]
        length = 0
        while length < CLIPPED_RUN and run_RT.any():
            length += 1
            np.maximum(longest_R, length * run_RT.any(axis=1), out=longest_R)
            # True where a run of one sample more begins.
            run_RT = run_RT[:, :-1] & (known_RT[:, length:] == extreme_R[:, None])
    return longest_R


def _bands(
    known_RT: NDArray[np.float32], flat_R: NDArray[np.bool_], rate: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Noise of every lead, wander of those that are not flat, on stretches without a gap."""
    broken_R = np.isnan(known_RT).any(axis=1)
    if not broken_R.any():
        return noise_levels(known_RT, rate), wander_shares(known_RT[~flat_R], rate)
    noises, wanders = [], []
    for row_T, flat in zip(known_RT, flat_R, strict=True):
        stretch_1T = _longest_stretch(row_T)[None]
        noises.append(noise_levels(stretch_1T, rate))
        if not flat:
            wanders.append(wander_shares(stretch_1T, rate))
    nothing = [np.empty(0, dtype=np.float32)]
    return np.concatenate(noises + nothing), np.concatenate(wanders + nothing)


def _longest_stretch(row_T: NDArray[np.float32]) -> NDArray[np.float32]:
    edges = np.flatnonzero(np.diff(np.isfinite(row_T).astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    stretch_T: NDArray[np.float32] = row_T[starts[longest] : ends[longest]]
    return stretch_T


def _names(indices: NDArray[np.int64]) -> str:
    return " ".join(LEADS[index] for index in indices)


def _median(values: NDArray[np.float32]) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(np.median(known)), 6) if known.size else None
