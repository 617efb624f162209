"""Our waves beside the cardiologists' marks of a few LUDB records; all 20 are in bench/."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from truelead.data.sources.ludb_delineation import load_delineation
from truelead.signal import read_record, resample
from truelead.signal.delineation import delineate

pytestmark = pytest.mark.real_data

# A sinus bradycardia, an incomplete bundle branch block, a premature beat, a first-degree block.
RECORDS = ("1", "4", "7", "15")
SIDES = (("P", "onset"), ("P", "offset"), ("QRS", "onset"), ("QRS", "offset"), ("T", "offset"))


@pytest.fixture(scope="module")
def ludb(real_data: Path) -> Path:
    if not (real_data / "ludb" / "data").is_dir():
        pytest.skip(f"LUDB not found in {real_data}")
    return real_data / "ludb"


@pytest.mark.parametrize("rate", [100, 500])
@pytest.mark.parametrize("record", RECORDS)
def test_boundaries_are_where_they_were_marked(ludb: Path, record: str, rate: int) -> None:
    found = delineate(resample(read_record(ludb / "data" / record), rate))
    marks = load_delineation(ludb, record)
    for kind, side in SIDES:
        wave = found.waves[kind].marks
        errors = []
        for beat in found.r_peaks[found.representative]:
            places = [
                getattr(mark, side) / 500
                for lead in marks.values()
                for mark in lead
                if mark.kind == kind
                and None not in (mark.peak, getattr(mark, side))
                and abs(mark.peak / 500 - beat - wave.peak) < 0.15
            ]
            if places:
                errors.append(beat + getattr(wave, side) - np.median(places))
        assert len(errors) >= 4
        assert abs(np.median(errors)) < 0.025, (kind, side)


def test_atrial_fibrillation_has_no_p_wave(ludb: Path) -> None:
    found = delineate(read_record(ludb / "data" / "8"))
    assert not any(mark.kind == "P" for mark in load_delineation(ludb, "8")["II"])
    assert "no-p-wave" in found.flags
    assert "pr interval" not in found.values
