"""Measured waves and intervals against the marks of LUDB and the official answers of ECG-QA.

LUDB: each wave of ours, placed at each beat, beside the cardiologists' marks of that beat: of lead
II for what is found, of the median over the leads for the boundaries. At 500 Hz as recorded, and
brought to 100 Hz. NeuroKit2's own wavelet delineation of lead II stands beside it as the peer, with
its errors against the marks of lead II. The method was developed on these records.
ECG-QA: the official valid answers to templates 68 to 70 (numeric features of two ECGs) about the
PTB-XL records at hand, whose numbers come from lead II by another method; the train answers helped
to find the normal ranges.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import neurokit2
import numpy as np

from bench.reported import row
from truelead.config import DataConfig
from truelead.data.sources import SOURCES
from truelead.data.sources.ecg_qa import ecg_qa_folder
from truelead.data.sources.ludb_delineation import Wave as Mark
from truelead.data.sources.ludb_delineation import load_delineation
from truelead.errors import DataError
from truelead.questions.measured_rules import NUMERIC_FEATURES, is_normal
from truelead.questions.rules import RULES, Unanswerable
from truelead.signal import read_record, resample
from truelead.signal.delineation import Delineation, delineate
from truelead.types import Ecg, Record

COMMAND = "make soak SECTION=data"
MARKED_RATE = 500
TOLERANCE = 0.150
LARGEST_SD = {"onset": {"P": 15.0, "QRS": 12.0}, "offset": {"P": 15.0, "QRS": 12.0, "T": 20.0}}
"""Goals: standard deviation of a boundary's error in ms."""

LEAST_FOUND = 95.0
TEMPLATES = (68, 69, 70)
SPEED_ECGS = 40

Errors = dict[tuple[str, str], list[float]]


class Found(NamedTuple):
    """Waves of one kind in lead II: marked and found, marked and missed, found but not marked."""

    right: int
    missed: int
    extra: int


def rows() -> list[dict[str, Any]]:
    """LUDB at both rates, the official answers, and the speed."""
    root = Path(os.environ.get("TRUELEAD_DATA", "../shared/data"))
    if not (root / "ludb").is_dir():
        raise DataError(f"{root}: expected ludb/, ptbxl/ and ecg-qa/ (TRUELEAD_DATA), found none")
    found = [each for rate in (500, 100) for each in _ludb(root / "ludb", rate)]
    return [*found, *_official(root), *_speed(root)]


def _ludb(root: Path, rate: int) -> list[dict[str, Any]]:
    errors: Errors = defaultdict(list)
    peers: Errors = defaultdict(list)
    counts: dict[str, list[Found]] = defaultdict(list)
    for path in sorted((root / "data").glob("*.hea")):
        marks = load_delineation(root, path.stem)
        ecg = resample(read_record(path.with_suffix("")), rate)
        _compare(delineate(ecg), marks, errors, counts)
        _compare_peer(resample(ecg, MARKED_RATE), marks["II"], peers)
    table = []
    for kind, each in counts.items():
        right, missed, extra = (sum(part) for part in zip(*each, strict=True))
        for name, other in (("sensitivity", missed), ("positive predictive value", extra)):
            value = 100 * right / max(right + other, 1)
            title = f"LUDB, {rate} Hz: {kind} {name}, lead II"
            holds = value >= LEAST_FOUND
            table.append(row(title, value, "%", COMMAND, goal=LEAST_FOUND, holds=holds))
    for (kind, side), values in errors.items():
        peer = np.array(peers[kind, side])
        text = f"neurokit2 dwt, lead II: {peer.mean():.1f}, SD {peer.std():.1f}"
        title = f"LUDB, {rate} Hz: {kind} {side} error"
        table.append(row(f"{title}, mean", float(np.mean(values)), "ms", COMMAND, peer=text))
        sd = float(np.std(values))
        goal = LARGEST_SD[side].get(kind)
        holds = None if goal is None else sd <= goal
        table.append(row(f"{title}, SD", sd, "ms", COMMAND, goal=goal, holds=holds, peer=text))
    return table


def _compare(
    ours: Delineation,
    marks: Mapping[str, Sequence[Mark]],
    errors: Errors,
    counts: dict[str, list[Found]],
) -> None:
    """Add the errors of a record's boundaries, and what was found of its waves in lead II.

    The cardiologists left out the first and the last beats: only what lies between their first
    and last mark counts.
    """
    begin, end = _marked_span(marks["II"])
    beats = ours.r_peaks[ours.representative]
    for kind in ("P", "QRS", "T"):
        places = [
            mark.peak / MARKED_RATE for mark in marks["II"] if mark.kind == kind and mark.peak
        ]
        if kind not in ours.waves:
            counts[kind].append(Found(0, len(places), 0))
            continue
        wave = ours.waves[kind].marks
        peaks = [peak for peak in beats + wave.peak if begin <= peak <= end]
        right = sum(_is_near(place, peaks) for place in places)
        extra = sum(not _is_near(peak, places) for peak in peaks)
        counts[kind].append(Found(right, len(places) - right, extra))
        for beat in beats:
            for side, at in (("onset", wave.onset), ("offset", wave.offset)):
                truth = _marked(marks, kind, side, beat + wave.peak)
                if truth is not None and np.isfinite(at) and (kind, side) != ("T", "onset"):
                    errors[kind, side].append(1000 * (beat + at - truth))


def _compare_peer(ecg: Ecg, marks: Sequence[Mark], errors: Errors) -> None:
    """The same for NeuroKit2's usual way with one lead."""
    rate = round(ecg.sampling_rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clean = neurokit2.ecg_clean(ecg.signal_LT[1].astype(float), sampling_rate=rate)
        _, peaks = neurokit2.ecg_peaks(clean, sampling_rate=rate)
        _, waves = neurokit2.ecg_delineate(clean, peaks, sampling_rate=rate, method="dwt")
    for kind, letter in (("P", "P"), ("QRS", "R"), ("T", "T")):
        for side in ("onset", "offset"):
            places = np.array(waves[f"ECG_{letter}_{side.title()}s"], dtype=float) / rate
            for mark in marks:
                at = getattr(mark, side)
                if mark.kind != kind or at is None:
                    continue
                distances = np.abs(places - at / MARKED_RATE)
                if np.isfinite(distances).any() and np.nanmin(distances) <= TOLERANCE:
                    place = places[int(np.nanargmin(distances))]
                    errors[kind, side].append(1000 * (place - at / MARKED_RATE))


def _marked_span(marks: Sequence[Mark]) -> tuple[float, float]:
    places = [at for mark in marks for at in (mark.onset, mark.peak, mark.offset) if at is not None]
    return min(places) / MARKED_RATE, max(places) / MARKED_RATE


def _is_near(place: float, others: Sequence[float]) -> bool:
    return any(abs(place - other) <= TOLERANCE for other in others)


def _marked(marks: Mapping[str, Sequence[Mark]], kind: str, side: str, peak: float) -> float | None:
    """The median over the leads of a boundary marked near this peak, in seconds."""
    places = []
    for lead in marks.values():
        near = [
            mark
            for mark in lead
            if mark.kind == kind
            and mark.peak is not None
            and abs(mark.peak / MARKED_RATE - peak) <= TOLERANCE
        ]
        places += [at / MARKED_RATE for mark in near if (at := getattr(mark, side)) is not None]
    return float(np.median(places)) if places else None


def _official(root: Path) -> list[dict[str, Any]]:
    listed = SOURCES["ptbxl"].load_records(root / "ptbxl", DataConfig())
    by_id = {record.record_id: record for record in listed}
    asked = [
        question
        for path in sorted((ecg_qa_folder(root / "ecg-qa") / "template" / "valid").glob("*.json"))
        for question in json.loads(path.read_text(encoding="utf-8"))
        if question["template_id"] in TEMPLATES
    ]
    names = sorted({str(name) for question in asked for name in question["ecg_id"]})
    measured = {name: _measured(root, by_id[name]) for name in names}
    whole: dict[int, list[bool]] = defaultdict(list)
    single: dict[str, list[bool]] = defaultdict(list)
    for question in asked:
        pair = [measured[str(name)] for name in question["ecg_id"]]
        template = question["template_id"]
        with contextlib.suppress(Unanswerable):
            whole[template].append(RULES[template](pair, ()) == set(question["answer"]))
        for feature in NUMERIC_FEATURES:
            try:
                truth = [is_normal(record, feature) for record in pair]
            except Unanswerable:
                continue
            states = {68: [False, True], 69: [True, False], 70: [False, False]}[template]
            single[feature].append((truth == states) == (feature in question["answer"]))
    table = []
    for template in TEMPLATES:
        total = sum(question["template_id"] == template for question in asked)
        title = f"ECG-QA template {template}"
        share = 100 * len(whole[template]) / total
        table.append(row(f"{title}: answered of {total} rows", share, "%", COMMAND))
        value = 100 * float(np.mean(whole[template]))
        table.append(row(f"{title}: whole answer equals the official one", value, "%", COMMAND))
    for feature, same in single.items():
        title = f"ECG-QA templates 68-70: {feature} in the answer or not, as officially"
        table.append(row(f"{title} ({len(same)} rows)", 100 * float(np.mean(same)), "%", COMMAND))
    return table


def _measured(root: Path, record: Record) -> Record:
    ecg = read_record(root / "ptbxl" / record.path)
    values = delineate(ecg).values
    return Record(record.record_id, record.patient_id, "ptbxl", record.path, measurements=values)


def _speed(root: Path) -> list[dict[str, Any]]:
    table = []
    for rate in (500, 100):
        paths = sorted((root / "ludb" / "data").glob("*.hea"))
        ecgs = [resample(read_record(path.with_suffix("")), rate) for path in paths]
        ecgs = (ecgs * (1 + SPEED_ECGS // len(ecgs)))[:SPEED_ECGS]
        begun = time.process_time()
        for ecg in ecgs:
            delineate(ecg)
        value = len(ecgs) / (time.process_time() - begun)
        title = f"delineate 12 leads of 10 s at {rate} Hz"
        table.append(row(title, value, "ECGs per CPU second", COMMAND))
    return table


if __name__ == "__main__":
    for each in rows():
        print(each)
