"""The answering half of a part: one model an actor, each ECG encoded once for all its questions.

What a part holds never depends on which parts an actor answered before it: the reference means of
closed questions are read in one batch that is always the same, those of free answers anew for each
part.

Shape suffixes: N ECGs of a batch, P patches, D encoder width, L leads (12), T samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from truelead import __version__
from truelead.errors import ModelError, TrueLeadError
from truelead.model.answering import Answer, Answerer, as_question
from truelead.model.processing import GroupInput
from truelead.model.reference_ecgs import ReferenceEcgs, model_digest
from truelead.model.reliance import AnswerReliance, RelianceMeter
from truelead.model.reliance_threshold import RELIANCE_FILE, RelianceThreshold
from truelead.predict.jobs import PartJob
from truelead.predict.part_file import NOTICE, write_part
from truelead.predict.part_reading import ReadEcg, ReadPart, part_of
from truelead.predict.questions import AskedQuestion
from truelead.service.stated_reliance import state_reliance


@dataclass(frozen=True)
class AnsweringRules:
    """What is asked of which model; the same for all parts.

    Attributes:
        model: its folder.
        model_digest: of the model that was listed (`truelead.model.reference_ecgs.model_digest`).
        data_digest: of the shards, empty for files.
        questions: that every ECG is asked.
        output: folder of the parts.
        batch_size: ECGs that are encoded and asked about at once.
        device: of the model ("cpu", "cuda").
        threads: that the model computes with on a CPU.
    """

    model: Path
    model_digest: str
    data_digest: str
    questions: tuple[AskedQuestion, ...]
    output: Path
    batch_size: int = 32
    device: str = "cpu"
    threads: int = 1


class PartAnswerer:
    """Ray Data's actor: rows of `part_reading.read_row` in, entries of written parts out.

    Faults are returned, not raised: Ray would wrap them in its own traceback.
    """

    def __init__(self, rules: AnsweringRules) -> None:
        self._rules = rules
        self._fault: TrueLeadError | None = None
        torch.set_num_threads(rules.threads)
        try:
            self._model = PredictingModel(rules)
        except TrueLeadError as error:
            self._fault = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The part's entry as JSON, or the fault that stopped it."""
        if row["fault"]:
            return _fault(row["fault"], of_model=row["of_model"])
        if self._fault is not None:
            return _fault(str(self._fault), of_model=True)
        job = PartJob.model_validate_json(row["job"])
        output = self._rules.output
        try:
            part = part_of(row)
            entry = write_part(job, self._model.rows(part), part.rejected, output)
        except TrueLeadError as error:
            return _fault(str(error), of_model=isinstance(error, ModelError))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return _fault(f"{output / job.name}: expected to write this part: {reason}")
        except torch.OutOfMemoryError:
            return _fault(
                f"{self._rules.device}: expected room for {self._rules.batch_size} ECGs with "
                f"{len(self._rules.questions)} questions, found too little memory: "
                "lower --batch-size"
            )
        return {"entry": entry.model_dump_json(), "fault": "", "of_model": False}


def _fault(text: str, *, of_model: bool = False) -> dict[str, Any]:
    return {"entry": "", "fault": text, "of_model": of_model}


class PredictingModel:
    """A model in memory with its reference ECGs and its threshold, where it has them.

    Raises:
        ModelError: the folder holds no whole model, or another than was listed.
    """

    def __init__(self, rules: AnsweringRules) -> None:
        if (found := model_digest(rules.model)) != rules.model_digest:
            raise ModelError(
                f"{rules.model}: expected the model {rules.model_digest[:12]} that was listed, "
                f"found {found[:12]}"
            )
        self._rules = rules
        self._answerer = Answerer.from_pretrained(rules.model, rules.device)
        self._references: ReferenceEcgs | None = None
        self._threshold: RelianceThreshold | None = None
        if (rules.model / RELIANCE_FILE).is_file():
            self._references = ReferenceEcgs.load(rules.model)
            self._threshold = RelianceThreshold.load(rules.model, self._references)
        asked = [as_question(one.text, one.options) for one in rules.questions]
        self._closed = tuple(question for question in asked if question.options)
        self._free = tuple(question for question in asked if not question.options)
        self._closed_meter = self._new_meter()

    def rows(self, part: ReadPart) -> list[dict[str, Any]]:
        """Rows of `part_file.SCHEMA`: ECG by ECG, its questions in their order.

        Raises:
            ModelError: the model gives likelihoods that are not finite.
        """
        rows: list[dict[str, Any]] = []
        free_meter = self._new_meter()
        for start in range(0, len(part.ecgs), self._rules.batch_size):
            ecgs = part.ecgs[start : start + self._rules.batch_size]
            features_NPD = self._encode(part.standardised_NLT[start : start + len(ecgs)])
            closed = self._answers(self._closed, features_NPD, self._closed_meter)
            free = self._answers(self._free, features_NPD, free_meter)
            for number, ecg in enumerate(ecgs):
                of_closed, of_free = iter(closed[number]), iter(free[number])
                for question in self._rules.questions:
                    answer, found = next(of_closed if question.options else of_free)
                    rows.append(self._row(ecg, question, answer, found))
        return rows

    def _new_meter(self) -> RelianceMeter | None:
        if self._references is None:
            return None
        return RelianceMeter(self._answerer, self._references)

    @torch.inference_mode()
    def _encode(self, standardised_NLT: NDArray[np.float32]) -> NDArray[np.float32]:
        model = self._answerer.model
        ecg_NLT = torch.from_numpy(np.array(standardised_NLT)).to(model.device)
        features_NPD: NDArray[np.float32] = model.encode(ecg_NLT).float().cpu().numpy()
        return features_NPD

    def _answers(
        self,
        questions: tuple[Any, ...],
        features_NPD: NDArray[np.float32],
        meter: RelianceMeter | None,
    ) -> list[list[tuple[Answer, AnswerReliance | None]]]:
        """For each ECG, an answer and its reliance to each question."""
        count, asked = len(features_NPD), len(questions)
        if not questions:
            return [[] for _ in range(count)]
        groups = [GroupInput((place,), questions, with_answers=False) for place in range(count)]
        answers = self._answerer.answer_groups(groups, features=features_NPD)
        found: Sequence[AnswerReliance | None] = [None] * len(answers)
        if meter is not None:
            found = meter.measure(groups, answers, features=features_NPD)
        pairs = list(zip(answers, found, strict=True))
        return [pairs[at * asked : (at + 1) * asked] for at in range(count)]

    def _row(
        self,
        ecg: ReadEcg,
        question: AskedQuestion,
        answer: Answer,
        found: AnswerReliance | None,
    ) -> dict[str, Any]:
        values = [*answer.option_probabilities.values(), *([found.reliance] if found else [])]
        if not all(math.isfinite(value) for value in values):
            raise ModelError(
                f"{self._rules.model}: expected finite likelihoods, found others: it cannot be used"
            )
        stated = state_reliance(found, self._threshold, ecgs=1, free=not question.options)
        return {
            "position": ecg.position,
            "record_id": ecg.record_id,
            "question_name": question.name,
            "question": question.text,
            "options": list(question.options),
            "answer": answer.text,
            "option_probabilities": list(answer.option_probabilities.items()),
            "reliance": stated.nats,
            "reliance_threshold": stated.threshold,
            "rests_on_ecg": stated.rests_on_ecg,
            "reliance_verdict": stated.verdict,
            "notes": ecg.notes,
            "ecg_sha256": ecg.sha256,
            "model_digest": self._rules.model_digest,
            "data_digest": self._rules.data_digest,
            "truelead_version": __version__,
            "notice": NOTICE,
        }
