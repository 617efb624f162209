"""The maths of one replica, apart from Ray: a batch of questions to answers with their reliance.

ECGs are encoded once and their prefixes are read once, by content: a further question about an ECG
costs only itself. Answers and their reliance are read behind the same prefixes.

Shape suffixes: N ECGs in the batch, P patches, D encoder width, L leads (12), T samples.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.errors import ModelError, ServiceError, TrueLeadError
from truelead.model.adapted import adapted_model
from truelead.model.adapter_folder import read_adapter
from truelead.model.answering import Answer, Answerer, as_question, closed_options
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
from truelead.service.adapters import describe_adapter
from truelead.service.description import describe_model
from truelead.service.ecg_reading import EcgReading, key_of, whole_ecg
from truelead.service.exchange import (
    EcgKey,
    Embedded,
    EmbeddingKind,
    Inquiry,
    MissingEcgs,
    NamedEcg,
    Reply,
    Work,
)
from truelead.service.feature_cache import PrefixKey, ecg_key
from truelead.service.stated_reliance import state_reliance
from truelead.service.wire import EcgAttribution, ModelDescription, OccludedWindow
from truelead.types import LEADS, Ecg, Question

CACHE_BYTES = 256 * 2**20
ATTRIBUTION_LOT = 16
"""Occluded ECGs that are read before waiting questions get their turn."""

Engine = Literal["transformers", "vllm"]

Outcome = Reply | MissingEcgs | TrueLeadError
"""Of one question: an answer, ECGs that must be sent first, or the reason why there is none."""

Calibration = tuple[ReferenceEcgs, RelianceThreshold]

_LOGGER = logging.getLogger("truelead.service")


class BatchAnswerer:
    """A model in memory with its reference ECGs, its threshold, and the ECGs it read last.

    Args:
        folder: of the model.
        device: of the model; None for the CPU.
        cache_bytes: of the features that are kept.
        prefix_cache_bytes: of the read prefixes that are kept.
        with_reliance: whether answers come with their reliance, where it is calibrated.
        engine: what runs the language model.

    Raises:
        ModelError: the folder holds no whole model.
    """

    def __init__(
        self,
        folder: Path,
        device: str | torch.device | None = None,
        *,
        cache_bytes: int = CACHE_BYTES,
        prefix_cache_bytes: int = CACHE_BYTES,
        with_reliance: bool = True,
        engine: Engine = "transformers",
    ) -> None:
        answerer = _answerer(folder, device, engine)
        calibration = load_calibration(folder) if with_reliance else None
        description = describe_model(folder, answerer, calibration and calibration[1])
        # The model, its prompt writer and the meter remember things; one thread at a time.
        self._begin(answerer, calibration, description, cache_bytes, prefix_cache_bytes, Lock())

    def _begin(
        self,
        answerer: Answerer,
        calibration: Calibration | None,
        description: ModelDescription,
        cache_bytes: int,
        prefix_cache_bytes: int,
        lock: Lock,
    ) -> None:
        self.answerer, self.description, self._lock = answerer, description, lock
        self.threshold: RelianceThreshold | None = None
        self.meter: RelianceMeter | None = None
        if calibration is not None:
            references, self.threshold = calibration
            self.meter = RelianceMeter(answerer, references)
        self.reading = EcgReading(answerer, cache_bytes, prefix_cache_bytes)

    def adapted(
        self,
        name: str,
        folder: Path,
        *,
        cache_bytes: int = CACHE_BYTES,
        prefix_cache_bytes: int = CACHE_BYTES,
        with_reliance: bool = True,
    ) -> BatchAnswerer:
        """Another model, this one with an adapter; only one of them computes at a time.

        Args:
            name: that the service knows it by.
            folder: of the adapter.
            cache_bytes, prefix_cache_bytes, with_reliance: as of this model, but its own.

        Raises:
            ModelError: the folder holds no whole adapter of this model.
        """
        adapter = read_adapter(folder, self.description.digest)
        calibration = load_calibration(folder, adapter.manifest.model) if with_reliance else None
        # Building sets what is the whole process's, such as the kind of new tensors.
        with self._lock:
            answerer = Answerer(*adapted_model(self.answerer.model, adapter))
        own, base = answerer.processor.feature_extractor, self.description
        if (own.sampling_rate, own.seconds) != (base.sampling_rate, base.seconds):
            raise ModelError(f"{folder}: expected ECGs at the rate and length of the base's")
        found = describe_adapter(name, adapter.manifest, base, calibration and calibration[1])
        made = BatchAnswerer.__new__(BatchAnswerer)
        made._begin(answerer, calibration, found, cache_bytes, prefix_cache_bytes, self._lock)
        return made

    def warm_up(self) -> None:
        """Run the first forward pass, which is slow and should be no caller's."""
        extractor = self.answerer.processor.feature_extractor
        flat = Ecg(np.zeros((len(LEADS), extractor.samples), np.float32), extractor.sampling_rate)
        self.answer_all([Inquiry((flat,), "warm-up", ("yes", "no")), Inquiry((flat,), "warm-up")])
        self.reading.clear()

    def tokens_of(self, inquiry: Inquiry) -> int:
        """Tokens that the language model reads for a question: its words, options, and an ECG.

        An ECG counts whether or not its prefix is kept, as what is kept may be dropped.
        """
        prompts = self.answerer.processor.prompts
        question, count = as_question(inquiry.question, inquiry.options), len(inquiry.ecgs)
        with self._lock:
            row = len(prompts.parts(count).prefix) + len(prompts.row(question, count, False).ids)
            return row + sum(len(prompts.answer(option)) for option in closed_options(question))

    def learn(self, keys: Sequence[EcgKey], features_NPD: NDArray[np.float32]) -> None:
        """Keep the features of ECGs that a separate encoder has encoded."""
        with self._lock:
            self.reading.learn(keys, features_NPD)

    def answer_all(self, inquiries: Sequence[Inquiry]) -> list[Outcome]:
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
        standardised = [extractor.standardise(whole_ecg(ecg)) for ecg in inquiry.ecgs]
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
            keys = [ecg_key(ecg) for ecg in ecgs]
            wanted = dict(zip(keys, ecgs, strict=True))
            features_NPD, _ = self.reading.features(wanted)
            places = [list(wanted).index(key) for key in keys]
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

    def _answer(self, inquiries: Sequence[Inquiry]) -> list[Outcome]:
        keys = [tuple(map(key_of, one.ecgs)) for one in inquiries]
        ecgs: dict[EcgKey, Ecg | NamedEcg] = {}
        for inquiry in inquiries:
            for ecg in inquiry.ecgs:
                # Of an ECG that came with samples and without, those with them are kept.
                if isinstance(ecg, Ecg) or ecg.ecg is not None or ecg.key not in ecgs:
                    ecgs[key_of(ecg)] = ecg
        missing = [self.reading.is_missing(key, ecgs) for key in keys]
        if any(missing):
            extractor = self.answerer.processor.feature_extractor
            wanted = MissingEcgs(float(extractor.sampling_rate), float(extractor.seconds))
            answerable = [one for one, absent in zip(inquiries, missing, strict=True) if not absent]
            found = iter(self._answer(answerable) if answerable else ())
            return [wanted if absent else next(found) for absent in missing]
        place = {
            key: at for at, key in enumerate(dict.fromkeys(one for key in keys for one in key))
        }
        members: dict[PrefixKey, list[int]] = {}
        for number, key in enumerate(keys):
            members.setdefault(key, []).append(number)
        questions = [as_question(one.question, one.options) for one in inquiries]
        groups = [
            GroupInput(
                tuple(place[one] for one in key),
                tuple(questions[number] for number in numbers),
                with_answers=False,
            )
            for key, numbers in members.items()
        ]
        shown = {group.ecgs: key for group, key in zip(groups, members, strict=True)}
        known = {key: key in self.reading.prefixes for key in members}
        behind, encoded = self.reading.behind(shown, ecgs)
        answers = self.answerer.answer_groups(groups, **behind)
        measured: Sequence[AnswerReliance | None] = [None] * len(answers)
        if self.meter is not None:
            measured = self.meter.measure(groups, answers, **behind)
        replies: dict[int, Outcome] = {}
        order = [number for numbers in members.values() for number in numbers]
        for number, answer, rests in zip(order, answers, measured, strict=True):
            inquiry, key = inquiries[number], keys[number]
            # Of questions that share a new ECG, the first one is said to have brought it.
            count = sum(one in encoded for one in key) if number == members[key][0] else 0
            work = replace(
                self._work(inquiry, questions[number], answer),
                encoded_ecgs=count,
                cached_ecgs=len(key) - count,
                prefix_cached=known[key] or number != members[key][0],
            )
            replies[number] = self._reply(inquiry, answer, rests, work)
        return [replies[number] for number in range(len(inquiries))]

    def _reply(
        self, inquiry: Inquiry, answer: Answer, found: AnswerReliance | None, work: Work
    ) -> Outcome:
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


def _answerer(folder: Path, device: str | torch.device | None, engine: Engine) -> Answerer:
    if engine == "vllm":
        from truelead.service.vllm_answerer import VllmAnswerer

        return VllmAnswerer.from_pretrained(folder, device)
    return Answerer.from_pretrained(folder, device)


def load_calibration(folder: Path, model: str | None = None) -> Calibration | None:
    """The reference ECGs and the threshold beside a model; None where it is not calibrated.

    Args:
        model: `model_digest` of the model where the folder does not hold it (an adapter's).

    A calibration that is damaged or another model's is none: the log says so, and answers do.
    """
    if not (folder / REFERENCE_FILE).is_file() and not (folder / RELIANCE_FILE).is_file():
        return None
    try:
        references = ReferenceEcgs.load(folder)
        return references, RelianceThreshold.load(folder, references, model=model)
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
