"""Answers with their reliance in one batch; an ECG is encoded once, whoever asks about it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from truelead.errors import TrueLeadError
from truelead.model.answering import Answerer, Ask, as_question
from truelead.model.attribution import attribute
from truelead.model.processing import GroupInput
from truelead.model.reference_ecgs import REFERENCE_FILE, ReferenceEcgs
from truelead.model.reliance import RelianceMeter
from truelead.model.reliance_threshold import RELIANCE_FILE
from truelead.service.batch_answering import (
    ATTRIBUTION_LOT,
    BatchAnswerer,
    load_calibration,
)
from truelead.service.exchange import Inquiry, MissingEcgs, NamedEcg, Reply
from truelead.service.feature_cache import ecg_key
from truelead.service.stated_reliance import (
    NOT_CALIBRATED,
    NOT_DISTINGUISHABLE,
    RESTS,
    RESTS_ON_BOTH,
)
from truelead.types import Ecg

OPTIONS = ("yes", "no", "not sure")
QUESTION = "Is there any sign of infarction?"


@pytest.fixture
def counted(calibrated_folder: Path, monkeypatch: pytest.MonkeyPatch) -> BatchAnswerer:
    """An answerer whose encoder notes how many ECGs each of its calls got, in `encoded`."""
    answerer = BatchAnswerer(calibrated_folder)
    encoder = answerer.answerer.model.encoder
    calls: list[int] = []
    whole = encoder.forward

    def forward(ecg_NLT: torch.Tensor) -> torch.Tensor:
        calls.append(len(ecg_NLT))
        return whole(ecg_NLT)

    monkeypatch.setattr(encoder, "forward", forward)
    monkeypatch.setattr(answerer, "encoded", calls, raising=False)
    return answerer


def replies(found: Sequence[Reply | MissingEcgs | TrueLeadError]) -> list[Reply]:
    assert all(isinstance(one, Reply) for one in found), found
    return [one for one in found if isinstance(one, Reply)]


def test_answers_and_reliance_are_the_models_own(
    counted: BatchAnswerer, calibrated_folder: Path, ecgs: list[Ecg]
) -> None:
    answerer = Answerer.from_pretrained(calibrated_folder)
    meter = RelianceMeter(answerer, ReferenceEcgs.load(calibrated_folder))
    inquiries = [
        Inquiry((ecgs[0],), QUESTION, OPTIONS),
        Inquiry((ecgs[1], ecgs[2]), QUESTION, OPTIONS),
        Inquiry((ecgs[0],), "What changed?"),
        Inquiry((ecgs[2],), QUESTION, OPTIONS),
    ]
    found = replies(counted.answer_all(inquiries))
    # Four questions about three ECGs in one batch: one call of the encoder, three ECGs.
    assert counted.encoded == [3]  # type: ignore[attr-defined]
    for inquiry, reply in zip(inquiries, found, strict=True):
        [expected] = answerer.answer([Ask(inquiry.ecgs, inquiry.question, inquiry.options)])
        assert reply.text == expected.text
        assert reply.option_probabilities == pytest.approx(expected.option_probabilities, abs=1e-5)
        group = GroupInput(
            tuple(range(len(inquiry.ecgs))), (as_question(inquiry.question, inquiry.options),)
        )
        [measured] = meter.measure([group], [expected], ecgs=inquiry.ecgs)
        if measured is None:
            assert reply.reliance.nats is None
        else:
            assert reply.reliance.nats == pytest.approx(measured.reliance, abs=1e-4)


def test_the_verdict_follows_the_threshold(counted: BatchAnswerer, ecgs: list[Ecg]) -> None:
    inquiries = [Inquiry((ecg,), QUESTION, OPTIONS) for ecg in ecgs]
    found = replies(counted.answer_all(inquiries))
    assert {reply.reliance.verdict for reply in found} <= {RESTS, NOT_DISTINGUISHABLE}
    for reply in found:
        stated = reply.reliance
        assert stated.nats is not None
        assert stated.threshold == -0.01
        assert stated.false_alarm_rate == 0.05
        assert stated.rests_on_ecg == (stated.nats >= -0.01 - 1e-6)
        assert (stated.verdict == RESTS) == stated.rests_on_ecg
    # A threshold above every answer flags every answer.
    assert counted.threshold is not None
    object.__setattr__(counted.threshold, "closed", 100.0)
    for reply in replies(counted.answer_all(inquiries)):
        assert reply.reliance.rests_on_ecg is False
        assert reply.reliance.verdict == NOT_DISTINGUISHABLE
    object.__setattr__(counted.threshold, "closed", -100.0)
    [both] = replies(counted.answer_all([Inquiry((ecgs[0], ecgs[1]), QUESTION, OPTIONS)]))
    assert both.reliance.verdict == RESTS_ON_BOTH


def test_a_free_answer_without_a_threshold_is_not_judged(
    counted: BatchAnswerer, ecgs: list[Ecg]
) -> None:
    [reply] = replies(counted.answer_all([Inquiry((ecgs[0],), "What changed?")]))
    if reply.text:
        assert reply.reliance.nats is not None
        assert reply.reliance.verdict == NOT_CALIBRATED
    assert reply.reliance.threshold is None
    assert reply.reliance.false_alarm_rate is None
    assert reply.reliance.rests_on_ecg is None


def test_a_second_question_about_an_ecg_does_not_encode_it_again(
    counted: BatchAnswerer, ecgs: list[Ecg]
) -> None:
    first = replies(counted.answer_all([Inquiry((ecgs[0],), QUESTION, OPTIONS)]))[0]
    again = Ecg(ecgs[0].signal_LT.copy(), ecgs[0].sampling_rate)
    second, third = replies(
        counted.answer_all(
            [Inquiry((again,), QUESTION, OPTIONS), Inquiry((again, ecgs[1]), QUESTION, OPTIONS)]
        )
    )
    counted.embed((ecgs[1], ecgs[0]), "projector")
    assert counted.encoded == [1, 1]  # type: ignore[attr-defined]
    assert (first.work.encoded_ecgs, first.work.cached_ecgs) == (1, 0)
    assert (second.work.encoded_ecgs, second.work.cached_ecgs) == (0, 1)
    assert (third.work.encoded_ecgs, third.work.cached_ecgs) == (1, 1)
    assert second.option_probabilities == pytest.approx(first.option_probabilities, abs=1e-6)


def test_without_room_every_question_encodes(
    counted: BatchAnswerer, ecgs: list[Ecg], calibrated_folder: Path
) -> None:
    small = BatchAnswerer(calibrated_folder, cache_bytes=0, prefix_cache_bytes=0)
    for _ in range(2):
        small.answer_all([Inquiry((ecgs[0],), QUESTION, OPTIONS)])
    assert (small.reading.encoded.hits, small.reading.encoded.misses) == (0, 2)
    assert (small.reading.prefixes.hits, small.reading.prefixes.misses) == (0, 2)
    counted.warm_up()
    assert len(counted.reading.encoded) == len(counted.reading.prefixes) == 0


def test_what_was_read_before_is_asked_for_by_its_key(
    counted: BatchAnswerer, ecgs: list[Ecg]
) -> None:
    inquiry = Inquiry((ecgs[0], ecgs[1]), QUESTION, OPTIONS)
    keys = tuple(NamedEcg(ecg_key(ecg)) for ecg in inquiry.ecgs)
    by_key = replace(inquiry, ecgs=keys)
    known = Inquiry((ecgs[2],), QUESTION, OPTIONS)
    missing, other = counted.answer_all([by_key, known])
    assert missing == MissingEcgs(100.0, 10.0)
    assert isinstance(other, Reply)
    expected, found = replies(counted.answer_all([inquiry, by_key]))
    assert found.option_probabilities == pytest.approx(expected.option_probabilities, abs=1e-6)
    [later] = replies(counted.answer_all([by_key]))
    assert later.work.prefix_cached
    assert later.option_probabilities == pytest.approx(expected.option_probabilities, abs=1e-6)
    # Either ECG alone is another prefix, but its features are at hand.
    [single] = replies(counted.answer_all([replace(inquiry, ecgs=keys[1:])]))
    assert (single.work.prefix_cached, single.work.encoded_ecgs) == (False, 0)
    assert counted.encoded == [1, 2]  # type: ignore[attr-defined]


def test_an_ecg_at_another_rate_than_the_models_is_sent_anew(
    counted: BatchAnswerer, ecgs: list[Ecg]
) -> None:
    sent = NamedEcg(("digest", 500.0), Ecg(ecgs[0].signal_LT, 250.0), fitted=True)
    assert counted.answer_all([Inquiry((sent,), QUESTION)]) == [MissingEcgs(100.0, 10.0)]


def test_attribution_is_the_models_occlusion(
    counted: BatchAnswerer, calibrated_folder: Path, ecgs: list[Ecg]
) -> None:
    answerer = Answerer.from_pretrained(calibrated_folder)
    inquiry = Inquiry((ecgs[0], ecgs[1]), QUESTION, OPTIONS, attribution=True)
    [reply] = replies(counted.answer_all([inquiry]))
    found = counted.attribute(inquiry, reply)
    assert len(found) == 2
    standardised = [answerer.processor.standardise(ecg) for ecg in inquiry.ecgs]
    question = as_question(QUESTION, OPTIONS)
    expected = attribute(answerer, question, reply.answers, standardised, which=1)
    assert list(found[1].leads.values()) == pytest.approx(expected.lead_L.tolist(), abs=1e-5)
    assert [window.share for window in found[1].windows] == pytest.approx(
        expected.windows.share_W.tolist(), abs=1e-5
    )
    assert found[1].windows[0].start_seconds == 0
    assert found[1].windows[-1].end_seconds == 10


def test_questions_come_in_between_the_readings_of_an_attribution(
    counted: BatchAnswerer, ecgs: list[Ecg]
) -> None:
    inquiry = Inquiry((ecgs[0],), QUESTION, OPTIONS, attribution=True)
    [reply] = replies(counted.answer_all([inquiry]))
    calls = counted.encoded  # type: ignore[attr-defined]
    calls.clear()
    counted.attribute(inquiry, reply)
    assert max(calls) <= ATTRIBUTION_LOT
    # 12 leads, 39 windows of half a second, and the whole ECG with each of them and alone.
    assert sum(calls) == 13 + 40 + 1


def test_embeddings_are_means_of_the_models_features(
    counted: BatchAnswerer, ecgs: list[Ecg]
) -> None:
    model, processor = counted.answerer.model, counted.answerer.processor
    ecg_NLT = torch.from_numpy(np.stack([processor.standardise(ecg) for ecg in ecgs[:2]]))
    with torch.inference_mode():
        expected = model.encode(ecg_NLT).mean(dim=1)
        tokens = model.ecg_tokens(ecg_NLT=ecg_NLT).mean(dim=1)
    found = counted.embed((ecgs[1], ecgs[0], ecgs[1]), "encoder").vectors
    assert found[0] == found[2]
    assert np.allclose(found[:2], expected[[1, 0]], atol=1e-5)
    assert np.allclose(counted.embed(tuple(ecgs[:2]), "projector").vectors, tokens, atol=1e-5)


def test_a_calibration_of_another_model_is_none(
    calibrated_folder: Path,
    model_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ecgs: list[Ecg],
) -> None:
    assert load_calibration(model_folder) is None
    folder = tmp_path / "moved"
    shutil.copytree(calibrated_folder, folder)
    tree = json.loads((folder / RELIANCE_FILE).read_text())
    (folder / RELIANCE_FILE).write_text(json.dumps({**tree, "model": "0" * 64}))
    answerer = BatchAnswerer(folder)
    assert "calibrate again" in caplog.text
    [reply] = replies(answerer.answer_all([Inquiry((ecgs[0],), QUESTION, OPTIONS)]))
    assert reply.reliance.verdict == NOT_CALIBRATED
    assert reply.reliance.nats is None
    assert not answerer.description.reliance_calibrated
    (folder / REFERENCE_FILE).unlink()
    assert load_calibration(folder) is None
