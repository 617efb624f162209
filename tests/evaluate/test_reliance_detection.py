"""The test of reliance on readers whose scores theory gives: faultless, blind, and noisy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from truelead.errors import DataError
from truelead.evaluate.bootstrap import Clusters
from truelead.evaluate.reliance_calibration import CalibratedModel, fit_threshold, reference_ids
from truelead.evaluate.reliance_detection import RelianceResult, detection, ratio_interval
from truelead.model.answering import Answerer
from truelead.model.processing import GroupInput
from truelead.model.reference_ecgs import ReferenceEcgs
from truelead.model.reliance import RelianceMeter
from truelead.types import Record

Clinic = Any
CODES = ("AFIB", "CLBBB", "IMI", "LVH", "PVC", "STACH")
"""The made-up clinic's statements."""

CERTAIN = 8.0
"""Log-odds of a reader that is sure."""


class Reader(Answerer):
    """Reads an ECG's statements from features that are nothing but its labels.

    Args:
        noise: standard deviation of what is added to the log-odds, the same for a question and
            an ECG whenever asked. blind: answers every question alike instead.
    """

    keeps_prefixes = False

    def __init__(self, *, noise: float = 0.0, blind: bool = False) -> None:
        self.rows = 256
        self.processor: Any = None
        self.model: Any = None
        self.noise = noise
        self.blind = blind

    def score(
        self, groups: Sequence[GroupInput], *, features: Any = None, **_: Any
    ) -> list[dict[str, float]]:
        scores = []
        for group in groups:
            for question in group.questions:
                code = CODES.index(question.question_id.removeprefix("1:"))
                labels, number = features[group.ecgs[0], 0], features[group.ecgs[0], 1, 0]
                error = np.random.default_rng([code, int(number)]).normal(0, self.noise)
                odds = CERTAIN * (2 * float(labels[code]) - 1) + error
                odds = -1.0 if self.blind else odds
                scores.append({"yes": odds, "no": 0.0})
        return scores

    def generate(self, groups: Sequence[GroupInput], **_: Any) -> list[str]:
        assert not groups, "only closed questions are asked"
        return []


class Labels:
    """Stands for stored features: row 0 an ECG's labels, row 1 its number."""

    def __init__(self, records: dict[str, Record]) -> None:
        self._place = {name: place for place, name in enumerate(records)}
        self.all = np.zeros((len(records), 2, len(CODES)), np.float16)
        for name, place in self._place.items():
            self.all[place, 0] = [code in records[name].scp_codes for code in CODES]
            self.all[place, 1] = place

    def load(self, record_ids: Sequence[str]) -> None:
        assert set(record_ids) <= set(self._place)

    def places(self, record_ids: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._place[name] for name in record_ids)


def calibrated(clinic: Clinic, reader: Reader) -> CalibratedModel:
    stored: Any = Labels(clinic.records)
    train = [name for name, record in clinic.records.items() if record.split == "train"]
    picked = train[:16]
    references = ReferenceEcgs(stored.all[list(stored.places(picked))], tuple(picked))
    meter = RelianceMeter(reader, references)
    # Calibrated on patients who are not asked about in the test.
    sets = {"train": clinic.train}
    threshold = fit_threshold(reader, meter, stored, sets, clinic.records)
    asked = {clinic.records[q.ecg_ids[0]].patient_id for q in clinic.train}
    assert threshold.patients == len(asked)
    assert threshold.answers == len(clinic.train)
    return CalibratedModel(reader, meter, threshold, stored)


def examined(clinic: Clinic, *readers: Reader) -> RelianceResult:
    models = [calibrated(clinic, reader) for reader in readers]
    results = detection("reader", models, clinic.context, samples=200)
    assert [result.test_set for result in results] == [
        "balanced/test-wordings",
        "confounded/test-wordings",
    ]
    return results[0]


def test_a_faultless_reader_flags_every_swapped_answer_and_no_other(clinic: Clinic) -> None:
    found = examined(clinic, Reader())
    assert found.false_alarms.estimate == 0.0
    assert found.detected.estimate == found.detected_false.estimate == 1.0
    assert found.true_of_patient.estimate == 0.0
    assert 0.3 < found.differing / found.questions < 0.6
    assert "100.0 %" in found.row()


def test_a_blind_reader_flags_nothing(clinic: Clinic) -> None:
    """Its answers are the same for every ECG: no answer can be told from another's."""
    found = examined(clinic, Reader(blind=True))
    assert found.false_alarms.estimate == found.detected.estimate == 0.0
    assert math.isfinite(found.true_of_patient.estimate)


def test_a_noisy_reader_is_bounded_by_its_mistakes(clinic: Clinic) -> None:
    """With an error rate e an answer is flagged where reader and swap disagree: 1 - 2 e (1 - e).

    Errors are independent of each other; calibrated false alarms are added to what the reader
    cannot tell apart.
    """
    found = examined(clinic, Reader(noise=10.0), Reader(noise=10.0))
    assert found.seeds == 2
    wrong = 0.5 * math.erfc(CERTAIN / 10.0 / math.sqrt(2))
    assert found.true_of_patient.estimate == pytest.approx(wrong, abs=0.06)
    disagree = 1 - 2 * wrong * (1 - wrong)
    assert disagree - 0.08 < found.detected.estimate < disagree + 0.15
    assert found.detected_false.estimate > found.detected.estimate
    assert found.false_alarms.estimate < 0.12
    assert found.false_alarms.low < 0.05


def test_the_interval_of_a_share_within_a_share() -> None:
    """The estimate is the ratio; the interval covers it as often as it says."""
    random = np.random.default_rng(2)
    clusters = Clusters.of([(row // 4,) for row in range(400)])
    covered = []
    for _ in range(60):
        whole = random.random((1, 400)) < 0.5
        part = random.random((1, 400)) < 0.7
        found = ratio_interval(part & whole, whole, clusters, samples=300)
        assert found.estimate == pytest.approx((part & whole).sum() / whole.sum())
        covered.append(found.low <= 0.7 <= found.high)
    assert np.mean(covered) > 0.85
    empty = ratio_interval(part, np.zeros_like(whole), clusters, samples=10)
    assert math.isnan(empty.estimate)


def test_references_are_spread_over_the_strata(clinic: Clinic) -> None:
    """In proportion, each of another patient, always the same."""

    @dataclasses.dataclass
    class Strata:
        records: dict[str, Record]

        def stratum(self, group: tuple[str, ...]) -> int:
            return min(2, len(self.records[group[0]].scp_codes))

    setup: Any = Strata(clinic.records)
    chosen = reference_ids(setup, 16, seed=0)
    assert chosen == reference_ids(setup, 16, seed=0)
    records = [clinic.records[name] for name in chosen]
    assert {record.split for record in records} == {"train"}
    assert len({record.patient_id for record in records}) == 16
    patients = {r.patient_id: r for r in clinic.records.values() if r.split == "train"}
    for stratum in range(3):
        share = np.mean([setup.stratum((r.record_id,)) == stratum for r in patients.values()])
        assert abs(sum(setup.stratum((n,)) == stratum for n in chosen) - 16 * share) < 1.01
    with pytest.raises(DataError, match="expected at least 51 patients, found 50"):
        reference_ids(setup, 51, seed=0)
