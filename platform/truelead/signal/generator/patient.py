"""Patients of the generator: all ECGs of one patient from a seed and an index, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from truelead.signal.generator.conditions import CONDITIONS, INFARCTIONS
from truelead.signal.generator.finding import Finding
from truelead.signal.generator.heart import Anatomy, draw_anatomy
from truelead.signal.generator.history import Visit, draw_age_and_sex, draw_history
from truelead.signal.generator.labels import extra_beats, heart_axis, scp_codes, severity
from truelead.signal.generator.noise import KINDS, Disturbance
from truelead.signal.generator.recording import make_recording
from truelead.signal.generator.reports import write_report
from truelead.signal.generator.waves import WaveBoundaries
from truelead.types import Ecg, Record

MAXIMUM_ECGS = 10
_MEAN_ECGS = 1.5
_AXIS_UNWRITTEN = 0.15


@dataclass(frozen=True, eq=False)
class GeneratedEcg:
    """A generated ECG with all that is known about it.

    Attributes:
        ecg: the recording in mV, noise included.
        clean: the heart alone: Einthoven's and Goldberger's identities hold exactly.
        record: labels as PTB-XL writes them; the path is empty until the ECG is stored.
        boundaries: true wave boundaries as sample indices of `ecg`.
        severity: 0 no abnormal superclass, 1 one, 2 an infarction or at least two.
    """

    ecg: Ecg
    clean: Ecg
    record: Record
    boundaries: WaveBoundaries
    severity: int


def ecg_count(seed: int, index: int, mean: float = _MEAN_ECGS) -> int:
    """How many ECGs the patient has: 1 + Poisson(mean - 1), at most `MAXIMUM_ECGS`."""
    random = np.random.default_rng(np.random.SeedSequence((seed, index, 1)))
    return int(min(1 + random.poisson(max(mean - 1.0, 0.0)), MAXIMUM_ECGS))


def generate_patient(
    seed: int,
    index: int,
    *,
    ecgs: int | None = None,
    sampling_rate: int = 100,
    seconds: float = 10.0,
) -> tuple[GeneratedEcg, ...]:
    """All ECGs of patient number `index`, in the order of their dates.

    The result depends on the arguments alone: not on other patients, order or machine. Rate and
    length do not change the patient: another rate gives the same heart, sampled otherwise.

    Args:
        seed, index: at least 0.
        ecgs: number of ECGs, None to draw it (see `ecg_count`).
        sampling_rate: Hz. seconds: length of each recording.
    """
    assert seed >= 0
    assert index >= 0
    assert ecgs is None or ecgs >= 1
    root = np.random.SeedSequence((seed, index, 0))
    person, course, recordings = root.spawn(3)
    random = np.random.default_rng(person)
    age, sex = draw_age_and_sex(random)
    anatomy = draw_anatomy(random, age, sex)
    count = ecg_count(seed, index) if ecgs is None else ecgs
    visits = draw_history(np.random.default_rng(course), age, count)
    return tuple(
        _generate(anatomy, visit, stream, f"{index}-{number}", str(index), sampling_rate, seconds)
        for number, (visit, stream) in enumerate(
            zip(visits, recordings.spawn(count), strict=True), start=1
        )
    )


def generate_ecg(
    seed: int,
    findings: Mapping[str, Finding],
    *,
    disturbances: tuple[Disturbance, ...] = (),
    age: float = 60.0,
    sex: int = 0,
    sampling_rate: int = 100,
    seconds: float = 10.0,
) -> GeneratedEcg:
    """One ECG with exactly the asked `findings` (names of `CONDITIONS`), for tests and teaching.

    Raises:
        KeyError: a finding that the catalogue does not have.
    """
    for code in findings:
        CONDITIONS[code]
    staged = {
        code: Finding(finding.strength, finding.stage or "unknown")
        if code in INFARCTIONS
        else finding
        for code, finding in findings.items()
    }
    person, stream = np.random.SeedSequence((seed, 2)).spawn(2)
    anatomy = draw_anatomy(np.random.default_rng(person), age, sex)
    visit = Visit(datetime(1990, 1, 1, 8, 0), age, staged, disturbances)
    return _generate(anatomy, visit, stream, f"ecg-{seed}", str(seed), sampling_rate, seconds)


def _generate(
    anatomy: Anatomy,
    visit: Visit,
    stream: np.random.SeedSequence,
    record_id: str,
    patient_id: str,
    sampling_rate: int,
    seconds: float,
) -> GeneratedEcg:
    signal_stream, label_stream = stream.spawn(2)
    recording = make_recording(
        anatomy,
        visit.findings,
        visit.disturbances,
        np.random.default_rng(signal_stream),
        sampling_rate=sampling_rate,
        seconds=seconds,
    )
    random = np.random.default_rng(label_stream)
    codes = scp_codes(visit.findings, recording)
    axis = heart_axis(recording.heart.measured_axis())
    if random.random() < _AXIS_UNWRITTEN:
        axis = ""
    stages = [visit.findings[code].stage for code in INFARCTIONS if code in visit.findings]
    noise = dict.fromkeys(KINDS, "")
    noise.update({disturbance.kind: disturbance.annotation for disturbance in visit.disturbances})
    record = Record(
        record_id=record_id,
        patient_id=patient_id,
        source="generated",
        path="",
        scp_codes=codes,
        report=write_report(codes, visit.findings, axis, random),
        age=visit.age,
        sex=anatomy.sex,
        heart_axis=axis,
        infarction_stadium=(
            stages[0] if stages else "",
            stages[1] if len(stages) > 1 else "",
        ),
        baseline_drift=noise["baseline_drift"],
        static_noise=noise["static_noise"],
        burst_noise=noise["burst_noise"],
        electrodes_problems=noise["electrodes_problems"],
        extra_beats=extra_beats(recording, random),
        recorded_at=visit.recorded_at.strftime("%Y-%m-%d %H:%M:%S"),
    )
    return GeneratedEcg(
        ecg=Ecg(recording.signal_LT, float(sampling_rate), record_id, patient_id),
        clean=Ecg(recording.clean_LT, float(sampling_rate), record_id, patient_id),
        record=record,
        boundaries=recording.boundaries,
        severity=severity(codes),
    )
