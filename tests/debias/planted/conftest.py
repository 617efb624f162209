"""Records of planted sets, without their ECGs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from truelead.config import PlantedConfig
from truelead.data.planted_set import planted_record
from truelead.debias.planted import draw_set
from truelead.types import Record

Records = Callable[[PlantedConfig], list[Record]]


def planted_records(config: PlantedConfig) -> list[Record]:
    """One patient an ECG; every fourth is tested."""
    return [
        planted_record(
            Record(str(row), str(row), "hand", "", split="valid" if row % 4 == 0 else "train"), ecg
        )
        for row, ecg in enumerate(draw_set(config), start=1)
    ]


@pytest.fixture(scope="session")
def records_of() -> Records:
    return planted_records
