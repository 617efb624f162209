"""Hand-made records with known confounding, and the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from truelead.config import DataConfig, QuestionsConfig
from truelead.debias.setup.ptbxl_severity import PtbxlSeveritySetup
from truelead.debias.severity import SEVERITIES
from truelead.types import Record

CODES = ("IMI", "LVH", "CLBBB", "NDT", "AFIB", "PVC")


def make_records(count: int = 400, seed: int = 0) -> list[Record]:
    """Statements come oftener the iller the patient; every fifth patient is tested."""
    rng = np.random.default_rng(seed)
    records = []
    for index in range(count):
        burden = rng.choice([0.03, 0.15, 0.4], p=[0.45, 0.3, 0.25])
        codes = {code: 100.0 for code in CODES if rng.random() < burden}
        codes["SR" if rng.random() < 0.8 else "STACH"] = 0.0
        if not set(codes) & set(CODES):
            codes["NORM"] = 100.0
        patient = index // 2
        records.append(
            Record(
                record_id=str(index),
                patient_id=str(patient),
                source="hand",
                path=f"records/{index}",
                scp_codes=codes,
                split={0: "valid", 1: "development"}.get(patient % 5, "train"),
                recorded_at=f"2020-01-{1 + index % 2:02d}T00:00:00",
            )
        )
    return records


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """400 hand-made records."""
    return make_records()


@pytest.fixture(scope="session")
def setup(records: list[Record]) -> PtbxlSeveritySetup:
    """`ptbxl-severity` over the hand-made records."""
    return PtbxlSeveritySetup.build(
        records, QuestionsConfig(minimum_positives=10), SEVERITIES["ptbxl"], test_split="valid"
    )


@pytest.fixture(scope="session")
def real_records(real_data: Path) -> list[Record]:
    """The real labels, split as ECG-QA has them."""
    from truelead.data.sources.ptbxl import load_records

    return load_records(
        real_data / "ptbxl",
        DataConfig(
            root=real_data / "ptbxl", ecg_qa=real_data / "ecg-qa" / "ptbxl", split_by="ecg_qa"
        ),
    )
