"""Attribution finds evidence whose place is known: planted in generated ECGs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from truelead.errors import ModelError
from truelead.evaluate.planted_evidence import extra_beats, planted_samples
from truelead.model.answering import Answerer
from truelead.model.attribution import (
    answer_score,
    attribute,
    differentiable_answer_score,
    integrated_gradients,
    occlude_leads,
    occlude_windows,
)
from truelead.model.feature_extraction import EcgFeatureExtractor
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.signal.generator import Disturbance, Finding, GeneratedEcg, generate_ecg
from truelead.types import LEADS, Ecg, Question

Built = tuple[Any, TrueLeadProcessor]
STANDARDISE = EcgFeatureExtractor().standardise


def scored(module: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    def score(ecg_NLT: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(ecg_NLT)).double().numpy()

    return score


class BeatFinder(nn.Module):
    """One convolution, its largest value over time, and a logistic regression on those."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(len(LEADS), 8, kernel_size=24, stride=2)
        self.head = nn.Linear(8, 1)

    def forward(self, ecg_NLT: Tensor) -> Tensor:
        return self.head(self.convolution(ecg_NLT).relu().amax(dim=2))[:, 0]


@pytest.fixture(scope="module")
def extra_beat_classifier() -> tuple[BeatFinder, list[GeneratedEcg]]:
    """Trained on generated ECGs with and without extra beats; and ECGs it has not seen."""
    train = [
        (generate_ecg(seed, {"PVC": Finding()} if seed % 2 else {}), float(seed % 2))
        for seed in range(158)
    ]
    ecg_NLT = torch.from_numpy(np.stack([STANDARDISE(made.ecg) for made, _ in train]))
    label_N = torch.tensor([label for _, label in train])
    torch.manual_seed(0)
    module = BeatFinder()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01, weight_decay=1e-3)
    for step in range(120):
        lot = slice(step % 4, None, 4)
        logit_N = module(ecg_NLT[lot])
        loss = nn.functional.binary_cross_entropy_with_logits(logit_N, label_N[lot])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen = [generate_ecg(1000 + seed, {"PVC": Finding()}) for seed in range(60)]
    healthy = [generate_ecg(2000 + seed, {}) for seed in range(24)]
    with torch.no_grad():
        positive, negative = (
            module(torch.from_numpy(np.stack([STANDARDISE(made.ecg) for made in some]))).numpy()
            for some in (unseen, healthy)
        )
    assert np.mean(positive[:, None] > negative) > 0.9, "it has to know extra beats first"
    return module, unseen


def test_time_shares_point_at_the_extra_beats(
    extra_beat_classifier: tuple[BeatFinder, list[GeneratedEcg]],
) -> None:
    """The pointing game (Zhang et al., IJCV 2018): the peak lies in a planted beat, or misses."""
    module, unseen = extra_beat_classifier
    hits, chance, gradient_hits, gradient_chance = [], [], [], []
    for made in unseen:
        ecg_LT = STANDARDISE(made.ecg)
        planted_T = planted_samples(made)
        if len(extra_beats(made)) != 1:
            # Of several beats the others still tell when one is put out.
            continue
        windows = occlude_windows(scored(module), ecg_LT, 30, 10)
        hit_W = np.array(
            [planted_T[s:e].any() for s, e in zip(windows.start_W, windows.end_W, strict=True)]
        )
        hits.append(hit_W[windows.share_W.argmax()])
        chance.append(hit_W.mean())
        share_T = integrated_gradients(module, ecg_LT).sum(axis=0)
        smooth_T = np.convolve(share_T, np.ones(15), "same")
        gradient_hits.append(planted_T[smooth_T.argmax()])
        gradient_chance.append(planted_T.mean())
    assert len(hits) >= 15
    assert np.mean(chance) < 0.35
    assert np.mean(hits) > 0.8
    assert np.mean(gradient_chance) < 0.15
    assert np.mean(gradient_hits) > 0.8


@pytest.mark.parametrize("lead", ["V1", "V3", "V6"])
def test_lead_shares_point_at_the_noisy_lead(lead: str) -> None:
    """A score that is the muscle noise of all leads together; the noise is planted in one."""
    made = generate_ecg(7, {}, disturbances=(Disturbance("static_noise", (lead,)),))

    def noise(ecg_NLT: Tensor) -> Tensor:
        rough_NLT = ecg_NLT.diff(dim=2).diff(dim=2)
        # The median of a lead's roughness sees noise, which is everywhere, and no QRS.
        return rough_NLT.abs().median(dim=2).values.sum(dim=1)

    share_L = occlude_leads(scored(noise), STANDARDISE(made.ecg))
    assert LEADS[int(share_L.argmax())] == lead
    assert share_L.max() > 2 * np.sort(share_L)[-2]


def test_lead_and_time_of_a_planted_deflection() -> None:
    """A linear score of known weights: occlusion and gradients are exact there."""
    rng = np.random.default_rng(1)
    weight_LT = np.zeros((12, 1000), np.float32)
    weight_LT[4, 300:340] = 1.0
    ecg_LT = rng.normal(0, 0.01, (12, 1000)).astype(np.float32)
    ecg_LT[4, 300:340] += 2.0
    weights = torch.from_numpy(weight_LT)

    def linear(ecg_NLT: Tensor) -> Tensor:
        return (ecg_NLT * weights).sum(dim=(1, 2))

    share_L = occlude_leads(scored(linear), ecg_LT)
    flat = np.median(ecg_LT[4])
    assert share_L[4] == pytest.approx((ecg_LT[4, 300:340] - flat).sum(), rel=1e-4)
    assert np.abs(np.delete(share_L, 4)).max() < 1e-4
    windows = occlude_windows(scored(linear), ecg_LT, 50, 10)
    peak = windows.share_T.argmax()
    assert 300 <= peak < 340
    outside_W = (windows.end_W <= 300) | (windows.start_W >= 340)
    assert np.abs(windows.share_W[outside_W]).max() < 1e-4
    assert windows.end_W[-1] == 1000
    expected_LT = weight_LT * (ecg_LT - np.median(ecg_LT, axis=1, keepdims=True))
    np.testing.assert_allclose(integrated_gradients(linear, ecg_LT), expected_LT, atol=1e-5)


@pytest.fixture
def asked(groups: list[GroupInput]) -> Question:
    return groups[0].questions[0]


def test_gradients_add_up_through_the_whole_model(
    built: Built, asked: Question, ecgs: list[Ecg]
) -> None:
    """Completeness (Sundararajan et al. 2017, proposition 1), and agreement of both scores."""
    model, processor = built
    answerer = Answerer(model, processor)
    ecg_LT = processor.standardise(ecgs[0])
    smooth = differentiable_answer_score(answerer, asked, ("no",), [ecg_LT])
    flat_LT = np.repeat(np.median(ecg_LT, axis=1, keepdims=True), ecg_LT.shape[1], axis=1)
    both_NLT = np.stack([ecg_LT, flat_LT])
    plain = answer_score(answerer, asked, ("no",), [ecg_LT])(both_NLT)
    with torch.no_grad():
        np.testing.assert_allclose(smooth(torch.from_numpy(both_NLT)).numpy(), plain, atol=1e-4)
    share_LT = integrated_gradients(smooth, ecg_LT, steps=128)
    difference = plain[0] - plain[1]
    assert abs(difference) > 1e-4
    assert share_LT.sum() == pytest.approx(difference, rel=0.05)


def test_each_ecg_of_two_is_explained_by_itself(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    """Batched occlusion equals the model asked one variant at a time, for closed and free."""
    model, processor = built
    answerer = Answerer(model, processor, rows=5)
    stack = [processor.standardise(ecg) for ecg in ecgs[:2]]
    for question, answers in (
        (groups[3].questions[0], ("none",)),
        (dataclasses.replace(groups[0].questions[0]), ("no",)),
    ):
        for which in (0, 1):
            found = attribute(
                answerer, question, answers, stack, which=which, window_seconds=2, stride_seconds=1
            )
            again = attribute(
                answerer, question, answers, stack, which=which, window_seconds=2, stride_seconds=1
            )
            np.testing.assert_array_equal(found.lead_L, again.lead_L)
            np.testing.assert_array_equal(found.windows.share_T, again.windows.share_T)
            assert found.lead_L.shape == (12,)
            assert found.windows.start_W.tolist() == [100 * start for start in range(9)]
            changed = [ecg_LT.copy() for ecg_LT in stack]
            changed[which][8] = np.median(stack[which][8])
            single = answer_score(answerer, question, answers, changed, which=which)
            alone = float(single(changed[which][None])[0])
            assert found.lead_L[8] == pytest.approx(found.score - alone, abs=1e-4)


def test_what_cannot_be_explained_is_named(
    built: Built, asked: Question, ecgs: list[Ecg], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = built
    answerer = Answerer(model, processor)
    ecg_LT = processor.standardise(ecgs[0])
    with pytest.raises(ModelError, match="expected one of yes, no, not sure, found 'maybe'"):
        attribute(answerer, asked, ("maybe",), [ecg_LT])
    rule = {"rule": "counterfactual", "constant": 0.0}
    monkeypatch.setattr(model.config, "answer_rule", rule, raising=False)
    with pytest.raises(ModelError, match="expected direct for gradients"):
        differentiable_answer_score(answerer, asked, ("no",), [ecg_LT])
