"""Does attribution point at evidence whose time is known? The pointing game on generated ECGs.

Zhang et al., International Journal of Computer Vision 2018: a hit is a peak of the attribution that
lies in the planted evidence. Here the evidence is the ventricular extra beats of a generated ECG,
whose boundaries the generator knows; what a random place would hit is given beside it.

Shape suffixes: L leads (12), T samples, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truelead.evaluate.bootstrap import Clusters, Interval, interval, paired_difference
from truelead.model.answering import Answerer
from truelead.model.attribution import answer_score, occlude_windows
from truelead.signal.generator import Finding, GeneratedEcg, generate_ecg
from truelead.types import Question

WINDOW_SECONDS = 0.3
STRIDE_SECONDS = 0.1
_MARGIN_SECONDS = 0.05
_BROAD = 1.3
"""An extra beat's QRS is at least this many times as long as the median one's."""


@dataclass(frozen=True)
class PointingGame:
    """How often the peak of occlusion by time lies on planted extra beats.

    Attributes:
        ecgs: generated ECGs with extra beats that the model answered "yes" for, of `shown`.
        hits: share of them in which the most important window touches an extra beat.
        chance: share of all windows that do.
        lead_over_chance: paired difference.
    """

    ecgs: int
    shown: int
    hits: Interval
    chance: Interval
    lead_over_chance: Interval


def extra_beats(made: GeneratedEcg) -> list[tuple[int, int]]:
    """(QRS onset, QRS offset) in samples of the ventricular extra beats: the broad ones."""
    waves = made.boundaries
    whole_B = (waves.qrs_onset >= 0) & (waves.qrs_offset >= 0)
    width_B = np.where(whole_B, waves.qrs_offset - waves.qrs_onset, 0)
    broad_B = width_B > _BROAD * np.median(width_B[whole_B])
    pairs = zip(waves.qrs_onset[broad_B], waves.qrs_offset[broad_B], strict=True)
    return [(int(start), int(end)) for start, end in pairs]


def planted_samples(
    made: GeneratedEcg, margin_seconds: float = _MARGIN_SECONDS
) -> NDArray[np.bool_]:
    """bool (T,): True within an extra beat, and a little to either side."""
    rate, samples = made.ecg.sampling_rate, made.ecg.signal_LT.shape[1]
    margin = round(margin_seconds * rate)
    planted_T = np.zeros(samples, np.bool_)
    for start, end in extra_beats(made):
        planted_T[max(0, start - margin) : end + margin + 1] = True
    return planted_T


def pointing_game(
    answerer: Answerer, question: Question, *, ecgs: int = 40, seed: int = 0
) -> PointingGame | None:
    """Explain "yes" to a question about extra beats on ECGs that have them.

    Args:
        question: closed, with the option "yes", about ventricular extra beats.
        ecgs: how many are generated, from `seed` on.

    Returns:
        None where the model never answers "yes": it has not learned what is to be explained.
    """
    extractor = answerer.processor.feature_extractor
    rate = float(extractor.sampling_rate)
    hits: list[float] = []
    chance: list[float] = []
    for number in range(ecgs):
        made = generate_ecg(
            seed + number,
            {"PVC": Finding()},
            sampling_rate=round(rate),
            seconds=float(extractor.seconds),
        )
        planted_T = planted_samples(made)
        ecg_LT = answerer.processor.standardise(made.ecg)
        score = answer_score(answerer, question, ("yes",), [ecg_LT])
        if not planted_T.any() or score(ecg_LT[None])[0] <= 0:
            continue
        windows = occlude_windows(
            score, ecg_LT, round(WINDOW_SECONDS * rate), round(STRIDE_SECONDS * rate)
        )
        hit_W = np.array(
            [
                planted_T[start:end].any()
                for start, end in zip(windows.start_W, windows.end_W, strict=True)
            ]
        )
        hits.append(float(hit_W[windows.share_W.argmax()]))
        chance.append(float(hit_W.mean()))
    if not hits:
        return None
    clusters = Clusters.of([(number,) for number in range(len(hits))])
    return PointingGame(
        ecgs=len(hits),
        shown=ecgs,
        hits=interval(hits, clusters),
        chance=interval(chance, clusters),
        lead_over_chance=paired_difference(hits, chance, clusters),
    )
