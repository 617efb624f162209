"""Where in the ECG an answer comes from: by lead and by time.

Occlusion (Zeiler and Fergus, ECCV 2014): a part of the ECG is put out, and the loss in the answer's
score is the part's share. It needs nothing of the model but its answers, so it holds for every
answer rule. Integrated gradients (Sundararajan, Taly and Yan, ICML 2017) are finer and cheaper
where the model reads questions directly; they add up to the score's difference from a flat ECG.

All work on the standardised ECG (`TrueLeadProcessor.standardise`), are deterministic, and say what
the model used, not what a cardiologist would point at.

Shape suffixes: N ECGs, L leads (12), T samples, W windows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truelead.errors import ModelError
from truelead.model.answer_rule import DIRECT
from truelead.model.answering import Answerer, closed_options, is_closed
from truelead.model.processing import GroupInput
from truelead.model.reliance import answer_likelihoods, answer_option
from truelead.model.scoring import read_options
from truelead.types import ANSWER_SEPARATOR, LEADS, Question

Floats = NDArray[np.float32]
Score = Callable[[Floats], NDArray[np.float64]]
"""ecg_NLT, standardised -> the answer's score with each."""

DifferentiableScore = Callable[[Tensor], Tensor]
"""The same in torch, with gradients."""

WINDOW_SECONDS = 0.5
STRIDE_SECONDS = 0.25


@dataclass(frozen=True, eq=False)
class WindowShares:
    """What the score loses when a stretch of time is put out in all leads.

    Attributes:
        start_W, end_W: samples of the standardised ECG, end exclusive; windows overlap.
        share_W: loss of score, in its unit (nats of log-odds); negative where the stretch spoke
            against the answer.
        share_T: at each sample the mean over the windows that hold it.
    """

    start_W: NDArray[np.int64]
    end_W: NDArray[np.int64]
    share_W: NDArray[np.float64]
    share_T: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Attribution:
    """Shares of one answer.

    Attributes:
        score: log-odds (nats) of the answer with the whole ECG; log-likelihood of a free answer.
        lead_L: loss of score with a lead put out, leads in the order of `LEADS`.
        windows: loss of score with a stretch of time put out.
        sampling_rate: Hz of the standardised ECG.
    """

    score: float
    lead_L: NDArray[np.float64]
    windows: WindowShares
    sampling_rate: float


def attribute(
    answerer: Answerer,
    question: Question,
    answers: Sequence[str],
    ecgs: Sequence[Floats],
    *,
    which: int = 0,
    window_seconds: float = WINDOW_SECONDS,
    stride_seconds: float = STRIDE_SECONDS,
) -> Attribution:
    """Occlude one ECG of a question by leads and by time.

    Args:
        answers: whose score is explained; of a closed question, one of its options.
        ecgs: float32 (12, T), standardised, as many as the question is about.
        which: the ECG that is occluded.

    Raises:
        ModelError: the answers are no option of the closed question.
    """
    rate = float(answerer.processor.feature_extractor.sampling_rate)
    score = answer_score(answerer, question, answers, ecgs, which=which)
    ecg_LT = ecgs[which]
    windows = occlude_windows(
        score, ecg_LT, max(1, round(window_seconds * rate)), max(1, round(stride_seconds * rate))
    )
    whole = float(score(ecg_LT[None])[0])
    return Attribution(whole, occlude_leads(score, ecg_LT), windows, rate)


def answer_score(
    answerer: Answerer,
    question: Question,
    answers: Sequence[str],
    ecgs: Sequence[Floats],
    *,
    which: int = 0,
) -> Score:
    """Log-odds of the answers against the other options (free answers: their log-likelihood).

    Raises:
        ModelError: the answers are no option of the closed question.
    """
    option = _option(question, answers)
    others = [ecg for place, ecg in enumerate(ecgs) if place != which]

    def score(ecg_NLT: Floats) -> NDArray[np.float64]:
        stack = np.stack([*ecg_NLT, *others])
        groups = _groups(question, len(ecg_NLT), len(others), which)
        if not is_closed(question):
            return np.array(
                answer_likelihoods(answerer, groups, [option] * len(groups), ecgs=stack)
            )
        return np.array([log_odds(one, option) for one in answerer.score(groups, ecgs=stack)])

    return score


def differentiable_answer_score(
    answerer: Answerer,
    question: Question,
    answers: Sequence[str],
    ecgs: Sequence[Floats],
    *,
    which: int = 0,
) -> DifferentiableScore:
    """As `answer_score`, through encoder, projector and language model.

    Raises:
        ModelError: also where the model answers by another rule than the options' likelihoods.
    """
    rule = (answerer.model.config.answer_rule or {"rule": DIRECT})["rule"]
    if is_closed(question) and rule != DIRECT:
        raise ModelError(f"answer_rule: expected {DIRECT} for gradients, found {rule}: occlude")
    option = _option(question, answers)
    choices = closed_options(question) if is_closed(question) else (option,)
    write = answerer.processor.prompts.answer
    ids = [write(choice) for choice in choices]
    others = [ecg for place, ecg in enumerate(ecgs) if place != which]

    def score(ecg_NLT: Tensor) -> Tensor:
        count = len(ecg_NLT)
        # Zeros hold the places of the ECGs that carry gradients.
        stack = np.stack([*np.zeros(ecg_NLT.shape, np.float32), *others])
        groups = _groups(question, count, len(others), which)
        batch = answerer.processor.batch(groups, ecgs=stack).to(answerer.model.device)
        assert batch.ecg_NLT is not None
        moved_NLT = ecg_NLT.to(batch.ecg_NLT.device)
        batch = dataclasses.replace(batch, ecg_NLT=torch.cat([moved_NLT, batch.ecg_NLT[count:]]))
        read = read_options(answerer.model, batch, [ids] * count)
        score_NO = read.score_R.reshape(count, len(choices))
        if len(choices) == 1:
            return score_NO[:, 0]
        at = choices.index(option)
        rest = [place for place in range(len(choices)) if place != at]
        return score_NO[:, at] - score_NO[:, rest].logsumexp(dim=1)

    return score


def occlude_leads(score: Score, ecg_LT: Floats) -> NDArray[np.float64]:
    """share_L: loss of score when a lead lies at its median, which is near its isoelectric line."""
    variants_NLT = np.repeat(ecg_LT[None], len(LEADS) + 1, axis=0)
    for lead in range(len(LEADS)):
        variants_NLT[lead + 1, lead] = np.median(ecg_LT[lead])
    score_N = score(variants_NLT)
    return np.asarray(score_N[0] - score_N[1:])


def occlude_windows(score: Score, ecg_LT: Floats, window: int, stride: int) -> WindowShares:
    """Loss of score when the samples of a window are joined by a straight line in every lead.

    Args:
        window, stride: samples. The last window ends with the ECG.
    """
    samples = ecg_LT.shape[1]
    assert 1 <= stride <= window <= samples, "windows that cover the ECG"
    start_W = np.unique(np.append(np.arange(0, samples - window, stride), samples - window))
    end_W = start_W + window
    variants_NLT = np.repeat(ecg_LT[None], len(start_W) + 1, axis=0)
    for number, (start, end) in enumerate(zip(start_W, end_W, strict=True), start=1):
        variants_NLT[number, :, start:end] = _bridged(ecg_LT, int(start), int(end))
    score_N = score(variants_NLT)
    share_W = np.asarray(score_N[0] - score_N[1:])
    sums_T, counts_T = np.zeros(samples), np.zeros(samples)
    for start, end, share in zip(start_W, end_W, share_W, strict=True):
        sums_T[start:end] += share
        counts_T[start:end] += 1
    return WindowShares(start_W, end_W, share_W, sums_T / counts_T)


def integrated_gradients(
    score: DifferentiableScore, ecg_LT: Floats, *, steps: int = 32, batch: int = 32
) -> NDArray[np.float64]:
    """share_LT of every sample in every lead, from a flat ECG (each lead at its median).

    They add up to score(ECG) - score(flat ECG), but for the error of the midpoint rule.

    Args:
        steps: points on the straight way between the two. batch: of them at once.
    """
    whole_LT = torch.from_numpy(np.ascontiguousarray(ecg_LT, np.float32))
    flat_LT = torch.from_numpy(np.median(ecg_LT, axis=1, keepdims=True).astype(np.float32))
    flat_LT = flat_LT.expand_as(whole_LT)
    place_N = (torch.arange(steps, dtype=torch.float32) + 0.5) / steps
    sum_LT = torch.zeros(whole_LT.shape, dtype=torch.float64)
    for some_N in place_N.split(batch):
        way_NLT = flat_LT + some_N[:, None, None] * (whole_LT - flat_LT)
        way_NLT.requires_grad_(True)
        (gradient_NLT,) = torch.autograd.grad(score(way_NLT).sum(), way_NLT)
        sum_LT += gradient_NLT.double().sum(dim=0)
    share_LT: NDArray[np.float64] = ((whole_LT - flat_LT).double() * sum_LT / steps).numpy()
    return share_LT


def log_odds(scores: dict[str, float], option: str) -> float:
    """log of p(option) / p(all others), from the scores of all options."""
    others = [value for name, value in scores.items() if name != option]
    return scores[option] - float(np.logaddexp.reduce(others)) if others else scores[option]


def _option(question: Question, answers: Sequence[str]) -> str:
    if not is_closed(question):
        return ANSWER_SEPARATOR.join(answers)
    option = answer_option(question, answers)
    if option is None:
        raise ModelError(
            f"answers: expected one of {', '.join(closed_options(question))}, found "
            f"{ANSWER_SEPARATOR.join(answers)!r}"
        )
    return option


def _groups(question: Question, variants: int, others: int, which: int) -> list[GroupInput]:
    """The question about each variant of ECG `which`; the other ECGs stand behind the variants."""
    groups = []
    for place in range(variants):
        shown = list(range(variants, variants + others))
        shown.insert(which, place)
        groups.append(GroupInput(tuple(shown), (question,), with_answers=False))
    return groups


def _bridged(ecg_LT: Floats, start: int, end: int) -> Floats:
    """The samples start to end on straight lines between their neighbours; flat at the borders."""
    samples = ecg_LT.shape[1]
    left_L = ecg_LT[:, start - 1] if start > 0 else ecg_LT[:, min(end, samples - 1)]
    right_L = ecg_LT[:, end] if end < samples else left_L
    way_T = (np.arange(end - start, dtype=np.float32) + 1) / (end - start + 1)
    line_LT: Floats = left_L[:, None] + way_T * (right_L - left_L)[:, None]
    return line_LT
