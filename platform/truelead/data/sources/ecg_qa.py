"""ECG-QA's files: questions about one or two PTB-XL ECGs, in their official splits.

Layout: Oh J. et al., ECG-QA, NeurIPS 2023 Datasets and Benchmarks, v1.0.2. A folder holds
`template/` and `paraphrased/`, each with `train|valid|test/*.json`; the same sample_id in both is
one question in two wordings. The splits are ECG-QA's own and do not follow PTB-XL's strat_fold.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeGuard

from truelead.errors import DataError, QuestionError
from truelead.types import ANSWER_SEPARATOR, QUESTION_TYPES, Question

SPLITS: tuple[str, ...] = ("train", "valid", "test")
TEMPLATES = 70
_OPTIONS = "answers_for_each_template.csv"


def ecg_qa_folder(folder: Path) -> Path:
    """`folder` itself, or its `ptbxl` or `ecg-qa/ptbxl` below, whichever holds the split lists.

    Raises:
        DataError: none of them does.
    """
    folder = Path(folder)
    for candidate in (folder, folder / "ptbxl", folder / "ecg-qa" / "ptbxl"):
        if (candidate / "train_ecgs.tsv").is_file():
            return candidate
    raise DataError(f"{folder}: expected ECG-QA's folder with train_ecgs.tsv, found none")


def load_split(folder: Path) -> dict[str, str]:
    """record_id -> train, valid or test, from `*_ecgs.tsv`; a list that is absent is empty.

    Raises:
        DataError: no train list, a row is not `index<TAB>ecg_id`, or an ECG stands in two lists.
    """
    folder = ecg_qa_folder(folder)
    split_of: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"{split}_ecgs.tsv"
        if not path.is_file():
            continue
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            cells = text.split("\t")
            if len(cells) != 2 or not all(cell.isascii() and cell.isdigit() for cell in cells):
                raise DataError(f"{path}: line {line}: expected index and ecg_id, tab-separated")
            if split_of.setdefault(cells[1], split) != split:
                raise DataError(
                    f"{path}: line {line}: ecg_id: expected each ECG in one split, "
                    f"found {split_of[cells[1]]} and {split}"
                )
    return split_of


def load_options(folder: Path) -> dict[int, tuple[str, ...]]:
    """template_id -> its possible answers, from answers_for_each_template.csv.

    Raises:
        QuestionError: the file is missing or a row is not a template and its list of answers.
    """
    path = ecg_qa_folder(folder) / _OPTIONS
    if not path.is_file():
        raise QuestionError(f"{path}: expected ECG-QA's table of answers, found none")
    options: dict[int, tuple[str, ...]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            try:
                template_id = int(row.get("template_id") or "")
                classes = ast.literal_eval(row.get("classes") or "")
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                template_id, classes = 0, None
            if not (1 <= template_id <= TEMPLATES and _is_texts(classes)):
                raise QuestionError(f"{path}: line {line}: expected a template 1..70 and a list")
            options[template_id] = tuple(classes)
    return options


def load_questions(
    folder: Path,
    *,
    wording: Literal["template", "paraphrased"],
    splits: Iterable[str] = SPLITS,
) -> list[Question]:
    """ECG-QA's questions of the asked splits, in the order of the files and their rows.

    `Question.options` are the template's possible answers; for a `choose` question the two named
    attributes and "none". `question_id` is "ecg-qa:<official question_id>", `wording_id` is
    "<wording>:<hash of the text>", so it tells the wordings of a question apart, and the same
    words have the same id in every split. A split whose folder is absent has no questions.

    Raises:
        QuestionError: a file is no JSON list of objects, or a field of a row is wrong; the message
            names file, sample_id and field.
        DataError: `folder` is no ECG-QA folder, or holds no questions for these splits.
    """
    folder = ecg_qa_folder(folder)
    options = load_options(folder)
    questions: list[Question] = []
    for split in splits:
        if split not in SPLITS:
            raise QuestionError(f"splits: expected some of {', '.join(SPLITS)}, found {split!r}")
        seen: set[int] = set()
        for path in sorted((folder / wording / split).glob("*.json")):
            for row in _json_rows(path):
                question = _question(path, row, wording, split, options)
                if row["sample_id"] in seen:
                    raise _wrong(path, row, "sample_id", "each sample_id once in a split")
                seen.add(row["sample_id"])
                questions.append(question)
    if not questions:
        raise DataError(f"{folder / wording}: expected *.json for {', '.join(splits)}, found none")
    return questions


def wording_id_of(wording: str, text: str) -> str:
    """The id of an official wording: which folder, and a hash of the words."""
    return f"{wording}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _json_rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise QuestionError(f"{path}: expected JSON text") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise QuestionError(f"{path}: expected a JSON list of objects")
    return rows


def _question(
    path: Path,
    row: dict[str, Any],
    wording: str,
    split: str,
    options: dict[int, tuple[str, ...]],
) -> Question:
    for field in ("sample_id", "template_id", "question_id"):
        if not _is_whole(row.get(field)) or row[field] < 0:
            raise _wrong(path, row, field, "a whole number")
    template_id: int = row["template_id"]
    if not 1 <= template_id <= TEMPLATES:
        raise _wrong(path, row, "template_id", f"1..{TEMPLATES}")
    if template_id not in options:
        raise _wrong(path, row, "template_id", f"a template of {_OPTIONS}")
    question_type = row.get("question_type")
    if question_type not in QUESTION_TYPES:
        raise _wrong(path, row, "question_type", f"one of {', '.join(QUESTION_TYPES)}")
    text = row.get("question")
    if not isinstance(text, str) or not text.strip():
        raise _wrong(path, row, "question", "a text")
    ecg_ids = row.get("ecg_id")
    count = 1 if question_type.startswith("single") else 2
    if (
        not isinstance(ecg_ids, list)
        or len(ecg_ids) != count
        or not all(_is_whole(ecg) and ecg >= 0 for ecg in ecg_ids)
    ):
        raise _wrong(path, row, "ecg_id", f"a list of {count} whole number(s)")
    answers = row.get("answer")
    if not _is_texts(answers) or len(set(answers)) != len(answers):
        raise _wrong(path, row, "answer", "a list of one or more different texts")
    if any(ANSWER_SEPARATOR in answer for answer in answers):
        raise _wrong(path, row, "answer", f"texts without {ANSWER_SEPARATOR!r}")
    closed = options[template_id]
    if question_type == "single-choose":
        attributes = row.get("attribute")
        if not _is_texts(attributes) or len(attributes) < 2:
            raise _wrong(path, row, "attribute", "the two attributes to choose from")
        closed = (*attributes[-2:], "none")
    if not set(answers) <= set(closed):
        raise _wrong(path, row, "answer", f"some of the answers of template {template_id}")
    return Question(
        text=text,
        answers=tuple(answers),
        options=closed,
        ecg_ids=tuple(str(ecg) for ecg in ecg_ids),
        question_type=question_type,
        template_id=template_id,
        question_id=f"ecg-qa:{row['question_id']}",
        wording_id=wording_id_of(wording, text),
        split=split,
    )


def _wrong(path: Path, row: dict[str, Any], field: str, expected: str) -> QuestionError:
    return QuestionError(
        f"{path}: sample_id {row.get('sample_id')!r}: {field}: expected {expected}"
    )


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value)
