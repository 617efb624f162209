"""The shared prefix gives exactly what one sequence a question gives."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from truelead.errors import SpliceError
from truelead.model.batch import IGNORED_LABEL, Batch
from truelead.model.build import prepare_for_training
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.types import Ecg

Built = tuple[Any, TrueLeadProcessor]


def unpacked(
    processor: TrueLeadProcessor, groups: list[GroupInput], ecgs: list[Ecg], side: str = "right"
) -> Any:
    rows = [(question, group) for group in groups for question in group.questions]
    return processor(
        [question.text for question, _ in rows],
        [[ecgs[index] for index in group.ecgs] for _, group in rows],
        [question.answer_text for question, _ in rows],
        padding_side=side,
    )


def loss_of_rows(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none"
    ).sum(dim=1)


@pytest.mark.parametrize("side", ["left", "right"])
def test_loss_equals_unpacked_forward(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg], side: str
) -> None:
    model, processor = built
    with torch.no_grad():
        grouped = model(batch=processor.batch(groups, ecgs=ecgs))
        inputs = unpacked(processor, groups, ecgs, side)
        ordinary = model(**inputs)
    expected_B = loss_of_rows(ordinary.logits, inputs["labels"])
    torch.testing.assert_close(grouped.loss_B, expected_B, rtol=1e-5, atol=1e-5)
    assert torch.equal(grouped.tokens_B, (inputs["labels"] != IGNORED_LABEL).sum(dim=1))
    mean = grouped.loss_B.sum() / grouped.tokens_B.sum()
    torch.testing.assert_close(mean, ordinary.loss, rtol=1e-5, atol=1e-5)


def test_gradients_equal_unpacked_forward(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    model.requires_grad_(True)
    grouped = model(batch=processor.batch(groups, ecgs=ecgs))
    (grouped.loss_B.sum() / grouped.tokens_B.sum()).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model(**unpacked(processor, groups, ecgs)).loss.backward()
    assert any(name.startswith("encoder.") for name in found)
    for name, parameter in model.named_parameters():
        scale = parameter.grad.abs().max()
        difference = (found[name] - parameter.grad).abs().max()
        assert difference <= 1e-4 * scale + 1e-8, name
        assert scale > 0, name


def test_cached_features_equal_signals(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    standardised = np.stack([processor.standardise(ecg) for ecg in ecgs])
    with torch.no_grad():
        features = model.encode(torch.from_numpy(standardised)).numpy()
        losses = [
            model(batch=processor.batch(groups, ecgs=ecgs)).loss_B,
            model(batch=processor.batch(groups, ecgs=standardised)).loss_B,
            model(batch=processor.batch(groups, features=features)).loss_B,
        ]
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=0)
    torch.testing.assert_close(losses[0], losses[2], rtol=1e-5, atol=1e-5)


def pad_more(batch: Batch) -> Batch:
    """The same batch with 3 more columns of rubbish behind both texts."""

    def wider(x: Tensor, value: int) -> Tensor:
        return torch.cat([x, torch.full((len(x), 3), value, dtype=x.dtype)], dim=1)

    return dataclasses.replace(
        batch,
        prefix_ids_GP=wider(batch.prefix_ids_GP, 9),
        prefix_mask_GP=wider(batch.prefix_mask_GP, 0),
        input_ids_BS=wider(batch.input_ids_BS, 9),
        mask_BS=wider(batch.mask_BS, 0),
        labels_BS=wider(batch.labels_BS, IGNORED_LABEL),
    )


def test_padding_does_not_matter(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    model, processor = built
    batch = processor.batch(groups, ecgs=ecgs)
    with torch.no_grad():
        torch.testing.assert_close(
            model(batch=pad_more(batch)).loss_B, model(batch=batch).loss_B, rtol=1e-5, atol=1e-5
        )


def test_order_and_company_do_not_matter(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    with torch.no_grad():
        together = model(batch=processor.batch(groups, ecgs=ecgs)).loss_B
        backwards = model(batch=processor.batch(groups[::-1], ecgs=ecgs)).loss_B
        alone = [model(batch=processor.batch([group], ecgs=ecgs)).loss_B for group in groups]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)
    sizes = [len(group.questions) for group in groups[::-1]]
    reordered = torch.cat(list(backwards.split(sizes))[::-1])
    torch.testing.assert_close(together, reordered, rtol=1e-5, atol=1e-5)


def test_order_of_two_ecgs_matters(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    model, processor = built
    pair = groups[3]
    swapped = dataclasses.replace(pair, ecgs=pair.ecgs[::-1])
    with torch.no_grad():
        one, other = (
            model(batch=processor.batch([group], ecgs=ecgs)).loss_B for group in (pair, swapped)
        )
    assert (one - other).abs().min() > 1e-6


def test_another_ecg_matters(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    model, processor = built
    with torch.no_grad():
        one, other = (
            model(batch=processor.batch([GroupInput((at,), groups[0].questions)], ecgs=ecgs)).loss_B
            for at in (1, 2)
        )
    assert (one - other).abs().min() > 1e-6


def test_missing_leads_give_finite_losses(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    signal = ecgs[0].signal_LT.copy()
    signal[3] = np.nan
    signal[8, 100:] = np.nan
    nothing = np.full_like(signal, np.nan)
    some = [Ecg(signal, 100.0), Ecg(nothing, 100.0)]
    batch = processor.batch([GroupInput((0, 1), groups[1].questions)], ecgs=some)
    with torch.no_grad():
        assert torch.isfinite(model(batch=batch).loss_B).all()


def test_bfloat16(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    model, processor = built
    batch = processor.batch(groups, ecgs=ecgs)
    with torch.no_grad():
        expected = model(batch=batch).loss_B
    model.to(torch.bfloat16).requires_grad_(True)
    found = model(batch=batch)
    assert found.loss_B.dtype == torch.float32
    torch.testing.assert_close(found.loss_B, expected, rtol=0.05, atol=0.2)
    found.loss_B.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_batch_that_disagrees_with_its_text_is_refused(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    batch = processor.batch(groups[:2], ecgs=ecgs)
    index = batch.ecg_index_GE.clone()
    index[1, 1] = -1
    with pytest.raises(SpliceError, match="sequence 1: expected 5 ECG placeholders"):
        model(batch=dataclasses.replace(batch, ecg_index_GE=index))


def test_it_learns(built: Built, question: Any, recipe: Any) -> None:
    """Which ECG answers yes cannot be told from the words: only from its features."""
    model, processor = built
    features = np.random.default_rng(0).normal(0, 1, (8, 63, 16)).astype(np.float32)
    features[1::2, 20:40, :4] += 2
    words = "Is there any sign of infarction?"
    groups = [
        GroupInput((at,), (question(words, ("yes" if at % 2 else "no",)),)) for at in range(8)
    ]
    prepare_for_training(model, recipe().language_model)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=5e-3)
    batch = processor.batch(groups, features=features)
    for _ in range(50):
        optimizer.zero_grad()
        output = model(batch=batch)
        loss = output.loss_B.sum() / output.tokens_B.sum()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
