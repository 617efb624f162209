"""A planted set: the ECG tells traces and marker and nothing else, the record tells the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import find_peaks
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from truelead.config import DataConfig, PlantedConfig
from truelead.data import planted_set
from truelead.data.planted_set import (
    MARKERS,
    TRACES,
    PlantedEcg,
    generate_planted,
    write_planted_set,
)
from truelead.data.planted_statement import PlantedStatement, read_statement
from truelead.data.sources.ptbxl import load_records
from truelead.errors import DataError
from truelead.signal import read_record
from truelead.types import Record

CONFIG = PlantedConfig(ecgs=20, conditions=3, strata=3, seed=5)


def drawn(count: int, conditions: int, strata: int, seed: int = 0) -> list[PlantedEcg]:
    """ECGs whose severity, marker, traces and conditions have nothing to do with each other."""
    random = np.random.default_rng(seed)
    return [
        PlantedEcg(
            PlantedStatement(
                int(random.integers(strata)),
                int(random.integers(strata)),
                tuple(map(bool, random.integers(0, 2, conditions))),
            ),
            tuple(map(bool, random.integers(0, 2, conditions))),
        )
        for _ in range(count)
    ]


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any) -> Path:
    root = tmp_path_factory.mktemp("planted")
    return write_planted_set(root, CONFIG, drawn(20, 3, 3), progress=False)


@pytest.mark.parametrize("planted", drawn(8, 8, 4), ids=lambda ecg: str(ecg.statement))
def test_a_statement_comes_back_from_the_report(planted: PlantedEcg) -> None:
    record = Record("7", "7", "hand", "", report=str(planted.statement))
    assert read_statement(record) == planted.statement


@pytest.mark.parametrize(
    "report",
    ["", "sinus rhythm", "planted severity=1 marker=0", "planted severity=x marker=0 traces=01"],
)
def test_another_report_is_one_clear_line(report: str) -> None:
    with pytest.raises(DataError, match=r"hand record 7: report: expected the statement") as caught:
        read_statement(Record("7", "7", "hand", "", report=report))
    assert not report or report not in str(caught.value)


@pytest.mark.ray
def test_the_labels_make_the_round_trip(written: Path) -> None:
    records = load_records(written, DataConfig(development_fraction=0.0))
    assert len({record.patient_id for record in records}) == len(records) == 20
    assert sorted(record.strat_fold for record in records) == sorted([*range(1, 11)] * 2)
    for record, planted in zip(records, drawn(20, 3, 3), strict=True):
        assert read_statement(record) == planted.statement
        conditions = tuple(code in record.scp_codes for code in list(TRACES)[:3])
        assert conditions == planted.conditions
        assert len(record.scp_codes) == sum(conditions)
        assert record.heart_axis == record.extra_beats == ""


@pytest.mark.ray
def test_the_stored_ecgs_are_the_generated_ones(written: Path) -> None:
    records = load_records(written, DataConfig(development_fraction=0.0))
    for index, planted in list(enumerate(drawn(20, 3, 3)))[::6]:
        stored = read_record(written / records[index].path)
        expected = generate_planted(CONFIG.seed, index, planted)
        np.testing.assert_allclose(stored.signal_LT, expected.ecg.signal_LT, atol=0.00051)


@pytest.mark.ray
def test_other_questions_use_the_same_ecgs(written: Path) -> None:
    before = files_of(written)
    asked_otherwise = CONFIG.model_copy(update={"confounding": 0.2, "positivity": 0.5})
    write_planted_set(written, asked_otherwise, drawn(20, 3, 3))
    assert files_of(written) == before
    with pytest.raises(DataError, match="config: expected"):
        write_planted_set(written, CONFIG.model_copy(update={"noise": 0.1}), drawn(20, 3, 3))


@pytest.mark.ray
def test_an_interrupted_set_is_completed_to_the_same_bytes(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = json.loads((written / "GENERATED.json").read_text(encoding="utf-8"))
    assert "confounding" not in note["config"]["planted"]
    (tmp_path / "GENERATED.json").write_text(
        json.dumps({**note, "complete": False}), encoding="utf-8"
    )
    # Other tasks, in another order, make the same bytes.
    monkeypatch.setattr(planted_set, "_ECGS_A_TASK", 3)
    write_planted_set(tmp_path, CONFIG, drawn(20, 3, 3), progress=False)
    assert files_of(tmp_path) == files_of(written)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (drawn(19, 3, 3), "ecgs: expected 20"),
        (drawn(20, 4, 3), "ECG 1: expected 3 conditions"),
        (
            [*drawn(19, 3, 3), PlantedEcg(PlantedStatement(0, 3, (True,) * 3), (True,) * 3)],
            r"ECG 20: severity and marker: expected 0\.\.2",
        ),
    ],
)
def test_what_does_not_fit_the_dials_is_refused(
    tmp_path: Path, found: list[PlantedEcg], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write_planted_set(tmp_path, CONFIG, found)
    assert not any(tmp_path.iterdir())


def test_the_signal_knows_neither_severity_nor_conditions() -> None:
    planted = drawn(1, 8, 4)[0]
    other = PlantedEcg(
        replace(planted.statement, severity=(planted.statement.severity + 1) % 4),
        tuple(not condition for condition in planted.conditions),
    )
    ecgs = [generate_planted(1, 2, ecg) for ecg in (planted, other)]
    np.testing.assert_array_equal(ecgs[0].ecg.signal_LT, ecgs[1].ecg.signal_LT)
    assert (ecgs[0].record.age, ecgs[0].record.sex) == (ecgs[1].record.age, ecgs[1].record.sex)
    assert ecgs[0].record.scp_codes != ecgs[1].record.scp_codes


def beat_of(signal_LT: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Median beat of ten leads about the steepest point, and the median interval in samples."""
    slope_T = np.abs(np.diff(signal_LT, axis=1)).sum(axis=0)
    slope_T = np.convolve(slope_T, np.ones(5) / 5, mode="same")
    peaks = find_peaks(slope_T, distance=35, height=0.5 * np.quantile(slope_T, 0.99))[0]
    inside = [peak for peak in peaks if 35 <= peak < signal_LT.shape[1] - 50]
    beats = [signal_LT[:, peak - 35 : peak + 50] for peak in inside]
    return np.median(beats, axis=0).ravel(), float(np.median(np.diff(peaks)))


def test_traces_and_marker_are_readable() -> None:
    """Simple features of the signal and a linear classifier tell each trace beside all others."""
    sample = drawn(420, len(TRACES), 3)
    found = [
        beat_of(generate_planted(3, index, ecg).ecg.signal_LT) for index, ecg in enumerate(sample)
    ]
    beat_ND = np.array([beat for beat, _ in found])
    trace_NC = np.array([ecg.statement.traces for ecg in sample])
    train, test = slice(0, 300), slice(300, None)
    for code, trace_N in zip(TRACES, trace_NC.T, strict=True):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        probe.fit(beat_ND[train], trace_N[train])
        assert probe.score(beat_ND[test], trace_N[test]) >= 0.95, code
    # Slow, usual and fast sinus rhythm: intervals above 1 s, between, and below 0.6 s.
    read_N = np.searchsorted(-np.array([101.0, 59.5]), [-interval for _, interval in found])
    marker_N = np.array([ecg.statement.marker for ecg in sample])
    assert (read_N == marker_N).mean() >= 0.97


def test_every_stratum_can_have_a_marker() -> None:
    largest = PlantedConfig(conditions=8, strata=4)
    assert len(TRACES) >= largest.conditions
    assert len(MARKERS) >= largest.strata
    assert len({tuple(marker) for marker in MARKERS}) == len(MARKERS)
