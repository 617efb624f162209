"""ECG-QA's official rows, joined to the records that are here and their splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from truelead.debias.setup.base import Group
from truelead.errors import QuestionError
from truelead.questions.paraphrases import held_out_wordings, template_wordings
from truelead.questions.wordings import USUAL_SPLIT, WordingSplit
from truelead.types import Question, Record

WordingKind = Literal["template", "paraphrased"]
WORDING_KINDS: tuple[WordingKind, ...] = ("template", "paraphrased")

_SPLITS_OF = {"train": ("train", "development"), "valid": ("valid",), "test": ("test",)}
"""Official split -> the splits that its ECGs may have here."""


@dataclass(frozen=True)
class OfficialRows:
    """Official questions whose ECGs are all here, under their record's split.

    Attributes:
        questions: by kind of wording.
        train_rows: group -> its train rows, each as the wordings of one question that training
            asks in.
        trained: the questions of `train_rows` in the order of the files.
        held_out_wordings: wording_id of the paraphrases that training in paraphrased wordings
            only leaves for the test.
        left_out: rows whose ECGs are not all here, or lie in two splits.
    """

    questions: Mapping[WordingKind, tuple[Question, ...]] = field(default_factory=dict)
    train_rows: Mapping[Group, tuple[tuple[Question, ...], ...]] = field(default_factory=dict)
    trained: tuple[Question, ...] = ()
    held_out_wordings: frozenset[str] = frozenset()
    left_out: int = 0


def join_official_rows(
    folder: Path,
    records: Mapping[str, Record],
    strata: Mapping[str, int],
    templates: Collection[int],
    split_wordings: WordingSplit = USUAL_SPLIT,
) -> OfficialRows:
    """Read both wordings and give each question the split and severity of its (second) ECG.

    Args:
        templates: rows of other templates are not read.
        split_wordings: what training asks in.

    Raises:
        QuestionError: a record's split contradicts ECG-QA's own: they must not be combined, or
            tested patients would have been trained on.
        DataError: `folder` is no ECG-QA folder.
    """
    from truelead.data.sources import question_loader

    load_questions = question_loader({record.source for record in records.values()})
    questions: dict[WordingKind, tuple[Question, ...]] = {}
    rows: dict[Group, dict[tuple[str, tuple[str, ...]], list[Question]]] = defaultdict(
        lambda: defaultdict(list)
    )
    left_out = 0
    trained: list[Question] = []
    held_out: frozenset[str] = frozenset()
    template: frozenset[str] = frozenset()
    for kind in WORDING_KINDS:
        kept: list[Question] = []
        for question in load_questions(folder, wording=kind):
            if question.template_id not in templates:
                continue
            splits = {records[name].split for name in question.ecg_ids if name in records}
            if len(splits) != 1 or not all(name in records for name in question.ecg_ids):
                left_out += 1
                continue
            (split,) = splits
            if split not in _SPLITS_OF[question.split]:
                raise QuestionError(
                    f"{folder}: ECG-QA's {question.split} questions: expected ECGs of its own "
                    f"splits (data.split_by: ecg_qa), found an ECG of split {split!r}"
                )
            kept.append(replace(question, split=split, severity=strata[question.ecg_ids[-1]]))
        questions[kind] = tuple(kept)
        if kind == "paraphrased":
            template = template_wordings(kept, questions["template"])
            others = [question for question in kept if question.wording_id not in template]
            held_out = held_out_wordings(others, split_wordings)
        if split_wordings.trained not in ("all", kind):
            continue
        apart = held_out | template if split_wordings.trained == "paraphrased" else frozenset()
        for question in kept:
            if question.split == "train" and question.wording_id not in apart:
                # Wordings of one row share ECGs, question and answers; rows do not share all.
                key = (question.question_id, tuple(sorted(question.answers)))
                rows[question.ecg_ids][key].append(question)
                trained.append(question)
    train_rows = {
        group: tuple(tuple(wordings) for wordings in of_group.values())
        for group, of_group in rows.items()
    }
    return OfficialRows(questions, train_rows, tuple(trained), held_out, left_out)


def official_groups(questions: Sequence[Question], split: str) -> list[Group]:
    """The groups that these questions of a split are about, each once, in their order."""
    return list(dict.fromkeys(q.ecg_ids for q in questions if q.split == split))
