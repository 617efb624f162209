"""The stored row: what goes in comes out, and what cannot be stored is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from truelead.data.schema import (
    LARGEST_MILLIVOLTS,
    decode_signals,
    encode_signal,
    record_row,
    row_record,
    shard_schema,
    stored_signals,
)
from truelead.errors import InvalidEcg
from truelead.types import Ecg, Record

LARGEST = float(np.float32(LARGEST_MILLIVOLTS))
SAMPLE = st.one_of(st.floats(-LARGEST, LARGEST, width=32), st.just(float("nan")))


def column_of(*signals: np.ndarray) -> pa.Array:
    stored = [encode_signal(Ecg(signal, 100.0)) for signal in signals]
    return pa.array(stored, shard_schema(signals[0].shape[1]).field("signal").type)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (12, 7), elements=SAMPLE))
def test_signal_round_trip_within_half_a_microvolt(signal_LT: np.ndarray) -> None:
    signal_LT[0, 0] = 1.25  # an ECG has at least one sample
    back_LT = decode_signals(stored_signals(column_of(signal_LT)))[0]
    assert back_LT.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(back_LT), np.isnan(signal_LT))
    # 0.5 uV, and the resolution of float32 at 32 mV
    np.testing.assert_allclose(back_LT, signal_LT, rtol=0, atol=0.5e-3 + 4e-6)


@pytest.mark.parametrize("value", [32.769, -32.769, 1e9, np.inf, -np.inf])
def test_values_out_of_range_are_refused_never_clipped(value: float) -> None:
    signal_LT = np.zeros((12, 5), np.float32)
    signal_LT[3, 2] = value
    with pytest.raises(InvalidEcg, match="rec: signal: expected at most") as error:
        encode_signal(Ecg(signal_LT, 100.0, record_id="rec"))
    assert error.value.reason == "invalid-values"


def test_an_ecg_without_any_sample_is_refused() -> None:
    with pytest.raises(InvalidEcg, match="expected a recorded sample"):
        encode_signal(Ecg(np.full((12, 5), np.nan, np.float32), 100.0))


def test_largest_values_are_stored() -> None:
    signal_LT = np.full((12, 2), LARGEST_MILLIVOLTS, np.float32)
    signal_LT[1] *= -1
    np.testing.assert_allclose(decode_signals(stored_signals(column_of(signal_LT)))[0], signal_LT)


def test_slices_chunks_and_numpy_batches_hold_the_same_signals() -> None:
    signals = [np.full((12, 3), i / 10, np.float32) for i in range(5)]
    column = column_of(*signals)
    whole = stored_signals(column)
    np.testing.assert_array_equal(stored_signals(column.slice(2, 2)), whole[2:4])
    chunked = pa.chunked_array([column.slice(0, 2), column.slice(2)])
    np.testing.assert_array_equal(stored_signals(chunked), whole)
    np.testing.assert_array_equal(stored_signals(np.array(column.to_pylist(), object)), whole)
    assert stored_signals(column.slice(0, 0)).shape == (0, 12, 3)


text = st.text(max_size=12)
RECORDS = st.builds(
    Record,
    record_id=text,
    patient_id=text,
    source=text,
    path=text,
    scp_codes=st.dictionaries(text, st.floats(0, 100), max_size=4),
    report=text,
    age=st.none() | st.floats(0, 120),
    sex=st.none() | st.sampled_from([0, 1]),
    infarction_stadium=st.tuples(text, text),
    extra_beats=text,
    strat_fold=st.integers(0, 10),
)


@settings(max_examples=60, deadline=None)
@given(RECORDS)
def test_record_round_trip(record: Record) -> None:
    assert row_record(json.loads(json.dumps(record_row(record)))) == record


def test_every_field_of_a_record_is_stored() -> None:
    texts = {
        name: f"<{name}>"
        for name, kind in Record.__annotations__.items()
        if kind == "str"  # annotations are text: `from __future__ import annotations`
    }
    record = replace(Record("", "", "", ""), **texts, age=1.0, sex=0, strat_fold=9)
    assert row_record(record_row(record)) == record
    assert set(record_row(record)) <= set(shard_schema(10).names)
