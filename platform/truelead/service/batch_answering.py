"""The maths of one replica, apart from Ray: a batch of questions to answers with their reliance.

ECGs are encoded once, by content; answers and their reliance are read from the same features.

Shape suffixes: N ECGs in the batch, P patches, D encoder width, L leads (12), T samples.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.errors import ModelError, ServiceError, TrueLeadError
from truelead.model.answering import Answer, Answerer, as_question
from truelead.model.attribution import (
    STRIDE_SECONDS,
    WINDOW_SECONDS,
    Attribution,
    Floats,
    Score,
    answer_score,
    occlude_leads,
    occlude_windows,
)
from truelead.model.processing import GroupInput
from truelead.model.reference_ecgs import REFERENCE_FILE, ReferenceEcgs
from truelead.model.reliance import AnswerReliance, RelianceMeter
from truelead.model.reliance_threshold import RELIANCE_FILE, RelianceThreshold
from truelead.service.description import describe_model
from truelead.service.exchange import Embedded, EmbeddingKind, Inquiry, Reply, Work
from truelead.service.feature_cache import EcgKey, FeatureCache, ecg_key
from truelead.service.stated_reliance import state_reliance
from truelead.service.wire import EcgAttribution, OccludedWindow
from truelead.types import LEADS, Ecg, Question

CACHE_BYTES = 256 * 2**20
ATTRIBUTION_LOT = 16
"""Occluded ECGs that are read before waiting questions get their turn."""

_LOGGER = logging.getLogger("truelead.service")


class BatchAnswerer:
    """A model in memory with its reference ECGs, its threshold, and the ECGs it read last.

    Args:
        folder: of the model.
        device: of the model; None for the CPU.
        cache_bytes: of the features that are kept.

    Raises:
        ModelError: the folder holds no whole model.
    """

    def __init__(
        self,
        folder: Path,
        device: str | torch.device | None = None,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.answerer = Answerer.from_pretrained(folder, device)
        self.threshold: RelianceThreshold | None = None
        self.meter: RelianceMeter | None = None
        calibration = load_calibration(folder)
        if calibration is not None:
            references, self.threshold = calibration
            self.meter = RelianceMeter(self.answerer, references)
        self.description = describe_model(folder, self.answerer, self.threshold)
        self.cache = FeatureCache(cache_bytes)
        # The model, its prompt writer and the meter remember things; one thread at a time.
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Run the first forward pass, which is slow and should be no caller's."""
        extractor = self.answerer.processor.feature_extractor
        flat = Ecg(np.zeros((len(LEADS), extractor.samples), np.float32), extractor.sampling_rate)
        self.answer_all([Inquiry((flat,), "warm-up", ("yes", "no")), Inquiry((flat,), "warm-up")])
        self.cache.clear()

    def answer_all(self, inquiries: Sequence[Inquiry]) -> list[Reply | TrueLeadError]:
        """An answer, or the reason why there is none, for each question.

        One question that cannot be answered does not spoil the others of its batch.
        """
        try:
            with self._lock:
                return self._answer(inquiries)
        except TrueLeadError as error:
            if len(inquiries) == 1:
                return [error]
        return [found for one in inquiries for found in self.answer_all([one])]

    def attribute(self, inquiry: Inquiry, reply: Reply) -> tuple[EcgAttribution, ...]:
        """Where in each of its ECGs an answer comes from, by occlusion.

        Raises:
            ModelError: the answer is no option of the question.
        """
        question = as_question(inquiry.question, inquiry.options)
        extractor = self.answerer.processor.feature_extractor
        rate = float(extractor.sampling_rate)
        standardised = [extractor.standardise(ecg) for ecg in inquiry.ecgs]
        found = []
        for which, ecg_LT in enumerate(standardised):
            score = self._in_lots(
                answer_score(self.answerer, question, reply.answers, standardised, which=which)
            )
            windows = occlude_windows(
                score, ecg_LT, round(WINDOW_SECONDS * rate), round(STRIDE_SECONDS * rate)
            )
            whole = float(score(ecg_LT[None])[0])
            found.append(
                _wire_attribution(Attribution(whole, occlude_leads(score, ecg_LT), windows, rate))
            )
        return tuple(found)

    def embed(self, ecgs: Sequence[Ecg], kind: EmbeddingKind) -> Embedded:
        """A vector of each ECG: the mean of the encoder's patches or of the projector's tokens."""
        with self._lock, torch.inference_mode():
            features_NPD, places, _ = self._features([ecg_key(ecg) for ecg in ecgs], ecgs)
            values = torch.from_numpy(features_NPD).to(self.answerer.model.device)
            if kind == "projector":
                values = self.answerer.model.ecg_tokens(features_NPD=values)
            means = values.float().mean(dim=1).cpu().tolist()
        return Embedded(tuple(tuple(means[place]) for place in places), self.description)

    def _in_lots(self, score: Score) -> Score:
        """The score a few ECGs at a time, so that batches of questions come in between."""

        def of_lots(ecg_NLT: Floats) -> NDArray[np.float64]:
            lots = []
            for start in range(0, len(ecg_NLT), ATTRIBUTION_LOT):
                with self._lock:
                    lots.append(score(ecg_NLT[start : start + ATTRIBUTION_LOT]))
            return np.concatenate(lots)

        return of_lots

    def _answer(self, inquiries: Sequence[Inquiry]) -> list[Reply | TrueLeadError]:
        ecgs = [ecg for one in inquiries for ecg in one.ecgs]
        features_NPD, places, cached = self._features([ecg_key(ecg) for ecg in ecgs], ecgs)
        members: dict[tuple[int, ...], list[int]] = {}
        encoded_of: list[int] = []
        at = 0
        for number, one in enumerate(inquiries):
            shown = tuple(places[at : at + len(one.ecgs)])
            members.setdefault(shown, []).append(number)
            encoded_of.append(sum(not known for known in cached[at : at + len(one.ecgs)]))
            at += len(one.ecgs)
        questions = [as_question(one.question, one.options) for one in inquiries]
        groups = [
            GroupInput(shown, tuple(questions[number] for number in numbers), with_answers=False)
            for shown, numbers in members.items()
        ]
        answers = self.answerer.answer_groups(groups, features=features_NPD)
        measured: Sequence[AnswerReliance | None] = [None] * len(answers)
        if self.meter is not None:
            measured = self.meter.measure(groups, answers, features=features_NPD)
        replies: dict[int, Reply | TrueLeadError] = {}
        order = [number for numbers in members.values() for number in numbers]
        for number, answer, found in zip(order, answers, measured, strict=True):
            inquiry = inquiries[number]
            work = self._work(inquiry, questions[number], answer)
            count = encoded_of[number]
            replies[number] = self._reply(
                inquiry,
                answer,
                found,
                replace(work, encoded_ecgs=count, cached_ecgs=len(inquiry.ecgs) - count),
            )
        return [replies[number] for number in range(len(inquiries))]

    def _features(
        self, keys: Sequence[EcgKey], ecgs: Sequence[Ecg]
    ) -> tuple[NDArray[np.float32], list[int], list[bool]]:
        """features_NPD, each ECG's place in them, and whether it did not have to be encoded."""
        place: dict[EcgKey, int] = {}
        rows: list[NDArray[np.float32] | None] = []
        missing: list[tuple[EcgKey, Ecg]] = []
        cached: list[bool] = []
        for key, ecg in zip(keys, ecgs, strict=True):
            if key in place:
                cached.append(True)
                continue
            place[key] = len(rows)
            rows.append(self.cache.get(key))
            cached.append(rows[-1] is not None)
            if rows[-1] is None:
                missing.append((key, ecg))
        if missing:
            encoded_NPD = self._encode([ecg for _, ecg in missing])
            for (key, _), features_PD in zip(missing, encoded_NPD, strict=True):
                rows[place[key]] = features_PD
                self.cache.put(key, features_PD.copy())
        stacked: NDArray[np.float32] = np.stack([row for row in rows if row is not None])
        return stacked, [place[key] for key in keys], cached

    @torch.inference_mode()
    def _encode(self, ecgs: Sequence[Ecg]) -> NDArray[np.float32]:
        model = self.answerer.model
        ecg_NLT = np.stack([self.answerer.processor.standardise(ecg) for ecg in ecgs])
        features_NPD = model.encode(torch.from_numpy(ecg_NLT).to(model.device))
        encoded: NDArray[np.float32] = features_NPD.float().cpu().numpy()
        return encoded

    def _reply(
        self, inquiry: Inquiry, answer: Answer, found: AnswerReliance | None, work: Work
    ) -> Reply | TrueLeadError:
        numbers = [*answer.option_probabilities.values()]
        if found is not None:
            numbers.append(found.reliance)
        if not all(map(math.isfinite, numbers)):
            return ServiceError("model: expected finite likelihoods, found others", status=500)
        reliance = state_reliance(
            found, self.threshold, ecgs=len(inquiry.ecgs), free=not inquiry.options
        )
        return Reply(
            answer.text,
            answer.answers,
            answer.option_probabilities,
            self.description,
            reliance,
            work,
        )

    def _work(self, inquiry: Inquiry, question: Question, answer: Answer) -> Work:
        prompts = self.answerer.processor.prompts
        count = len(inquiry.ecgs)
        row = prompts.row(question, count, False)
        written = len(prompts.answer(answer.text))
        return Work(
            prompt_tokens=len(prompts.parts(count).prefix) + len(row.ids),
            answer_tokens=written,
            cut=not inquiry.options and written > self.answerer.maximum_tokens,
        )


def load_calibration(folder: Path) -> tuple[ReferenceEcgs, RelianceThreshold] | None:
    """The reference ECGs and the threshold beside a model; None where it is not calibrated.

    A calibration that is damaged or another model's is none: the log says so, and answers do.
    """
    if not (folder / REFERENCE_FILE).is_file() and not (folder / RELIANCE_FILE).is_file():
        return None
    try:
        references = ReferenceEcgs.load(folder)
        return references, RelianceThreshold.load(folder, references)
    except ModelError as error:
        _LOGGER.warning("answers will be stated as not calibrated: %s", error)
        return None


def _wire_attribution(found: Attribution) -> EcgAttribution:
    windows = found.windows
    return EcgAttribution(
        score=found.score,
        leads={lead: float(share) for lead, share in zip(LEADS, found.lead_L, strict=True)},
        windows=tuple(
            OccludedWindow(
                start_seconds=int(start) / found.sampling_rate,
                end_seconds=int(end) / found.sampling_rate,
                share=float(share),
            )
            for start, end, share in zip(
                windows.start_W, windows.end_W, windows.share_W, strict=True
            )
        ),
    )
