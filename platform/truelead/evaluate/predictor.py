"""A trained model as a predictor: each ECG encoded once, each question once behind its ECGs.

Shape suffixes: N ECGs, L leads (12), T samples, P patches, D encoder width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.data.store import ShardStore
from truelead.evaluate.changes import NO_ECG, changed
from truelead.evaluate.predictions import Prediction, Trial
from truelead.model.answering import Answerer
from truelead.model.processing import GroupInput
from truelead.model.reference_ecgs import REFERENCE_FILE, ReferenceEcgs
from truelead.model.reliance import AnswerReliance, RelianceMeter
from truelead.types import Ecg, Question


class ModelPredictor:
    """Answers trials with the model of a folder.

    Closed verify and choose questions are answered by the likeliest option, the others by
    generation (`Answerer.answer_groups`); what the model writes is judged as it stands.

    Args:
        folder: a trained model (`truelead.model.build.save_model`).
        store: where the ECGs are; the encoder features of unchanged ones are kept in memory by
            record id, those of changed ones for the call alone.
        ecgs_per_batch: ECGs that are encoded at once.

    Raises:
        ModelError: the folder holds no whole model.
    """

    def __init__(
        self,
        folder: Path,
        store: ShardStore,
        *,
        ecgs_per_batch: int = 32,
        device: str | torch.device | None = None,
    ) -> None:
        self._answerer = Answerer.from_pretrained(folder, device)
        self._store = store
        self._ecgs_per_batch = ecgs_per_batch
        self._place: dict[str, int] = {}
        self._features_NPD: NDArray[np.float16] | None = None
        self._meter: RelianceMeter | None = None
        if (folder / REFERENCE_FILE).is_file():
            self._meter = RelianceMeter(self._answerer, ReferenceEcgs.load(folder))

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """One prediction for each trial, in the same order."""
        if not trials:
            return []
        rows_of: dict[str, dict[tuple[str, ...], list[int]]] = {}
        for row, trial in enumerate(trials):
            rows_of.setdefault(trial.change, {}).setdefault(trial.shown, []).append(row)
        predictions: dict[int, Prediction] = {}
        for change, groups in rows_of.items():
            questions = {
                shown: tuple(trials[row].question for row in rows) for shown, rows in groups.items()
            }
            order = [row for rows in groups.values() for row in rows]
            found = self._answers(questions, change)
            predictions.update(zip(order, found, strict=True))
        return [predictions[row] for row in range(len(trials))]

    def _answers(
        self, questions: Mapping[tuple[str, ...], tuple[Question, ...]], change: str
    ) -> list[Prediction]:
        """Answers to the questions about each group of shown ECGs, all changed alike."""
        names = sorted({name for shown in questions for name in shown})
        if change == NO_ECG:
            # Never read, but a batch of questions without ECGs takes its shape from one.
            features_NPD, place = self._encode(self._store.ids()[:1], ""), {}
        elif change:
            features_NPD = np.concatenate(
                [self._encode(some, change) for some in self._lots(names)]
            )
            place = {name: row for row, name in enumerate(names)}
        else:
            features_NPD, place = self._encoded(names), self._place
        groups = [
            GroupInput(tuple(place[name] for name in shown), asked, with_answers=False)
            for shown, asked in questions.items()
        ]
        answers = self._answerer.answer_groups(groups, features=features_NPD)
        found: Sequence[AnswerReliance | None] = [None] * len(answers)
        if self._meter is not None and change != NO_ECG:
            found = self._meter.measure(groups, answers, features=features_NPD)
        return [
            Prediction(answer.answers, answer.option_probabilities, one.reliance if one else None)
            for answer, one in zip(answers, found, strict=True)
        ]

    def _lots(self, names: Sequence[str]) -> list[Sequence[str]]:
        size = self._ecgs_per_batch
        return [names[start : start + size] for start in range(0, len(names), size)]

    def _encoded(self, record_ids: Sequence[str]) -> NDArray[np.float16]:
        """features_NPD of all ECGs seen so far; float16, as the training's feature cache has it."""
        new = [name for name in record_ids if name not in self._place]
        blocks = [] if self._features_NPD is None else [self._features_NPD]
        for names in self._lots(new):
            blocks.append(self._encode(names, ""))
            for name in names:
                self._place[name] = len(self._place)
        if len(blocks) > 1 or self._features_NPD is None:
            self._features_NPD = np.concatenate(blocks)
        return self._features_NPD

    @torch.inference_mode()
    def _encode(self, record_ids: Sequence[str], change: str) -> NDArray[np.float16]:
        model, processor = self._answerer.model, self._answerer.processor
        ecg_NLT = np.stack(
            [processor.standardise(ecg) for ecg in changed_ecgs(self._store, record_ids, change)]
        )
        features_NPD = model.encode(torch.from_numpy(ecg_NLT).to(model.device))
        half_NPD: NDArray[np.float16] = features_NPD.float().cpu().numpy().astype(np.float16)
        return half_NPD


def changed_ecgs(store: ShardStore, record_ids: Sequence[str], change: str) -> Iterator[Ecg]:
    """Stored ECGs after a change of `changes.CHANGES` ("" for none), in the order asked for."""
    rate = store.sampling_rate
    for name, signal_LT in zip(record_ids, store.signals(record_ids), strict=True):
        yield Ecg(changed(signal_LT, rate, change, name), rate, record_id=name)
