"""The stored row: one row an ECG, its signal as int16 at 1 microvolt a bit.

The signal is a `fixed_size_binary` of L x T little-endian int16, lead after lead: Parquet has no
int16, and lists of it are read several times more slowly.

Shape suffixes: N ECGs, L leads (12), T samples.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from truelead.errors import InvalidEcg
from truelead.types import LEADS, Ecg, Record

SCHEMA_VERSION = 2
"""Raised with every change of the stored columns or of their meaning; each raise comes with a
migration in `truelead.data.migration`. 2 added `other_codes` and `format`."""

DEFAULT_FORMAT = "wfdb"
"""Of the source file; the only one that version 1 knew."""

MICROVOLTS_PER_MILLIVOLT = 1000
MISSING_SAMPLE = -32768
"""Stands for NaN; the other int16 values are microvolts."""

LARGEST_MILLIVOLTS = 32.767

STADIUM_COLUMNS = ("infarction_stadium1", "infarction_stadium2")
TEXT_COLUMNS = (
    "record_id",
    "patient_id",
    "source",
    "path",
    "report",
    "heart_axis",
    "baseline_drift",
    "static_noise",
    "burst_noise",
    "electrodes_problems",
    "extra_beats",
    "pacemaker",
    "split",
    "recorded_at",
)

LABEL_FIELDS: tuple[pa.Field, ...] = (
    *(pa.field(name, pa.string(), nullable=False) for name in (*TEXT_COLUMNS, *STADIUM_COLUMNS)),
    pa.field("scp_codes", pa.string(), nullable=False),  # JSON: statement -> likelihood
    pa.field("age", pa.float64()),
    pa.field("sex", pa.int8()),
    pa.field("strat_fold", pa.int8(), nullable=False),
    pa.field("other_codes", pa.string(), nullable=False),  # JSON: code -> name
)
"""The columns that hold a `Record`."""


def shard_schema(samples: int) -> pa.Schema:
    """Arrow schema of a shard whose signals hold `samples` samples a lead.

    Beyond the record's labels: `position` (place in the listed records, from 0), `sampling_rate`
    (Hz, as stored), `source_sampling_rate` (Hz, of the file), `source_sha256` (hexadecimal, over
    the bytes of the header and then of each signal file), `format` (of the source file) and
    `signal`.
    """
    return pa.schema(
        [
            pa.field("position", pa.int64(), nullable=False),
            *LABEL_FIELDS,
            pa.field("sampling_rate", pa.float64(), nullable=False),
            pa.field("source_sampling_rate", pa.float64(), nullable=False),
            pa.field("source_sha256", pa.string(), nullable=False),
            pa.field("format", pa.string(), nullable=False),
            pa.field("signal", pa.binary(len(LEADS) * samples * 2), nullable=False),
        ]
    )


def record_row(record: Record) -> dict[str, Any]:
    """The label columns of a record; plain JSON values, the inverse of `row_record`."""
    row: dict[str, Any] = {name: getattr(record, name) for name in TEXT_COLUMNS}
    row.update(zip(STADIUM_COLUMNS, record.infarction_stadium, strict=True))
    row["scp_codes"] = json.dumps(dict(record.scp_codes), ensure_ascii=False)
    row.update(age=record.age, sex=record.sex, strat_fold=record.strat_fold)
    row["other_codes"] = json.dumps(dict(record.other_codes), ensure_ascii=False)
    return row


def drop_later_columns(row: dict[str, Any], schema_version: int) -> None:
    """Take out of a label row what that schema version did not have, where it says nothing.

    A column that says something stays, so that the row is none of that version.
    """
    if schema_version < 2 and row.get("other_codes") == "{}":
        del row["other_codes"]


def row_record(row: Mapping[str, Any]) -> Record:
    """The record of a stored row's label columns; other columns are ignored."""
    first, second = (row[name] for name in STADIUM_COLUMNS)
    return Record(
        **{name: row[name] for name in TEXT_COLUMNS},
        infarction_stadium=(first, second),
        scp_codes=json.loads(row["scp_codes"]),
        age=row["age"],
        sex=row["sex"],
        strat_fold=row["strat_fold"],
        other_codes=json.loads(row["other_codes"]),
    )


def encode_signal(ecg: Ecg) -> bytes:
    """The ECG's signal as stored; rounding moves no sample by more than 0.5 microvolt.

    Raises:
        InvalidEcg: no sample was recorded, or one is infinite or beyond +-32.767 mV. Such a
            value is never clipped: it would be a measurement that nobody made.
    """
    microvolts_LT = ecg.signal_LT * np.float32(MICROVOLTS_PER_MILLIVOLT)
    np.rint(microvolts_LT, out=microvolts_LT)
    # A NaN anywhere makes both of them NaN, which spares most ECGs a search for gaps.
    largest = max(-float(microvolts_LT.min()), float(microvolts_LT.max()))
    missing_LT: NDArray[np.bool_] | None = None
    if math.isnan(largest):
        missing_LT = np.isnan(microvolts_LT)
        if missing_LT.all():
            raise InvalidEcg(
                ecg.record_id or "ecg", field="signal", expected="a recorded sample", found="none"
            )
        microvolts_LT[missing_LT] = 0
        largest = float(np.abs(microvolts_LT).max())
    if not largest <= LARGEST_MILLIVOLTS * MICROVOLTS_PER_MILLIVOLT:
        raise InvalidEcg(
            ecg.record_id or "ecg",
            field="signal",
            expected=f"at most +-{LARGEST_MILLIVOLTS} mV",
            found=f"{largest / MICROVOLTS_PER_MILLIVOLT:.6g} mV",
        )
    stored_LT = microvolts_LT.astype("<i2")
    if missing_LT is not None:
        stored_LT[missing_LT] = MISSING_SAMPLE
    return stored_LT.tobytes()


def decode_signals(stored_NLT: NDArray[np.int16]) -> NDArray[np.float32]:
    """Stored int16 values of any shape as float32 millivolts of that shape, NaN where missing."""
    signal_NLT = np.empty(stored_NLT.shape, dtype=np.float32)
    np.divide(stored_NLT, np.float32(MICROVOLTS_PER_MILLIVOLT), out=signal_NLT)
    if stored_NLT.size and stored_NLT.min() == MISSING_SAMPLE:
        signal_NLT[stored_NLT == MISSING_SAMPLE] = np.nan
    return signal_NLT


def stored_signals(column: pa.Array | pa.ChunkedArray | NDArray[Any]) -> NDArray[np.int16]:
    """The `signal` column as int16 of shape (N, 12, T), without a copy where Arrow allows it.

    Takes an Arrow column of a shard, or the array of bytes objects that Ray Data's NumPy batches
    hold.
    """
    if isinstance(column, np.ndarray):
        joined = b"".join(column.tolist())
        return np.frombuffer(joined, dtype="<i2").reshape(len(column), len(LEADS), -1)
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    width = column.type.byte_width
    flat = np.frombuffer(
        column.buffers()[1],
        dtype="<i2",
        count=len(column) * width // 2,
        offset=column.offset * width,
    )
    return flat.reshape(len(column), len(LEADS), width // 2 // len(LEADS))
