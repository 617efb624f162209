"""Stored ECGs as encoder features, and answers about them: each ECG encoded once.

Shape suffixes: N ECGs, L leads (12), T samples, P patches, D encoder width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.data.store import ShardStore
from truelead.model.answering import Answer, Answerer
from truelead.model.processing import GroupInput
from truelead.model.reliance import AnswerReliance, RelianceMeter
from truelead.types import Ecg, Question

Features = NDArray[np.float16]


class StoredFeatures:
    """Encoder features of stored ECGs, computed as they are needed and kept.

    Args:
        answerer: whose encoder is used. store: where the ECGs are.
    """

    def __init__(self, answerer: Answerer, store: ShardStore, *, ecgs_per_batch: int = 32) -> None:
        self._answerer = answerer
        self._store = store
        self._ecgs_per_batch = ecgs_per_batch
        self._place: dict[str, int] = {}
        self._features_NPD: Features | None = None

    def places(self, record_ids: Sequence[str]) -> tuple[int, ...]:
        """Where in `all` each ECG's features are; `load` has to have seen it."""
        return tuple(self._place[name] for name in record_ids)

    @property
    def all(self) -> Features:
        """features_NPD of every ECG seen so far; float16, as the training's cache has it."""
        assert self._features_NPD is not None, "load comes first"
        return self._features_NPD

    def load(self, record_ids: Sequence[str]) -> None:
        """Encode those of the ECGs that were not seen yet."""
        new = [name for name in dict.fromkeys(record_ids) if name not in self._place]
        blocks = [] if self._features_NPD is None else [self._features_NPD]
        for start in range(0, len(new), self._ecgs_per_batch):
            names = new[start : start + self._ecgs_per_batch]
            blocks.append(self._encode(names))
            self._place.update((name, len(self._place)) for name in names)
        if len(blocks) > 1 or self._features_NPD is None:
            self._features_NPD = np.concatenate(blocks)

    @torch.inference_mode()
    def _encode(self, record_ids: Sequence[str]) -> Features:
        model, processor = self._answerer.model, self._answerer.processor
        ecg_NLT = np.stack(
            [
                processor.standardise(Ecg(signal_LT, self._store.sampling_rate, record_id=name))
                for name, signal_LT in zip(record_ids, self._store.signals(record_ids), strict=True)
            ]
        )
        features_NPD = model.encode(torch.from_numpy(ecg_NLT).to(model.device))
        half_NPD: Features = features_NPD.float().cpu().numpy().astype(np.float16)
        return half_NPD


def _grouped(
    stored: StoredFeatures, questions: Sequence[Question], shown: Sequence[tuple[str, ...]]
) -> tuple[list[GroupInput], list[int]]:
    """Groups of questions that share their ECGs, and each question's place in `questions`."""
    rows_of: dict[tuple[str, ...], list[int]] = {}
    for row, ecg_ids in enumerate(shown):
        rows_of.setdefault(ecg_ids, []).append(row)
    groups = [
        GroupInput(
            stored.places(ecg_ids), tuple(questions[row] for row in rows), with_answers=False
        )
        for ecg_ids, rows in rows_of.items()
    ]
    return groups, [row for rows in rows_of.values() for row in rows]


def answered(
    answerer: Answerer,
    stored: StoredFeatures,
    questions: Sequence[Question],
    shown: Sequence[tuple[str, ...]],
) -> list[Answer]:
    """The model's answer to each question with the ECGs shown; `stored` has loaded them."""
    groups, order = _grouped(stored, questions, shown)
    by_row = dict(zip(order, answerer.answer_groups(groups, features=stored.all), strict=True))
    return [by_row[row] for row in range(len(questions))]


def measured(
    meter: RelianceMeter,
    stored: StoredFeatures,
    questions: Sequence[Question],
    answers: Sequence[Answer],
) -> list[AnswerReliance | None]:
    """The answers held against the questions' own ECGs."""
    groups, order = _grouped(stored, questions, [question.ecg_ids for question in questions])
    found = meter.measure(groups, [answers[row] for row in order], features=stored.all)
    by_row = dict(zip(order, found, strict=True))
    return [by_row[row] for row in range(len(questions))]
