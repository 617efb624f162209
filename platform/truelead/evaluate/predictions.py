"""What was asked, on which ECGs, and what was answered: the rows that every number is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from truelead.errors import DataError
from truelead.evaluate.changes import CHANGES, NO_ECG
from truelead.types import Question


@dataclass(frozen=True)
class Trial:
    """One question put to a model, with the ECGs it is shown.

    Attributes:
        question: the question; its answers are true of `question.ecg_ids`.
        shown: record ids of the ECGs given to the model, as many as the question is about;
            other than `question.ecg_ids` where a suite substitutes them.
        change: what is done to the shown ECGs' signals, a name of `changes.CHANGES`; empty for
            nothing, `changes.NO_ECG` where none is shown at all.
    """

    question: Question
    shown: tuple[str, ...]
    change: str = ""

    def __post_init__(self) -> None:
        assert self.change in ("", NO_ECG) or self.change in CHANGES, self.change
        wanted = 0 if self.change == NO_ECG else len(self.question.ecg_ids)
        assert len(self.shown) == wanted, "as many ECGs as the question has"

    @classmethod
    def of(cls, question: Question) -> Trial:
        """The question with its own ECGs."""
        return cls(question, question.ecg_ids)

    @classmethod
    def of_changed(cls, question: Question, change: str) -> Trial:
        """The question with its own ECGs changed, or with none (`changes.NO_ECG`)."""
        return cls(question, () if change == NO_ECG else question.ecg_ids, change)


@dataclass(frozen=True)
class Prediction:
    """A model's answers to one trial.

    Attributes:
        answers: order-free answers; empty, or holding an empty text, where nothing usable came.
        option_probabilities: option -> probability, empty for generated answers.
        reliance: how much likelier the answer is with the ECG shown than with reference ECGs, in
            nats (`truelead.model.reliance`); None where it was not measured.
    """

    answers: tuple[str, ...]
    option_probabilities: Mapping[str, float] = field(default_factory=dict)
    reliance: float | None = None


class Predictor(Protocol):
    """Anything that answers trials: a trained model, a baseline, or a test's oracle."""

    def predict(self, trials: Sequence[Trial]) -> list[Prediction]:
        """One prediction for each trial, in the same order."""
        ...


@dataclass(frozen=True)
class PredictionRow:
    """One line of predictions.parquet."""

    suite: str
    cell: str
    arm: str
    seed: int
    trial: Trial
    prediction: Prediction
    correct: bool


SCHEMA_VERSION = 2
SCHEMA = pa.schema(
    [
        ("suite", pa.string()),
        ("cell", pa.string()),
        ("arm", pa.string()),
        ("seed", pa.int32()),
        ("question_id", pa.string()),
        ("template_id", pa.int32()),
        ("question_type", pa.string()),
        ("wording_id", pa.string()),
        ("text", pa.string()),
        ("severity", pa.int32()),
        ("ecg_ids", pa.list_(pa.string())),
        ("shown_ecg_ids", pa.list_(pa.string())),
        ("change", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("predicted", pa.list_(pa.string())),
        ("option_probabilities", pa.map_(pa.string(), pa.float32())),
        ("reliance", pa.float32()),
        ("correct", pa.bool_()),
    ],
    metadata={"truelead.predictions": str(SCHEMA_VERSION)},
)
"""Columns of predictions.parquet. `seed` numbers the runs of an arm; `answers` are true of
`ecg_ids`, the model saw `shown_ecg_ids` after `change`."""


class PredictionWriter:
    """Writes predictions.parquet in pieces, so that no run has to be held whole in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._writer = pq.ParquetWriter(self._partial, SCHEMA, compression="zstd")

    def write(self, rows: Iterable[PredictionRow]) -> None:
        """Append rows."""
        table = pa.Table.from_pylist([_flat(row) for row in rows], schema=SCHEMA)
        if table.num_rows:
            self._writer.write_table(table)

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink()


def read_predictions(path: Path) -> pa.Table:
    """predictions.parquet as a table.

    Raises:
        DataError: the file is missing or is of another schema version.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a predictions file, found none")
    table = pq.read_table(path)
    version = (table.schema.metadata or {}).get(b"truelead.predictions", b"none").decode()
    if version != str(SCHEMA_VERSION):
        raise DataError(f"{path}: expected predictions version {SCHEMA_VERSION}, found {version}")
    return table


def _flat(row: PredictionRow) -> dict[str, Any]:
    question = row.trial.question
    return {
        "suite": row.suite,
        "cell": row.cell,
        "arm": row.arm,
        "seed": row.seed,
        "question_id": question.question_id,
        "template_id": question.template_id,
        "question_type": question.question_type,
        "wording_id": question.wording_id,
        "text": question.text,
        "severity": question.severity,
        "ecg_ids": list(question.ecg_ids),
        "shown_ecg_ids": list(row.trial.shown),
        "change": row.trial.change,
        "answers": list(question.answers),
        "predicted": list(row.prediction.answers),
        "option_probabilities": list(row.prediction.option_probabilities.items()),
        "reliance": row.prediction.reliance,
        "correct": row.correct,
    }
