"""Boundaries of QRS, T and P in the representative beat.

QRS: where the spatial velocity (root of the summed squared slopes of all leads) leaves its level
around the complex, so that onset and offset are those of the heart and not of one lead.
P and T: onset and offset where the slope of the smoothed wave falls below a share of its largest
value, after Martinez J. P. et al., IEEE Trans Biomed Eng 51 (2004); the derivative of a Gaussian
stands for their quadratic spline wavelet, which it resembles. Each lead votes, the median decides.

Shape suffixes: L leads (12), W samples of a beat's window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy import signal as filters
from scipy.ndimage import gaussian_filter1d

from truelead.signal.delineation.beats import BEFORE, RATE, Array, Beats
from truelead.types import LEADS


class Marks(NamedTuple):
    """Onset, peak and offset of a wave in seconds after the R peak; NaN where not found."""

    onset: float
    peak: float
    offset: float


@dataclass(frozen=True)
class Wave:
    """A wave of the representative beat.

    Attributes:
        marks: of the heart: the median of the leads' votes (QRS: of all leads together).
        leads: lead -> its own vote; empty for the QRS.
        onset_spread, end_spread: median distance of the leads' onsets and offsets from their
            medians, in seconds.
        amplitude: largest height in a voting lead, in mV.
    """

    marks: Marks
    leads: Mapping[str, Marks] = field(default_factory=dict)
    onset_spread: float = 0.0
    end_spread: float = 0.0
    amplitude: float = 0.0


CENTRE = round(BEFORE * RATE)
_SLOPE_SECONDS = 0.016
_QRS_SHARE = 0.05
_QRS_REACH = (0.12, 0.16)
_QRS_CALM = (0.010, 0.020)
"""A pause in the slopes this long (seconds) ends the QRS, to its left and right."""

_SMOOTHING = {"P": 0.010, "T": 0.014}
"""Standard deviation of the Gaussian in seconds."""

_SHARES = {"P": (0.4, 0.5), "T": (0.4, 0.3)}
"""Onset and offset: share of the flank's largest slope."""

_FLANK = {"P": 0.08, "T": 0.18}
_TAIL = {"P": 0.12, "T": 0.15}
P_LEADS = ("I", "II", "aVR", "aVF", "V4", "V5", "V6")
"""Leads that look along the usual P vector; in the others P is often small or biphasic."""

_P_SIGNS = {"aVR": -1.0}
_LEAST_T = 0.05
_LEAST_P_SHARE = 0.3


def qrs_wave(beats: Beats) -> Wave:
    """The QRS complex; its peak is the R peak at 0 s."""
    median_LW = beats.median_LW[beats.used_L]
    slope_LW = filters.savgol_filter(
        np.nan_to_num(median_LW), round(_SLOPE_SECONDS * RATE) | 1, 2, deriv=1, axis=1
    )
    velocity_W = np.sqrt((slope_LW**2).sum(axis=0))
    left, right = (round(seconds * RATE) for seconds in _QRS_REACH)
    first, last = CENTRE - left, CENTRE + right
    fastest = first + int(velocity_W[first:last].argmax())
    onset = _edge(
        velocity_W[first : fastest + 1][::-1],
        _quiet(velocity_W[CENTRE - round(0.14 * RATE) : CENTRE - round(0.05 * RATE)]),
        round(_QRS_CALM[0] * RATE),
    )
    offset = _edge(
        velocity_W[fastest:last],
        _quiet(velocity_W[CENTRE + round(0.09 * RATE) : CENTRE + round(0.20 * RATE)]),
        round(_QRS_CALM[1] * RATE),
    )
    marks = Marks((fastest - onset - CENTRE) / RATE, 0.0, (fastest + offset - CENTRE) / RATE)
    return Wave(marks, amplitude=float(np.ptp(median_LW[:, first:last], axis=1).max()))


def _quiet(velocity_W: Array) -> float:
    return float(np.quantile(velocity_W, 0.2))


def _edge(velocity_W: Array, quiet: float, calm: int) -> int:
    """How many samples from the first on the velocity stays up, pauses below `calm` included."""
    above_W = velocity_W >= quiet + _QRS_SHARE * (velocity_W[0] - quiet)
    edge = 0
    for place in range(1, len(above_W)):
        if above_W[place]:
            edge = place
        elif place - edge > calm:
            break
    return edge


def t_wave(beats: Beats, qrs: Wave, rr: float) -> Wave | None:
    """The T wave, None where no lead shows one; `rr` is the usual RR interval in seconds."""
    latest = qrs.marks.onset + min(0.55, 0.68 * rr)
    first = CENTRE + round((qrs.marks.offset + 0.05) * RATE)
    last = min(CENTRE + round(latest * RATE), beats.median_LW.shape[1] - 1)
    if last - first < round(0.04 * RATE):
        return None
    smooth_LW = _smooth(beats, "T")
    level_L = smooth_LW[:, CENTRE + round((qrs.marks.onset - 0.01) * RATE)]
    height_LW = np.abs(smooth_LW - level_L[:, None])
    together_W = np.sqrt(np.mean(height_LW[beats.used_L] ** 2, axis=0))
    peak = _most_prominent(together_W, first, last)
    if peak is None:
        return None
    votes = {}
    for lead in np.flatnonzero(beats.used_L).tolist():
        vote = _vote(smooth_LW[lead], peak, "T", round(0.06 * RATE), first, signs=(1.0, -1.0))
        if vote is not None and vote[1] >= max(_LEAST_T, 2 * _noise(beats, lead)):
            votes[LEADS[lead]] = vote
    return _voted(votes)


def p_wave(beats: Beats, qrs: Wave, earliest: float) -> Wave | None:
    """The P wave between `earliest` (seconds, the end of the T wave before) and the QRS.

    None where nothing stands out; that a wave is found does not yet make it a P wave.
    """
    first = max(CENTRE + round(max(earliest, qrs.marks.onset - 0.36) * RATE), 1)
    last = CENTRE + round((qrs.marks.onset - 0.03) * RATE)
    if last - first < round(0.06 * RATE):
        return None
    smooth_LW = _smooth(beats, "P")
    leads = [LEADS.index(name) for name in P_LEADS if beats.used_L[LEADS.index(name)]]
    if not leads:
        return None
    signs = np.array([_P_SIGNS.get(LEADS[lead], 1.0) for lead in leads])
    together_W = (signs[:, None] * smooth_LW[leads]).mean(axis=0)
    peak = _most_prominent(together_W, first, last)
    if peak is None:
        return None
    end = CENTRE + round((qrs.marks.onset + 0.004) * RATE)
    votes = {}
    for lead, sign in zip(leads, signs.tolist(), strict=True):
        vote = _vote(smooth_LW[lead], peak, "P", round(0.03 * RATE), 0, signs=(sign,), end=end)
        if vote is not None and vote[1] >= 2 * _noise(beats, lead):
            votes[LEADS[lead]] = vote
    largest = max((height for _, height in votes.values()), default=0.0)
    return _voted({k: v for k, v in votes.items() if v[1] >= _LEAST_P_SHARE * largest})


def _smooth(beats: Beats, kind: str) -> Array:
    median_LW = np.nan_to_num(beats.median_LW)
    return np.asarray(gaussian_filter1d(median_LW, _SMOOTHING[kind] * RATE, axis=1))


def _noise(beats: Beats, lead: int) -> float:
    """Noise of the representative beat in mV; a median of n has about 1.25 / sqrt(n) of it."""
    count = max(int(beats.grouped_B.sum()), 1)
    return float(1.25 * beats.residual_L[lead] / np.sqrt(count))


def _most_prominent(course_W: Array, first: int, last: int) -> int | None:
    peaks, found = filters.find_peaks(course_W[first:last], prominence=0.0)
    if len(peaks) == 0:
        return None
    return first + int(peaks[found["prominences"].argmax()])


def _vote(
    smooth_W: Array,
    peak: int,
    kind: str,
    reach: int,
    least: int,
    *,
    signs: tuple[float, ...],
    end: int | None = None,
) -> tuple[Marks, float] | None:
    """Boundaries of the wave of one lead near `peak` and its height in mV."""
    flank, tail = round(_FLANK[kind] * RATE), round(_TAIL[kind] * RATE)
    found: list[tuple[float, int, float]] = []  # height, place, sign
    for candidate in signs:
        low = max(peak - reach, 1)
        course_W = candidate * smooth_W
        place = low + int(course_W[low : peak + reach + 1].argmax())
        if low < place < peak + reach:
            around_W = course_W[max(place - flank, 0) : place + flank + 1]
            found.append((float(course_W[place] - np.median(around_W)), place, candidate))
    if not found:
        return None
    _, place, sign = max(found)
    slope_W = np.gradient(sign * smooth_W)
    stop = len(slope_W) if end is None else end
    low = max(place - flank, least, 0)
    if place - low < 3 or min(place + flank, stop) - place < 3:
        return None
    steepest = low + int(slope_W[low:place].argmax())
    shares = _SHARES[kind]
    before_W = slope_W[max(steepest - tail, least, 0) : steepest]
    below = np.flatnonzero(before_W < shares[0] * slope_W[steepest])
    onset = steepest - len(before_W) + int(below[-1]) if below.size else None
    steepest_down = place + int(slope_W[place : min(place + flank, stop)].argmin())
    after_W = -slope_W[steepest_down : min(steepest_down + tail, stop)]
    below = np.flatnonzero(after_W < -shares[1] * slope_W[steepest_down])
    offset = steepest_down + int(below[0]) if below.size else None
    if offset is None or (onset is None and kind == "P"):
        return None
    # A T wave may rise straight out of the ST segment: it has an end, but no onset.
    start = offset if onset is None else onset
    ends = 0.5 * (smooth_W[start] + smooth_W[offset])
    begins = np.nan if onset is None else (onset - CENTRE) / RATE
    marks = Marks(begins, (place - CENTRE) / RATE, (offset - CENTRE) / RATE)
    return marks, float(sign * (smooth_W[place] - ends))


def _voted(votes: Mapping[str, tuple[Marks, float]]) -> Wave | None:
    if not votes:
        return None
    columns = np.array([vote for vote, _ in votes.values()]).T
    (onset, onset_spread), (peak, _), (offset, end_spread) = map(_middle, columns)
    return Wave(
        Marks(onset, peak, offset),
        {lead: vote for lead, (vote, _) in votes.items()},
        onset_spread,
        end_spread,
        max(height for _, height in votes.values()),
    )


def _middle(votes: Array) -> tuple[float, float]:
    """Median and median distance from it of the votes that are not NaN; NaN where all are."""
    votes = votes[np.isfinite(votes)]
    if votes.size == 0:
        return np.nan, 0.0
    middle = float(np.median(votes))
    return middle, float(np.median(np.abs(votes - middle)))
