"""Reliance against its formula, computed the slow way, and reference ECGs on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from truelead.errors import ModelError
from truelead.model.answering import Answer, Answerer, closed_options, is_closed
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.model.reference_ecgs import REFERENCE_FILE, ReferenceEcgs, signal_digest
from truelead.model.reliance import RelianceMeter, answer_option
from truelead.types import Question

Built = tuple[Any, TrueLeadProcessor]


def features_of(built: Built, count: int, seed: int) -> np.ndarray:
    """Features that differ more than an untrained encoder's do, so that answers differ too."""
    encoder = built[0].encoder
    shape = (count, encoder.tokens(encoder.samples), encoder.width)
    return np.random.default_rng(seed).normal(0, 3, shape).astype(np.float16)


@pytest.fixture
def features(built: Built) -> np.ndarray:
    return features_of(built, 6, 3)


@pytest.fixture
def references(built: Built) -> ReferenceEcgs:
    return ReferenceEcgs(features_of(built, 4, 11), ("a", "b", "c", "d"))


def alone(built: Built, question: Question, text: str, features: np.ndarray) -> float:
    """log p of one answer, one question at a time, from the training loss."""
    model, processor = built

    def likelihood(answer: str) -> float:
        asked = dataclasses.replace(question, answers=tuple(answer.split("; ")))
        group = GroupInput(tuple(range(len(features))), (asked,))
        with torch.no_grad():
            return -float(model(batch=processor.batch([group], features=features)).loss_B[0])

    if not is_closed(question):
        return likelihood(text)
    every = [likelihood(option) for option in closed_options(question)]
    return likelihood(text) - float(np.logaddexp.reduce(every))


def rows(groups: list[GroupInput]) -> list[tuple[tuple[int, ...], Question]]:
    return [(group.ecgs, question) for group in groups for question in group.questions]


@pytest.mark.parametrize("row_limit", [256, 3])
def test_reliance_is_its_formula(
    built: Built,
    references: ReferenceEcgs,
    groups: list[GroupInput],
    features: np.ndarray,
    row_limit: int,
) -> None:
    """Closed and free answers about one and two ECGs, whatever the size of the lots."""
    meter = RelianceMeter(Answerer(*built, rows=row_limit), references)
    answers = [
        Answer(text, tuple(text.split("; ")))
        for _, question in rows(groups)
        for text in ["no" if is_closed(question) else "lead I; lead aVR"]
    ]
    found = meter.measure(groups, answers, features=features)
    count = len(references)
    for (shown, question), answer, one in zip(rows(groups), answers, found, strict=True):
        assert one is not None
        own = alone(built, question, answer.text, features[list(shown)])
        others = []
        for first in range(count):
            picked = [(first + step) % count for step in range(len(shown))]
            others.append(alone(built, question, answer.text, references.features_RPD[picked]))
        mean = float(np.log(np.mean(np.exp(others))))
        assert one.own == pytest.approx(own, abs=1e-4)
        assert one.reference == pytest.approx(mean, abs=1e-4)
        assert one.reliance == pytest.approx(own - mean, abs=2e-4)
        assert (one.margin is None) == (not is_closed(question))
    assert np.ptp([one.reliance for one in found if one]) > 0.01, "the ECG has a say here"


def test_what_the_answerer_found_is_used_and_references_are_read_once(
    built: Built,
    references: ReferenceEcgs,
    groups: list[GroupInput],
    features: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answerer = Answerer(*built)
    meter = RelianceMeter(answerer, references)
    closed = [
        dataclasses.replace(group, questions=tuple(q for q in group.questions if is_closed(q)))
        for group in groups
        if any(is_closed(q) for q in group.questions)
    ]
    given = answerer.answer_groups(closed, features=features)
    bare = [dataclasses.replace(answer, option_probabilities={}) for answer in given]
    read = meter.measure(closed, bare, features=features)
    monkeypatch.setattr(
        built[0], "get_output_embeddings", lambda: pytest.fail("the model was read again")
    )
    known = meter.measure(closed, given, features=features)
    for first, second in zip(read, known, strict=True):
        assert first is not None
        assert second is not None
        assert second.reliance == pytest.approx(first.reliance, abs=1e-4)
        assert second.margin == 0.0
        assert not second.contradicted


def test_an_answer_that_the_ecg_would_not_give_is_contradicted(
    built: Built, references: ReferenceEcgs, groups: list[GroupInput], features: np.ndarray
) -> None:
    answerer = Answerer(*built)
    group = GroupInput((2,), groups[0].questions[:1])
    given = answerer.answer_groups([group], features=features)[0]
    worst = min(given.option_probabilities, key=lambda option: given.option_probabilities[option])
    other = dataclasses.replace(given, text=worst, answers=(worst,))
    [found] = RelianceMeter(answerer, references).measure([group], [other], features=features)
    assert found is not None
    expected = np.log(given.option_probabilities[worst] / given.option_probabilities[given.text])
    assert found.margin == pytest.approx(expected, abs=1e-6)
    assert found.contradicted


def test_a_model_that_ignores_the_ecg_has_no_reliance(
    built: Built,
    references: ReferenceEcgs,
    groups: list[GroupInput],
    features: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = built[0]
    heard = model.ecg_tokens
    monkeypatch.setattr(model, "ecg_tokens", lambda **given: 0 * heard(**given))
    answerer = Answerer(*built)
    answers = [Answer("no", ("no",)) for _ in rows(groups)]
    found = RelianceMeter(answerer, references).measure(groups, answers, features=features)
    assert [one.reliance for one in found if one] == pytest.approx([0.0] * len(answers), abs=1e-5)


def test_where_there_is_nothing_to_measure(
    built: Built, references: ReferenceEcgs, groups: list[GroupInput], features: np.ndarray
) -> None:
    closed, free = groups[0].questions[0], groups[0].questions[2]
    asked = [GroupInput((), (closed,)), GroupInput((1,), (closed, free))]
    answers = [Answer("no", ("no",)), Answer("maybe", ("maybe",)), Answer("", ("",))]
    meter = RelianceMeter(Answerer(*built), references)
    assert meter.measure(asked, answers, features=features) == [None] * 3
    assert meter.measure([], []) == []


def test_answers_are_matched_to_options_without_order(groups: list[GroupInput]) -> None:
    question = dataclasses.replace(
        groups[0].questions[0], options=("B", "A", "none"), question_type="single-choose"
    )
    assert answer_option(question, ("B", "A")) == "A; B"
    assert answer_option(question, ("A",)) == "A"
    assert answer_option(question, ("C",)) is None
    assert answer_option(groups[0].questions[2], ("A",)) is None


def test_a_signal_is_named_by_its_own_samples() -> None:
    signal_LT = np.arange(24, dtype=np.float32).reshape(12, 2)
    assert signal_digest(signal_LT) == signal_digest(signal_LT.copy())
    assert signal_digest(signal_LT) != signal_digest(signal_LT + 1e-3)


def test_references_survive_the_disk(references: ReferenceEcgs, tmp_path: Path) -> None:
    """In whatever order an encoder leaves its features in memory."""
    transposed = np.asfortranarray(references.features_RPD)
    references = dataclasses.replace(references, features_RPD=transposed)
    references.save(tmp_path)
    again = ReferenceEcgs.load(tmp_path)
    np.testing.assert_array_equal(again.features_RPD, references.features_RPD)
    assert again.digests == references.digests
    assert again.digest == references.digest


def test_damaged_references_are_named(references: ReferenceEcgs, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected reference ECGs, found none"):
        ReferenceEcgs.load(tmp_path)
    path = references.save(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError, match="found damage"):
        ReferenceEcgs.load(tmp_path)
    save_file({"features": references.features_RPD}, tmp_path / REFERENCE_FILE, metadata={})
    with pytest.raises(ModelError, match="format: expected 1"):
        ReferenceEcgs.load(tmp_path)
    broken = references.features_RPD.copy()
    broken[0, 0, 0] = np.inf
    with pytest.raises(ModelError, match="finite"):
        ReferenceEcgs(broken, references.digests)
    with pytest.raises(ModelError, match="digests: expected 4, found 1"):
        ReferenceEcgs(references.features_RPD, references.digests[:1])
    with pytest.raises(ModelError, match="expected float16"):
        ReferenceEcgs(references.features_RPD[:1], references.digests[:1])
