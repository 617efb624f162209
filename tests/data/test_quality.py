"""What is measured of an ECG, and what the page says of a set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from truelead.data.quality import (
    MEASURES,
    QUALITY_SCHEMA,
    QualityRow,
    quality_columns,
    quality_row,
    quality_text,
)
from truelead.data.quality_summary import summary_text
from truelead.signal.quality import lead_qualities
from truelead.types import LEADS, Ecg


def signal(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.5, size=(12, 1000)).astype(np.float32)


def measured(signal_LT: np.ndarray) -> QualityRow:
    return quality_row(Ecg(signal_LT, 100.0), 10.0)


def test_a_good_ecg() -> None:
    row = measured(signal())
    assert (row["missing_leads"], row["flat_leads"], row["clipped_leads"]) == ("", "", "")
    assert row["missing_share"] == 0
    assert row["lowest_millivolts"] == signal().min()
    assert row["highest_millivolts"] == signal().max()
    assert row["source_seconds"] == 10.0
    noise = [lead.noise_millivolts for lead in lead_qualities(Ecg(signal(), 100.0))]
    assert row["noise_millivolts"] == pytest.approx(float(np.median(noise)), rel=0.05)
    assert 0 < row["wander_share"] < 0.1
    assert set(row) == {field.name for field in MEASURES}


def test_leads_that_are_missing_flat_or_clipped() -> None:
    signal_LT = signal()
    signal_LT[0] = np.nan
    signal_LT[3] = 0.25
    signal_LT[7, 100:104] = 3.0
    signal_LT[8, 100:103] = 3.0  # three in a row are not yet clipped
    signal_LT[9, 200:204] = -3.0
    signal_LT[11, :500] = np.nan
    row = measured(signal_LT)
    assert row["missing_leads"] == "I"
    assert row["flat_leads"] == "aVR"
    assert row["clipped_leads"] == "V2 V4"
    assert row["missing_share"] == 1500 / 12000
    assert (row["lowest_millivolts"], row["highest_millivolts"]) == (-3.0, 3.0)
    assert row["noise_millivolts"] is not None
    expected = lead_qualities(Ecg(signal_LT, 100.0))
    assert row["flat_leads"] == " ".join(lead.lead for lead in expected if lead.flat)
    assert row["clipped_leads"] == " ".join(lead.lead for lead in expected if lead.clipped_share)


def test_an_ecg_of_one_sample() -> None:
    signal_LT = np.full((12, 5), np.nan, np.float32)
    signal_LT[2, 2] = 1.0
    row = measured(signal_LT)
    assert row["missing_leads"] == " ".join(name for name in LEADS if name != "III")
    assert (row["lowest_millivolts"], row["highest_millivolts"]) == (1.0, 1.0)
    assert row["noise_millivolts"] is row["wander_share"] is None


def test_rows_travel_as_text() -> None:
    rows = [measured(signal(seed)) for seed in range(3)]
    columns = quality_columns(quality_text(rows))
    table = pa.table(columns, schema=pa.schema(list(MEASURES)))
    for row, back in zip(rows, table.to_pylist(), strict=True):
        assert back == {
            name: pytest.approx(value) if isinstance(value, float) else value
            for name, value in row.items()
        }
    assert pa.table(quality_columns(quality_text([]))).num_rows == 0


def test_the_page(tmp_path: Path) -> None:
    flat_LT = signal()
    flat_LT[5] = 0
    rows = []
    for number, signal_LT in enumerate([signal(), flat_LT, signal(2)]):
        place = {"record_id": f"{number}", "source": "x", "position": number}
        split, shard = ("train", "a") if number < 2 else ("test", "b")
        rows.append(
            {
                **place,
                "split": split,
                "shard": shard,
                "source_sampling_rate": 100.0 if number else 500.0,
                **measured(signal_LT),
            }
        )
    rows[2]["source_seconds"] = None
    path = tmp_path / "quality.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=QUALITY_SCHEMA), path)
    text = summary_text(path)
    assert "| all | 3 | 0 | 1 | 0 | 0 % |" in text
    assert "| train | 2 | 0 | 1 | 0 |" in text
    assert "| test | 1 | 0 | 0 | 0 |" in text
    assert "| a | 2 | 0 | 1 | 0 |" in text
    assert "\n| b |" not in text, "only shards that show something are named"
    assert "Sources: 2 at 100 Hz, 1 at 500 Hz; 10 to 10 s" in text
    assert "length of 1 not known" in text


def test_the_page_of_an_empty_set(tmp_path: Path) -> None:
    path = tmp_path / "quality.parquet"
    pq.write_table(QUALITY_SCHEMA.empty_table(), path)
    assert "| all | 0 | 0 | 0 | 0 |" in summary_text(path)
