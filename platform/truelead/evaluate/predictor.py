"""A trained model as a predictor: each ECG encoded once, each question once behind its ECGs.

Shape suffixes: N ECGs, L leads (12), T samples, P patches, D encoder width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.data.store import ShardStore
from truelead.evaluate.predictions import Prediction, Trial
from truelead.model.answering import Answerer
from truelead.model.processing import GroupInput
from truelead.types import Ecg


class ModelPredictor:
    """Answers trials with the model of a folder.

    Closed verify and choose questions are answered by the likeliest option, the others by
    generation (`Answerer.answer_groups`); what the model writes is judged as it stands.

    Args:
        folder: a trained model (`truelead.model.build.save_model`).
        store: where the ECGs are; their encoder features are kept in memory by record id.
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

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """One prediction for each trial, in the same order."""
        if not trials:
            return []
        rows_of: dict[tuple[str, ...], list[int]] = {}
        for row, trial in enumerate(trials):
            rows_of.setdefault(trial.shown, []).append(row)
        features_NPD = self._encoded(sorted({name for shown in rows_of for name in shown}))
        groups = [
            GroupInput(
                tuple(self._place[name] for name in shown),
                tuple(trials[row].question for row in rows),
                with_answers=False,
            )
            for shown, rows in rows_of.items()
        ]
        answers = self._answerer.answer_groups(groups, features=features_NPD)
        order = [row for rows in rows_of.values() for row in rows]
        predictions: dict[int, Prediction] = {
            row: Prediction(answer.answers, answer.option_probabilities)
            for row, answer in zip(order, answers, strict=True)
        }
        return [predictions[row] for row in range(len(trials))]

    def _encoded(self, record_ids: Sequence[str]) -> NDArray[np.float16]:
        """features_NPD of all ECGs seen so far; float16, as the training's feature cache has it."""
        new = [name for name in record_ids if name not in self._place]
        blocks = [] if self._features_NPD is None else [self._features_NPD]
        for start in range(0, len(new), self._ecgs_per_batch):
            names = new[start : start + self._ecgs_per_batch]
            blocks.append(self._encode(names))
            for name in names:
                self._place[name] = len(self._place)
        if len(blocks) > 1 or self._features_NPD is None:
            self._features_NPD = np.concatenate(blocks)
        return self._features_NPD

    @torch.inference_mode()
    def _encode(self, record_ids: Sequence[str]) -> NDArray[np.float16]:
        model, processor = self._answerer.model, self._answerer.processor
        ecg_NLT = np.stack(
            [
                processor.standardise(Ecg(signal_LT, self._store.sampling_rate, record_id=name))
                for name, signal_LT in zip(record_ids, self._store.signals(record_ids), strict=True)
            ]
        )
        features_NPD = model.encode(torch.from_numpy(ecg_NLT).to(model.device))
        half_NPD: NDArray[np.float16] = features_NPD.float().cpu().numpy().astype(np.float16)
        return half_NPD
