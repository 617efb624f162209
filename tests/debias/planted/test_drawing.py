"""What is drawn for a planted set follows the model's tables, and only the dials that shape it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from truelead.config import PlantedConfig
from truelead.data.planted_set import TRACES, PlantedEcg, planted_record
from truelead.debias.planted import draw_set, model_of, planted_in
from truelead.errors import DataError
from truelead.types import Record

CONFIG = PlantedConfig(ecgs=10_000, conditions=4, strata=4, severity_readable=0.3, seed=1)


def z_of(found: NDArray[np.bool_], probability: NDArray[np.float64] | float) -> float:
    """How many standard errors a share is from what the table says."""
    expected = np.broadcast_to(probability, found.shape)
    return float((found - expected).sum() / np.sqrt((expected * (1 - expected)).sum()))


@pytest.fixture(scope="module")
def drawn() -> tuple[PlantedEcg, ...]:
    return draw_set(CONFIG)


def test_the_drawn_set_agrees_with_the_tables(drawn: tuple[PlantedEcg, ...]) -> None:
    model = model_of(CONFIG)
    severity_N = np.array([ecg.statement.severity for ecg in drawn])
    marker_N = np.array([ecg.statement.marker for ecg in drawn])
    condition_NC = np.array([ecg.conditions for ecg in drawn])
    trace_NC = np.array([ecg.statement.traces for ecg in drawn])
    found = []
    for stratum in range(4):
        here_N = severity_N == stratum
        found.append(z_of(here_N, model.severity_A[stratum]))
        for marker in range(4):
            found.append(z_of(marker_N[here_N] == marker, model.marker_AA[stratum, marker]))
        for condition in range(4):
            table = model.condition_AC[stratum, condition]
            found.append(z_of(condition_NC[here_N, condition], table))
            for present, table in ((True, model.sensitivity), (False, model.false_trace)):
                asked_N = here_N & (condition_NC[:, condition] == present)
                found.append(z_of(trace_NC[asked_N, condition], table))
    # A sum of squares of about that many standard normals; each alone within four and a half.
    assert np.abs(found).max() < 4.5
    assert (np.square(found).mean() - 1) * np.sqrt(len(found) / 2) < 4


def test_questions_dials_change_no_ecg(drawn: tuple[PlantedEcg, ...]) -> None:
    asked_otherwise = CONFIG.model_copy(update={"confounding": 0.0, "positivity": 0.9})
    assert draw_set(asked_otherwise) == drawn
    for change in ({"seed": 2}, {"noise": 0.9}, {"severity_readable": 0.9}):
        assert draw_set(CONFIG.model_copy(update=change)) != drawn


def test_the_records_give_back_what_was_drawn(drawn: tuple[PlantedEcg, ...]) -> None:
    records = [
        planted_record(Record(str(row), "1", "hand", "", heart_axis="LAD", extra_beats="VES"), ecg)
        for row, ecg in enumerate(drawn[:50], start=1)
    ]
    assert {record.heart_axis + record.extra_beats for record in records} == {""}
    codes = tuple(TRACES)[:4]
    ecgs = planted_in(records, codes, CONFIG)
    for row, ecg in enumerate(drawn[:50]):
        assert ecgs.severity_N[row] == ecg.statement.severity
        assert ecgs.marker_N[row] == ecg.statement.marker
        assert tuple(ecgs.trace_NC[row]) == ecg.statement.traces
        assert tuple(ecgs.condition_NC[row]) == ecg.conditions


@pytest.mark.parametrize(
    "change", [{"noise": 0.5}, {"strata": 2}, {"seed": 2}, {"ecgs": 9_999}], ids=str
)
def test_the_truth_of_other_dials_is_refused(
    drawn: tuple[PlantedEcg, ...], change: dict[str, float]
) -> None:
    records = [
        planted_record(Record(str(row), "1", "hand", ""), ecg)
        for row, ecg in enumerate(drawn[:200], start=1)
    ]
    codes = tuple(TRACES)[:4]
    planted_in(records, codes, CONFIG.model_copy(update={"confounding": 0.0}))
    with pytest.raises(DataError, match=r"hand record \d+: report: expected what the dials"):
        planted_in(records, codes, CONFIG.model_copy(update=change))
