from __future__ import annotations

import math

import pytest
import torch

from truelead.config import EncoderConfig
from truelead.model.encoder import build_encoder, pooled
from truelead.model.encoder.pretraining import (
    OBJECTIVES,
    EncoderPretrainingModel,
    same_reports,
    sigmoid_contrast,
    weighted_binary_cross_entropy,
)
from truelead.model.tokenizer import encode_reports, train_tokenizer


def test_masked_labels_do_not_count() -> None:
    logits = torch.tensor([[2.0, -50.0], [0.0, 3.0]])
    labels = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    mask = torch.tensor([[True, False], [True, True]])
    expected = (math.log1p(math.exp(-2.0)) + math.log(2.0) + math.log1p(math.exp(-3.0))) / 3
    found = weighted_binary_cross_entropy(logits, labels, mask)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(weighted_binary_cross_entropy(logits, labels, torch.zeros(2, 2).bool())) == 0


def test_contrast_against_a_written_out_sum() -> None:
    generator = torch.Generator().manual_seed(1)
    ecg, report = torch.randn(3, 4, generator=generator), torch.randn(3, 4, generator=generator)
    match = torch.eye(3, dtype=torch.bool)
    total = 0.0
    for i in range(3):
        for j in range(3):
            cosine = float(torch.cosine_similarity(ecg[i], report[j], dim=0))
            sign = 1 if i == j else -1
            total += math.log1p(math.exp(-sign * (10 * cosine - 2)))
    found = sigmoid_contrast(ecg, report, match, torch.tensor(10.0), torch.tensor(-2.0))
    assert float(found) == pytest.approx(total / 3, rel=1e-4)


def test_equal_reports_are_positives() -> None:
    tokenizer = train_tokenizer(["sinus rhythm. normal ecg."], 300)
    ids, mask = encode_reports(tokenizer, ["normal ecg.", "sinus rhythm.", "normal ecg.", ""])
    expected = torch.eye(4, dtype=torch.bool)
    expected[0, 2] = expected[2, 0] = True
    assert torch.equal(same_reports(ids, mask), expected)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_of_an_objective(objective: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(options={"width": 16}), 200)
    tokenizer = train_tokenizer(["infarction", "normal"], 300)
    model = EncoderPretrainingModel(encoder, 3, len(tokenizer))
    ids, mask = encode_reports(tokenizer, ["infarction", "normal ecg", "", "x" * 500])
    output = model(
        torch.randn(4, 12, 200),
        torch.randint(0, 2, (4, 3)),
        torch.ones(4, 3, dtype=torch.bool),
        ids,
        mask,
        objective,
    )
    assert output["logits"].shape == (4, 3)
    assert ("label_loss" in output) == ("labels" in objective)
    assert ("contrastive_loss" in output) == ("contrastive" in objective)
    output["loss"].backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert any(name.startswith("encoder.") for name in reached)
    assert ("label_head.weight" in reached) == ("labels" in objective)
    assert ("report_tower.embedding.weight" in reached) == ("contrastive" in objective)


@pytest.mark.slow
def test_contrast_alone_learns_to_match() -> None:
    """ECGs with a slow wave in one lead, and reports that name the lead."""
    torch.manual_seed(0)
    reports = [f"a wave in lead {lead}" for lead in ("one", "two", "three", "four")]
    wave = torch.sin(torch.arange(200) / 12)
    ecg = 0.1 * torch.randn(4, 12, 200)
    for index in range(4):
        ecg[index, index] += wave
    encoder = build_encoder(EncoderConfig(options={"width": 16}), 200)
    tokenizer = train_tokenizer(reports, 300)
    model = EncoderPretrainingModel(encoder, 1, len(tokenizer))
    ids, mask = encode_reports(tokenizer, reports)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        model(ecg, torch.zeros(4, 1), None, ids, mask, "contrastive")["loss"].backward()
        optimizer.step()
    assert model.report_tower is not None
    model.eval()
    with torch.no_grad():
        left = model.ecg_projection(pooled(encoder(ecg)))
        right = model.report_projection(model.report_tower(ids, mask))
    cosine = torch.nn.functional.cosine_similarity(left[:, None], right[None], dim=-1)
    assert cosine.argmax(dim=1).tolist() == [0, 1, 2, 3]
