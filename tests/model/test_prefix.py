"""Questions behind prefixes that were read before are answered as questions with their ECGs are."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MistralConfig

from truelead.errors import SpliceError
from truelead.model.answering import Answer, Answerer
from truelead.model.build import fit_to_strategy, prepare_for_training
from truelead.model.joint import can_read_jointly, read_jointly
from truelead.model.prefix import can_be_kept
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.model.reference_ecgs import ReferenceEcgs
from truelead.model.reliance import RelianceMeter
from truelead.model.scoring import read_options

Built = tuple[Any, TrueLeadProcessor]
TOLERANCE = {"rel": 1e-4, "abs": 1e-5}

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strata, one pass": {"severity_slot": {"kind": "strata", "prior": [0.5, 0.3, 0.2]}},
    "strata, summed": {
        "severity_slot": {"kind": "strata", "prior": [0.5, 0.3, 0.2]},
        "answer_rule": {"rule": "strata-sum"},
    },
    "dictionary": {"severity_slot": {"kind": "dictionary", "prior": [0.6, 0.4]}},
    "counterfactual": {"answer_rule": {"rule": "counterfactual", "constant": 0.3}},
    "adapters": {},
}


def lively(built: Built, name: str, recipe: Any) -> Answerer:
    """A variant of the model whose answers differ from ECG to ECG, as an untrained one's do not."""
    model, processor = built
    fit_to_strategy(model, processor, seed=1, **VARIANTS[name])
    if name == "adapters":
        language_model = recipe().language_model.model_copy(update={"train": "lora"})
        prepare_for_training(model, language_model)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.language_model.parameters():
            if parameter.ndim == 2:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter += 0.2 * noise
    return Answerer(model, processor, maximum_tokens=6)


def features_of(answerer: Answerer) -> np.ndarray:
    encoder = answerer.model.encoder
    shape = (6, encoder.tokens(encoder.samples), encoder.width)
    return np.random.default_rng(3).normal(0, 3, shape).astype(np.float32)


def assert_same(found: list[Answer], expected: list[Answer]) -> None:
    assert [one.text for one in found] == [one.text for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.option_probabilities == pytest.approx(other.option_probabilities, **TOLERANCE)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("jointly", [True, False])
def test_answers_are_the_uncached_ones(
    name: str, jointly: bool, built: Built, groups: list[GroupInput], recipe: Any
) -> None:
    answerer = lively(built, name, recipe)
    if not jointly:
        answerer.__dict__["reads_jointly"] = False
    features = features_of(answerer)
    prefixes = answerer.read_prefixes([*(group.ecgs for group in groups), ()], features)
    expected = answerer.answer_groups(groups, features=features)
    found = answerer.answer_groups(groups, prefixes=prefixes)
    assert_same(found, expected)
    # The test can fail: other ECGs are answered otherwise.
    other = answerer.read_prefixes([*prefixes], features[::-1].copy())
    swapped = answerer.answer_groups(groups, prefixes=other)
    assert any(
        one.option_probabilities[option] != pytest.approx(share, rel=0.01)
        for one, two in zip(swapped, expected, strict=True)
        for option, share in two.option_probabilities.items()
    )


def test_a_prefix_read_alone_is_that_read_among_others(built: Built, recipe: Any) -> None:
    answerer = lively(built, "plain", recipe)
    features = features_of(answerer)
    together = answerer.read_prefixes([(0,), (1, 2), (3,)], features)
    for ecgs, prefix in together.items():
        alone = answerer.read_prefixes([ecgs], features)[ecgs]
        assert alone.tokens == prefix.tokens
        assert alone.nbytes == prefix.nbytes > 4 * 32 * prefix.tokens
        for layer, other in zip(alone.layers, prefix.layers, strict=True):
            torch.testing.assert_close(layer, other, rtol=1e-5, atol=1e-6)


def test_options_of_any_length_are_read_in_one_pass(
    built: Built, groups: list[GroupInput], recipe: Any
) -> None:
    answerer = lively(built, "plain", recipe)
    processor, model = answerer.processor, answerer.model
    features = features_of(answerer)
    asked = [dataclasses.replace(group, with_answers=False) for group in groups]
    prefixes = answerer.read_prefixes([group.ecgs for group in asked], features)
    batch = processor.batch(asked, prefixes=prefixes)
    words = ["yes", "", "not sure; lead aVR; no", "a long one of many words, longer than others"]
    ids = [
        [processor.prompts.answer(word) for word in words[: 1 + row % 4]]
        for row in range(batch.rows)
    ]
    with torch.inference_mode():
        expected = read_options(model, processor.batch(asked, features=features), ids).score_R
    found = [score for row in read_jointly(model, batch, ids).scores for score in row]
    assert found == pytest.approx(expected.tolist(), **TOLERANCE)


def test_the_reliance_is_the_uncached_one(
    built: Built, groups: list[GroupInput], recipe: Any
) -> None:
    answerer = lively(built, "plain", recipe)
    features = features_of(answerer)
    references = ReferenceEcgs(features[::-1].astype(np.float16), tuple("abcdef"))
    prefixes = answerer.read_prefixes([group.ecgs for group in groups], features)
    answers = answerer.answer_groups(groups, features=features)
    found = RelianceMeter(answerer, references).measure(groups, answers, prefixes=prefixes)
    plain = RelianceMeter(answerer, references)
    answerer.__dict__["keeps_prefixes"] = False
    expected = plain.measure(groups, answers, features=features)
    assert any(one is not None for one in expected)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.reliance == pytest.approx(other.reliance, **TOLERANCE)


def test_an_unread_prefix_is_refused(built: Built, groups: list[GroupInput], recipe: Any) -> None:
    answerer = lively(built, "plain", recipe)
    prefixes = answerer.read_prefixes([groups[0].ecgs], features_of(answerer))
    with pytest.raises(SpliceError, match="read prefix"):
        answerer.answer_groups(groups, prefixes=prefixes)


def test_layers_that_forget_are_not_kept(built: Built) -> None:
    model, _ = built
    assert can_be_kept(model)
    assert can_read_jointly(model)
    model.config.text_config = MistralConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, sliding_window=4
    )
    assert not can_be_kept(model)
    assert not can_read_jointly(model)
