"""What the encoder learns to tell from an ECG: SCP statements and the annotators' notes.

Noise, extra beats and heart axis are targets beside the statements, so that the features carry
what questions about them need.

Shape suffixes: N ECGs, C targets, S tokens of a report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truelead.errors import DataError
from truelead.questions.notes import (
    AXES,
    EXTRA_BEATS,
    LEAD_NAMES,
    NOISES,
    extra_beats,
    heart_axis,
    noise_leads,
    noise_note,
)
from truelead.types import Record

Label = Callable[[Record], bool | None]

REPORT_VOCABULARY = 2000
REPORT_TOKENS = 48


@dataclass(frozen=True)
class Targets:
    """Labels and reports of records, by row.

    Attributes:
        names: of the C targets; statements are named by their code.
        statements: how many of them, the first ones, are SCP statements.
        row: record_id -> row.
        label_NC: uint8, 1 where the target holds.
        known_NC: bool, False where the record does not say.
        report_ids_NS, report_mask_NS: tokens of the reports.
        vocabulary_size: of the tokens.
    """

    names: tuple[str, ...]
    statements: int
    row: dict[str, int]
    label_NC: NDArray[np.uint8]
    known_NC: NDArray[np.bool_]
    report_ids_NS: NDArray[np.int64]
    report_mask_NS: NDArray[np.bool_]
    vocabulary_size: int

    def weights(self, notes_weight: float) -> NDArray[np.float32]:
        """float32 [C]: 1 for a statement; the notes together `notes_weight` of all statements."""
        notes = len(self.names) - self.statements
        share = notes_weight * self.statements / notes if notes and self.statements else 1.0
        return np.repeat(np.array([1.0, share], np.float32), [self.statements, notes])


def build_targets(records: Sequence[Record], minimum_positives: int) -> Targets:
    """Targets of the train records, those that at least `minimum_positives` of them have.

    A statement holds if the record has it, at any likelihood.

    Raises:
        DataError: no target has enough train records.
    """
    train = [record for record in records if record.split == "train"]
    if not train:
        raise DataError("encoder: expected train ECGs, found none")
    labels = _all_labels(train)
    kept = {
        name: label
        for name, label in labels.items()
        if sum(label(record) is True for record in train) >= minimum_positives
    }
    if not kept:
        raise DataError(
            "encoder: expected a label with at least encoder_training.minimum_positives = "
            f"{minimum_positives} train ECGs, found none among {len(train)}"
        )
    values = [[label(record) for label in kept.values()] for record in train]
    ids_NS, mask_NS, vocabulary_size = _tokenise([record.report for record in train])
    return Targets(
        names=tuple(kept),
        statements=sum(": " not in name for name in kept),
        row={record.record_id: row for row, record in enumerate(train)},
        label_NC=np.array([[value is True for value in row] for row in values], dtype=np.uint8),
        known_NC=np.array([[value is not None for value in row] for row in values]),
        report_ids_NS=ids_NS,
        report_mask_NS=mask_NS,
        vocabulary_size=vocabulary_size,
    )


def _all_labels(train: Sequence[Record]) -> dict[str, Label]:
    """Every target by name, the statements first; the names of the others hold ": "."""
    labels: dict[str, Label] = {}
    for code in sorted({code for record in train for code in record.scp_codes}):
        labels[code] = lambda record, code=code: code in record.scp_codes  # type: ignore[misc]
    for noise in NOISES:
        labels[f"noise: {noise}"] = lambda r, noise=noise: bool(noise_note(r, noise))  # type: ignore[misc]
    for lead in LEAD_NAMES:
        labels[f"noise: any in {lead}"] = lambda r, lead=lead: any(  # type: ignore[misc]
            lead in noise_leads(noise_note(r, noise)) for noise in NOISES
        )
        for noise in NOISES:
            labels[f"noise: {noise} in {lead}"] = lambda r, noise=noise, lead=lead: (  # type: ignore[misc]
                lead in noise_leads(noise_note(r, noise))
            )
    labels["extra beats: any"] = lambda record: bool(extra_beats(record))
    for beat in EXTRA_BEATS:
        labels[f"extra beats: {beat}"] = lambda r, beat=beat: beat in extra_beats(r)  # type: ignore[misc]
    for axis in AXES:
        labels[f"heart axis: {axis}"] = lambda r, axis=axis: (  # type: ignore[misc]
            None if heart_axis(r) is None else heart_axis(r) == axis
        )
    return labels


def _tokenise(reports: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    from truelead.model.tokenizer import encode_reports, train_tokenizer

    tokenizer = train_tokenizer(reports, REPORT_VOCABULARY)
    ids_NS, mask_NS = encode_reports(tokenizer, reports, REPORT_TOKENS)
    return ids_NS.numpy(), mask_NS.numpy(), len(tokenizer)
