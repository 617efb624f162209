"""Intervals and durations of an ECG from the waves of its representative beat, with their quality.

A value is given only where it can be trusted: what speaks against it is a flag, and the value is
absent. QT corrected for rate: Bazett H. C., Heart 7 (1920), and Fridericia L. S., Acta Med Scand
53 (1920).

Shape suffixes: G beats of the group, L leads (12), S voting leads, W samples of a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from truelead.signal.delineation.beats import RATE, Beats, find_beats
from truelead.signal.delineation.waves import CENTRE, Wave, p_wave, qrs_wave, t_wave
from truelead.types import LEADS, Ecg

METHOD_VERSION = 1
"""Raised with every change that can change a value or a flag."""

FEATURES = (
    "rr interval",
    "p duration",
    "pr interval",
    "qrs duration",
    "qt interval",
    "qt corrected",
    "qt corrected fridericia",
    "heart rate",
)
"""What is measured: milliseconds, the heart rate in beats a minute; ECG-QA's names first.

The RR interval is the median one, and QT is corrected with it; "qt corrected" is Bazett's.
"""

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "short": "less than 2 s are recorded: nothing is measured",
        "no-leads": "no lead is recorded, or all are flat: nothing is measured",
        "no-beats": "fewer than two beats are found: nothing is measured",
        "few-leads": "fewer than six leads: only rate and RR are measured",
        "few-beats": "fewer than three beats are alike: nothing is measured",
        "mixed-beats": "less than 60 % of the beats are alike: only rate and RR are measured",
        "noise": "noise hides the boundaries: only rate and RR are measured",
        "missing-leads": "some of the twelve leads are missing or flat",
        "ectopic-beats": "beats of another form are left out of the representative beat",
        "irregular": "the RR intervals vary by more than 15 %",
        "no-p-wave": "no P wave that the beats share, as in atrial fibrillation: no P, no PR",
        "p-in-t": "the P wave lies in the T wave before it: no P, no PR",
        "p-leads-disagree": "the leads' P waves differ too much: no P, no PR",
        "no-t-wave": "no lead shows a T wave: no QT",
        "t-leads-disagree": "the leads' T wave ends differ too much: no QT",
        "implausible": "a value beyond what a heart can do is left out",
    }
)
"""Flag -> what it means."""

_LEAST_LEADS = 6
_LEAST_BEATS = 3
_LEAST_SHARE = 0.6
_LARGEST_NOISE = 0.10
_IRREGULAR = 0.15
_P_IN_T = 0.04
_LONGEST_QT = 0.45
_LEAST_P_MILLIVOLTS = 0.02
_LEAST_P_LIKENESS = 0.6
_LIKENESS_IF_IRREGULAR = 0.8
_P_IRREGULAR = 0.10
_LARGEST_SPREAD = {"P": 0.025, "T": 0.030}

_PLAUSIBLE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "rr interval": (240.0, 4000.0),
        "p duration": (30.0, 220.0),
        "pr interval": (60.0, 450.0),
        "qrs duration": (40.0, 260.0),
        "qt interval": (180.0, 750.0),
    }
)


@dataclass(frozen=True, eq=False)
class Delineation:
    """What was measured in one ECG.

    Attributes:
        values: feature of `FEATURES` -> value; absent where it cannot be trusted.
        flags: of `FLAGS`, why values are absent and what a reader should know.
        beats: beats in the representative group.
        noise: of a single beat in mV, median over the leads; None where nothing was found.
        r_peaks: all R peaks in seconds from the start of the ECG.
        representative: for each R peak, whether its beat is in the group that `waves` describe.
        waves: "P", "QRS", "T" -> the wave of the representative beat, relative to its R peak;
            absent where none was found.
    """

    values: Mapping[str, float]
    flags: tuple[str, ...]
    beats: int = 0
    noise: float | None = None
    r_peaks: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    representative: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    waves: Mapping[str, Wave] = field(default_factory=dict)


def delineate(ecg: Ecg) -> Delineation:
    """Measure an ECG of any rate and length; whatever is wrong with it becomes a flag.

    Raises:
        InvalidEcg: the sampling rate is outside what `truelead.signal.resample` accepts.
        ConfigError: NeuroKit2 is not installed.
    """
    beats = find_beats(ecg)
    if isinstance(beats, str):
        return Delineation(MappingProxyType({}), (beats,))
    flags = _flags_of(beats)
    rr = float(np.median(beats.rr_seconds))
    # What neither its QRS nor its time shares with others may be noise, and no beat at all.
    found = {} if "few-beats" in flags else {"rr interval": 1000 * rr}
    waves: dict[str, Wave] = {}
    if not {"few-leads", "few-beats", "mixed-beats", "noise"} & set(flags):
        waves = _waves(beats, flags)
        found |= _intervals(waves, flags)
    values = {}
    for feature, value in found.items():
        low, high = _PLAUSIBLE[feature]
        if low <= value <= high:
            values[feature] = value
        else:
            flags.append("implausible")
    if "rr interval" in values:
        # The mean counts the beats: a premature one's pause makes up for it.
        values["heart rate"] = 60.0 / float(beats.rr_seconds.mean())
        if "qt interval" in values:
            values["qt corrected"] = values["qt interval"] / rr**0.5
            values["qt corrected fridericia"] = values["qt interval"] / rr ** (1 / 3)
    return Delineation(
        MappingProxyType({f: round(values[f], 1) for f in FEATURES if f in values}),
        tuple(flag for flag in FLAGS if flag in flags),
        int(beats.grouped_B.sum()),
        float(np.median(beats.residual_L[beats.used_L])),
        beats.start_seconds + beats.r_peaks_B / RATE,
        beats.grouped_B,
        MappingProxyType(waves),
    )


def _flags_of(beats: Beats) -> list[str]:
    """Flags of the whole ECG."""
    rr, grouped = beats.rr_seconds, int(beats.grouped_B.sum())
    found = {
        "few-leads": beats.used_L.sum() < _LEAST_LEADS,
        "missing-leads": not beats.used_L.all(),
        "few-beats": grouped < _LEAST_BEATS,
        "mixed-beats": grouped < _LEAST_SHARE * len(beats.grouped_B),
        "ectopic-beats": grouped < len(beats.grouped_B),
        "noise": float(np.median(beats.residual_L[beats.used_L])) > _LARGEST_NOISE,
        "irregular": float(rr.std() / rr.mean()) > _IRREGULAR,
    }
    return [flag for flag, raised in found.items() if raised]


def _waves(beats: Beats, flags: list[str]) -> dict[str, Wave]:
    """The waves of the representative beat; why one is missing or doubtful goes to `flags`."""
    rr = float(np.median(beats.rr_seconds))
    waves = {"QRS": qrs_wave(beats)}
    t = t_wave(beats, waves["QRS"], rr)
    if t is None:
        flags.append("no-t-wave")
    else:
        waves["T"] = t
        if t.end_spread > _LARGEST_SPREAD["T"]:
            flags.append("t-leads-disagree")
    # Where T is flat, P is looked for behind the longest QT that is normal.
    t_end = t.marks.offset if t is not None else waves["QRS"].marks.onset + _LONGEST_QT * rr**0.5
    t_end_before = t_end - rr
    p = p_wave(beats, waves["QRS"], t_end_before - _P_IN_T / 2)
    if p is None or not _is_p_wave(beats, p):
        flags.append("no-p-wave")
        return waves
    waves["P"] = p
    if p.marks.onset < t_end_before - _P_IN_T:
        flags.append("p-in-t")
    elif max(p.onset_spread, p.end_spread) > _LARGEST_SPREAD["P"]:
        flags.append("p-leads-disagree")
    return waves


def _is_p_wave(beats: Beats, wave: Wave) -> bool:
    """Whether the single beats share the wave, at one distance from the QRS.

    Fibrillation waves cancel in the median of the beats, and what is left of them is not alike in
    the single ones; an irregular rhythm must show its P wave more plainly.
    """
    if wave.amplitude < _LEAST_P_MILLIVOLTS:
        return False
    rr = beats.rr_seconds
    irregular = float(rr.std() / rr.mean()) > _P_IRREGULAR
    least = _LIKENESS_IF_IRREGULAR if irregular else _LEAST_P_LIKENESS
    return p_likeness(beats, wave) >= least


def p_likeness(beats: Beats, wave: Wave) -> float:
    """Median correlation of the single beats with the representative P wave, -1 to 1."""
    leads = [LEADS.index(lead) for lead in wave.leads]
    first = max(CENTRE + round((wave.marks.onset - 0.02) * RATE), 0)
    last = CENTRE + round((wave.marks.offset + 0.02) * RATE)
    median_SW = beats.median_LW[leads, first:last]
    single_GSW = median_SW + beats.deviation_GLW[:, leads, first:last]
    single_GSW = single_GSW[np.isfinite(single_GSW).all(axis=(1, 2))]
    if len(single_GSW) == 0:
        return 0.0
    median_SW = median_SW - median_SW.mean(axis=1, keepdims=True)
    single_GSW = single_GSW - single_GSW.mean(axis=2, keepdims=True)
    products_G = (single_GSW * median_SW).sum(axis=(1, 2))
    sizes_G = np.sqrt((single_GSW**2).sum(axis=(1, 2)) * (median_SW**2).sum())
    return float(np.median(products_G / np.maximum(sizes_G, 1e-12)))


def _intervals(waves: Mapping[str, Wave], flags: list[str]) -> dict[str, float]:
    """Intervals in milliseconds that the waves give and no flag forbids."""
    qrs = waves["QRS"].marks
    found = {"qrs duration": 1000 * (qrs.offset - qrs.onset)}
    if "T" in waves and "t-leads-disagree" not in flags:
        found["qt interval"] = 1000 * (waves["T"].marks.offset - qrs.onset)
    if "P" in waves and not {"p-in-t", "p-leads-disagree"} & set(flags):
        p = waves["P"].marks
        found["p duration"] = 1000 * (p.offset - p.onset)
        found["pr interval"] = 1000 * (qrs.onset - p.onset)
    return found
