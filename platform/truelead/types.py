"""The values that flow through TrueLead: an ECG, its record's labels, and a question about it.

Shape suffixes: L leads (12), T samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from truelead.errors import InvalidEcg

LEADS: tuple[str, ...] = (
    "I",
    "II",
    "III",
    "aVR",
    "aVL",
    "aVF",
    "V1",
    "V2",
    "V3",
    "V4",
    "V5",
    "V6",
)
"""Canonical lead names in canonical order."""

QUESTION_TYPES: tuple[str, ...] = (
    "single-verify",
    "single-choose",
    "single-query",
    "comparison_consecutive-verify",
    "comparison_consecutive-query",
    "comparison_irrelevant-verify",
    "comparison_irrelevant-query",
)
"""ECG-QA's seven question types (Oh et al., NeurIPS 2023 Datasets and Benchmarks)."""

ANSWER_SEPARATOR = "; "
"""Joins the answers of one question in text; no ECG-QA answer contains it."""


@dataclass(frozen=True, eq=False)
class Ecg:
    """A 12-lead ECG in millivolts.

    Attributes:
        signal_LT: float32 of shape (12, T) in mV, leads in the order of `LEADS`;
            NaN where a lead or a sample was not recorded.
        sampling_rate: samples a second (Hz), above 0.
        record_id: the record's name inside its set.
        patient_id: the patient's pseudonym, empty where unknown.

    Raises:
        InvalidEcg: the signal is not float32 of shape (12, T > 0), or the rate is not positive.
    """

    signal_LT: NDArray[np.float32]
    sampling_rate: float
    record_id: str = ""
    patient_id: str = ""

    def __post_init__(self) -> None:
        shape = getattr(self.signal_LT, "shape", None)
        dtype = getattr(self.signal_LT, "dtype", None)
        if dtype != np.float32 or shape is None or len(shape) != 2 or shape[0] != len(LEADS):
            raise InvalidEcg(
                self.record_id or "ecg",
                field="signal",
                expected=f"float32 millivolts of shape ({len(LEADS)}, samples)",
                found=f"{dtype} of shape {shape}",
            )
        if shape[1] == 0:
            raise InvalidEcg(
                self.record_id or "ecg", field="signal", expected="at least 1 sample", found="0"
            )
        if not (np.isfinite(self.sampling_rate) and self.sampling_rate > 0):
            raise InvalidEcg(
                self.record_id or "ecg",
                field="sampling_rate",
                expected="a rate above 0 Hz",
                found=str(self.sampling_rate),
            )

    @property
    def lead_mask_L(self) -> NDArray[np.bool_]:
        """bool (12,): True where the lead holds at least one recorded sample."""
        mask_L: NDArray[np.bool_] = np.asarray(np.isfinite(self.signal_LT).any(axis=1))
        return mask_L

    @property
    def duration_seconds(self) -> float:
        """Length of the recording in seconds."""
        return self.signal_LT.shape[1] / self.sampling_rate


@dataclass(frozen=True)
class Record:
    """What a set says about one ECG, without its signal.

    Attributes:
        record_id: name inside the set (PTB-XL: the ecg_id as text).
        patient_id: the patient's pseudonym.
        source: name of the set.
        path: path of the record relative to the set's root, without extension.
        scp_codes: SCP-ECG statement -> likelihood in percent; 0 means "likelihood unknown"
            (PTB-XL's form and rhythm statements).
        infarction_stadium: PTB-XL's infarction_stadium1 and infarction_stadium2, empty if none.
        baseline_drift, static_noise, burst_noise, electrodes_problems, extra_beats, pacemaker:
            PTB-XL's free-text signal annotations, empty if none.
        strat_fold: PTB-XL's fold 1..10, 0 where the set has none.
        split: train, development, valid or test, as assigned by the configured split.
        recorded_at: ISO date and time, empty where unknown; orders the serial ECGs of a patient.
        other_codes: codes of the set's own vocabulary -> their names, e.g. of SNOMED CT, empty
            where not known; kept, never asked about.
        measurements: feature -> what was measured in the ECG, in milliseconds (heart rate: beats
            a minute); absent where it could not be measured. Not stored with the labels: see
            `truelead.data.measurements`.
    """

    record_id: str
    patient_id: str
    source: str
    path: str
    scp_codes: Mapping[str, float] = field(default_factory=dict)
    report: str = ""
    age: float | None = None
    sex: int | None = None
    heart_axis: str = ""
    infarction_stadium: tuple[str, str] = ("", "")
    baseline_drift: str = ""
    static_noise: str = ""
    burst_noise: str = ""
    electrodes_problems: str = ""
    extra_beats: str = ""
    pacemaker: str = ""
    strat_fold: int = 0
    split: str = "train"
    recorded_at: str = ""
    other_codes: Mapping[str, str] = field(default_factory=dict)
    measurements: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """One question about one or two ECGs, with its true answers.

    Attributes:
        text: the words shown to the model.
        answers: the true answers, order-free; ("none",) for an empty set. Never empty.
        options: the closed set of possible answers, empty for free text.
        ecg_ids: record_id of one ECG, or of (first/previous, second/recent).
        question_type: one of `QUESTION_TYPES`.
        template_id: ECG-QA's template 1..70.
        question_id: the question apart from its wording ("1:CLBBB"); two wordings of one
            question share it.
        wording_id: which wording this is; train and test wordings are disjoint.
        severity: stratum of the (second) ECG's severity of illness, -1 where not assigned.
        split: train, development, valid or test.
    """

    text: str
    answers: tuple[str, ...]
    options: tuple[str, ...]
    ecg_ids: tuple[str, ...]
    question_type: str
    template_id: int
    question_id: str
    wording_id: str
    severity: int = -1
    split: str = "train"

    @property
    def answer_text(self) -> str:
        """The answers as the model writes them: sorted, joined by `ANSWER_SEPARATOR`."""
        return ANSWER_SEPARATOR.join(sorted(self.answers))
