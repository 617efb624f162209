"""Every kind of real record here, bit for bit against the wfdb package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from truelead.signal import read_record

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("pattern", "count", "rate", "samples"),
    [
        ("ptbxl/records100/*/*.hea", 40, 100.0, 1000),
        ("ptbxl/records500/*/*.hea", 20, 500.0, 5000),
        ("cinc2021/*.hea", 40, 500.0, 5000),
        ("ludb/data/*.hea", 20, 500.0, 5000),
    ],
)
def test_real_records_equal_the_wfdb_package(
    real_data: Path, pattern: str, count: int, rate: float, samples: int
) -> None:
    headers = sorted(real_data.glob(pattern))
    assert len(headers) >= count
    for header in headers[:: len(headers) // count][:count]:
        ecg = read_record(header)
        record = wfdb.rdrecord(str(header.with_suffix("")))
        np.testing.assert_array_equal(ecg.signal_LT, record.p_signal.T.astype(np.float32))
        assert ecg.sampling_rate == record.fs == rate
        assert ecg.signal_LT.shape == (12, samples)
        assert ecg.lead_mask_L.all()
        assert ecg.record_id == header.stem
