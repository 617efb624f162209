"""Heart beats of an ECG and the one beat that represents them, free of ectopic beats and noise.

R peaks: NeuroKit2 (Makowski D. et al., Behavior Research Methods 2021) on the root mean square of
the leads in the band of the QRS, which neither a lead's polarity nor a tall T wave can mislead.
Beats are grouped by the correlation of their QRS complexes; the median of the largest group is the
representative beat, as electrocardiographs measure it.

Shape suffixes: L leads (12), T samples, B beats, G beats of the group, W samples of a beat's
window, Q samples of a QRS window.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal as filters
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from truelead.errors import ConfigError
from truelead.signal.resample import resample
from truelead.types import Ecg

Array = NDArray[np.float64]

RATE = 500
"""Hz at which everything is measured; other rates are brought to it (see `docs/data.md`)."""

BEFORE, AFTER = 0.45, 0.65
"""Seconds of a beat's window before and after its R peak."""

LEAST_SECONDS = 2.0
LARGEST_GAP = 0.2
"""Share of missing samples that a lead may have inside the recording."""

_HIGH_PASS_HERTZ = 0.5
_FLAT_MILLIVOLTS = 0.02
_ALIKE = 0.85
"""Least correlation of the QRS complexes of one group."""

_QRS_SECONDS = 0.10
_SHIFT_SECONDS = 0.016
_SHORTEST_RR = 0.2

_QRS_HERTZ = (5, 25)
"""Band in which the QRS stands above a tall T wave."""

_SMOOTHING_T = np.hanning(25) / np.hanning(25).sum()


@dataclass(frozen=True, eq=False)
class Beats:
    """The beats of an ECG.

    Attributes:
        median_LW: representative beat in mV; NaN in the leads that are not used. Its R peak lies
            at sample `BEFORE * RATE`.
        used_L: leads that were recorded and are not flat.
        r_peaks_B: R peaks of all beats, in samples at `RATE`, rising.
        grouped_B: beats that belong to the representative group.
        residual_L: noise of a single beat in mV: the median distance from the representative beat.
        start_seconds: where the recorded part of the ECG begins; R peaks are counted from there.
        deviation_GLW: beats of the group minus the representative beat, NaN past the record's ends.
    """

    median_LW: Array
    used_L: NDArray[np.bool_]
    r_peaks_B: NDArray[np.int64]
    grouped_B: NDArray[np.bool_]
    residual_L: Array
    start_seconds: float
    deviation_GLW: Array

    @property
    def rr_seconds(self) -> Array:
        """RR intervals in seconds, shape (B - 1,)."""
        return np.diff(self.r_peaks_B) / RATE


def find_beats(ecg: Ecg) -> Beats | str:
    """The beats of an ECG, or why there are none: short, no-leads or no-beats.

    Raises:
        InvalidEcg: the sampling rate is outside what `resample` accepts.
        ConfigError: NeuroKit2 is not installed.
    """
    if ecg.duration_seconds < LEAST_SECONDS:
        return "short"
    prepared = _prepare(resample(ecg, RATE))
    if isinstance(prepared, str):
        return prepared
    signal_LT, used_L, start = prepared
    r_peaks_B = r_peaks(signal_LT[used_L])
    if len(r_peaks_B) < 2:
        return "no-beats"
    windows_BLW = _windows(signal_LT, r_peaks_B)
    grouped_B, shift_B = _largest_group(windows_BLW[:, used_L])
    r_peaks_B = r_peaks_B + shift_B
    windows_GLW = _windows(signal_LT, r_peaks_B[grouped_B])
    with warnings.catch_warnings():
        # Samples that no beat of the group holds stay NaN, and so do unused leads.
        warnings.simplefilter("ignore", RuntimeWarning)
        median_LW = np.nanmedian(windows_GLW, axis=0)
        deviation_GLW = windows_GLW - median_LW
        residual_L = np.nanmedian(np.abs(deviation_GLW), axis=(0, 2)) / 0.6745
    median_LW[~used_L] = np.nan
    return Beats(median_LW, used_L, r_peaks_B, grouped_B, residual_L, start, deviation_GLW)


def require_neurokit() -> Any:
    """The package that finds R peaks; imported late, since it takes a second to load.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # It imports modules that SciPy has deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            import neurokit2
    except ImportError:
        raise ConfigError(
            "delineation: expected the package neurokit2, found none: install truelead[delineation]"
        ) from None
    return neurokit2


def r_peaks(signal_LT: Array) -> NDArray[np.int64]:
    """R peaks of leads at `RATE` without drift, in samples; empty where none is found."""
    neurokit2 = require_neurokit()
    band = filters.butter(2, _QRS_HERTZ, "bandpass", fs=RATE, output="sos")
    band_LT = filters.sosfiltfilt(band, signal_LT, axis=1)
    magnitude_T = np.sqrt(np.mean(band_LT**2, axis=0))
    magnitude_T = np.convolve(magnitude_T, _SMOOTHING_T, mode="same")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _, found = neurokit2.ecg_peaks(magnitude_T, sampling_rate=RATE, method="neurokit")
        except (ValueError, IndexError, ZeroDivisionError):  # its way to say that it found none
            return np.zeros(0, dtype=np.int64)
    peaks = np.unique(np.asarray(found["ECG_R_Peaks"], dtype=np.int64))
    kept: list[int] = []
    for peak in peaks.tolist():
        if kept and peak - kept[-1] < _SHORTEST_RR * RATE:
            if magnitude_T[peak] > magnitude_T[kept[-1]]:
                kept[-1] = peak
        else:
            kept.append(peak)
    return np.array(kept, dtype=np.int64)


def _prepare(ecg: Ecg) -> tuple[Array, NDArray[np.bool_], float] | str:
    """Leads without drift, gaps bridged; which are used; where they begin, in seconds."""
    signal_LT = ecg.signal_LT.astype(np.float64)
    recorded_T = np.flatnonzero(np.isfinite(signal_LT).any(axis=0))
    if recorded_T.size == 0:
        return "no-leads"
    signal_LT = signal_LT[:, recorded_T[0] : recorded_T[-1] + 1]
    if signal_LT.shape[1] < LEAST_SECONDS * RATE:
        return "short"
    valid_LT = np.isfinite(signal_LT)
    used_L = valid_LT.mean(axis=1) >= 1 - LARGEST_GAP
    places_T = np.arange(signal_LT.shape[1])
    signal_LT[~used_L] = 0.0
    for lead in np.flatnonzero(used_L & ~valid_LT.all(axis=1)):
        valid_T = valid_LT[lead]
        signal_LT[lead, ~valid_T] = np.interp(
            places_T[~valid_T], places_T[valid_T], signal_LT[lead, valid_T]
        )
    high_pass = filters.butter(2, _HIGH_PASS_HERTZ, "highpass", fs=RATE, output="sos")
    signal_LT = filters.sosfiltfilt(high_pass, signal_LT, axis=1)
    used_L = used_L & (_beat_height(signal_LT) >= _FLAT_MILLIVOLTS)
    if not used_L.any():
        return "no-leads"
    return signal_LT, used_L, float(recorded_T[0] / RATE)


def _beat_height(signal_LT: Array) -> Array:
    """Median over the recording of the largest peak-to-peak height within 2 s, in mV."""
    size = 2 * RATE
    heights_LT = maximum_filter1d(signal_LT, size, axis=1) - minimum_filter1d(
        signal_LT, size, axis=1
    )
    return np.asarray(np.median(heights_LT[:, :: RATE // 10], axis=1))


def _windows(signal_LT: Array, r_peaks_B: NDArray[np.int64]) -> Array:
    """The window of each beat, shape (B, L, W), NaN where the recording has ended."""
    before, after = round(BEFORE * RATE), round(AFTER * RATE)
    padded_LT = np.pad(signal_LT, ((0, 0), (before, after)), constant_values=np.nan)
    return np.stack([padded_LT[:, peak : peak + before + after] for peak in r_peaks_B])


def _largest_group(windows_BLW: Array) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Beats whose QRS is alike, and by how many samples each beat's R peak is to be moved.

    The seed is the beat that most beats are like; the others are aligned with it.
    """
    centre, half, reach = (round(s * RATE) for s in (BEFORE, _QRS_SECONDS, _SHIFT_SECONDS))
    beats = len(windows_BLW)
    shifts = range(-reach, reach + 1, 2)
    qrs_SBQ = np.stack(
        [
            _unit(windows_BLW[:, :, centre - half + s : centre + half + s].reshape(beats, -1))
            for s in shifts
        ]
    )
    middle_BQ = qrs_SBQ[reach // 2]
    # Likeness at the best of all shifts: beats by seeds.
    best_BB = (qrs_SBQ @ middle_BQ.T).max(axis=0)
    seed = int((best_BB >= _ALIKE).sum(axis=0).argmax())
    likeness_SB = qrs_SBQ @ middle_BQ[seed]
    grouped_B = likeness_SB.max(axis=0) >= _ALIKE
    shift_B = np.where(grouped_B, np.array(shifts)[likeness_SB.argmax(axis=0)], 0)
    return grouped_B, shift_B.astype(np.int64)


def _unit(rows_BQ: Array) -> Array:
    """Rows without mean and of length 1; NaN counts as 0."""
    rows_BQ = np.nan_to_num(rows_BQ)
    rows_BQ = rows_BQ - rows_BQ.mean(axis=1, keepdims=True)
    return rows_BQ / np.maximum(np.linalg.norm(rows_BQ, axis=1, keepdims=True), 1e-9)
