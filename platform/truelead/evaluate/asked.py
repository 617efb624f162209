"""What the judge asks: the setup's test sets, checked against the training and cut to size."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from truelead.debias.setup import Setup
from truelead.errors import DataError
from truelead.evaluate.subset import stratified_subset
from truelead.model.answering import split_answers
from truelead.types import Question, Record

TestSets = Mapping[str, tuple[Question, ...]]


def refuse_known_patients(test_sets: TestSets, records: Mapping[str, Record]) -> None:
    """Stop where the test asks about a patient, or an ECG, that the training has seen.

    Raises:
        DataError: a tested patient is in the train split, or an ECG is not stored.
    """
    trained = {record.patient_id for record in records.values() if record.split == "train"}
    for name, questions in test_sets.items():
        ecg_ids = {ecg_id for question in questions for ecg_id in question.ecg_ids}
        missing = ecg_ids - records.keys()
        if missing:
            raise DataError(
                f"evaluate: {name}: expected stored ECGs, found {len(missing)} that are not"
            )
        known = {records[ecg_id].patient_id for ecg_id in ecg_ids} & trained
        if known:
            raise DataError(
                f"evaluate: {name}: expected no patient of the train split, "
                f"found {len(known)}: evaluate.split must be another split"
            )


def at_most(test_sets: TestSets, maximum: int | None, seed: int) -> dict[str, tuple[Question, ...]]:
    """Each test set cut to about `maximum` questions, each question's answers in proportion.

    The same share of the rows of each question_id and answer is kept, rounded alike for all
    answers of a question_id, so that a balanced set stays balanced. Sets that differ in their
    wordings only keep the same questions.
    """
    if maximum is None:
        return dict(test_sets)
    return {
        name: stratified_subset(questions, maximum, seed) for name, questions in test_sets.items()
    }


def observed_training(setup: Setup, *, epochs: int = 2) -> tuple[Question, ...]:
    """The questions that training asks when nothing is adjusted: what baselines learn from."""
    return tuple(
        question
        for epoch in range(epochs)
        for group in setup.groups("train")
        for question in setup.observed(group, epoch)
    )


def answers_by_labels(
    setup: Setup,
) -> Callable[[Question, tuple[str, ...]], tuple[str, ...] | None]:
    """The labels' answers to a question about other ECGs; None where it cannot be asked."""
    known: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {}

    def true_answers(question: Question, shown: tuple[str, ...]) -> tuple[str, ...] | None:
        if shown not in known:
            known[shown] = {
                cell.question_id: split_answers(cell.answer)
                for cell in (*setup.cells(shown), *setup.zero_shot_cells(shown))
            }
        return known[shown].get(question.question_id)

    return true_answers
