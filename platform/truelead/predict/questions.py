"""The questions of a batch prediction: from a YAML, CSV or JSONL file, or given one by one.

questions.yaml:   - text: Does this ECG show atrial fibrillation?
                    options: ["yes", "no"]        # quoted: YAML reads a bare yes as a truth value
                    name: atrial-fibrillation
                  - What is the rhythm?           # a free answer

questions.csv:    text,options,name               # options divided by |
questions.jsonl:  one object a line with the same fields
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator

from truelead.config import Frozen
from truelead.config.strict_yaml import RepeatedKey, read_yaml
from truelead.errors import QuestionError

MAXIMUM_FILE_BYTES = 16 * 2**20
MAXIMUM_QUESTIONS = 10_000
MAXIMUM_QUESTION_CHARACTERS = 1_000
MAXIMUM_OPTIONS = 32
MAXIMUM_OPTION_CHARACTERS = 200
MAXIMUM_NAME_CHARACTERS = 100
OPTION_SEPARATOR = "|"
FIELDS = ("text", "options", "name")

Option = Annotated[str, Field(min_length=1, max_length=MAXIMUM_OPTION_CHARACTERS)]


class AskedQuestion(Frozen):
    """One question that every ECG of the set is asked.

    Attributes:
        text: the words.
        options: the closed set to choose from; empty for a free answer.
        name: what the question is called in the output, unlike the others' names.
    """

    text: str = Field(min_length=1, max_length=MAXIMUM_QUESTION_CHARACTERS)
    options: tuple[Option, ...] = Field(default=(), max_length=MAXIMUM_OPTIONS)
    name: str = Field(default="", max_length=MAXIMUM_NAME_CHARACTERS)

    @field_validator("text", "name", mode="after")
    @classmethod
    def _without_margins(cls, value: str) -> str:
        return value.strip()

    @field_validator("text", mode="after")
    @classmethod
    def _with_words(cls, value: str) -> str:
        if not value:
            raise ValueError("expected words")
        return value

    @field_validator("options", mode="after")
    @classmethod
    def _options_differ(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        stripped = tuple(option.strip() for option in options)
        if options and (len(options) < 2 or len(set(stripped)) != len(options)):
            raise ValueError("expected at least two, each once")
        if not all(stripped):
            raise ValueError("expected words in each")
        return stripped


def read_questions(path: Path) -> tuple[AskedQuestion, ...]:
    """The questions of a file, by its suffix: .yaml, .yml, .csv or .jsonl.

    Raises:
        QuestionError: the file is missing, too large or no such file; a question has a wrong or
            unknown field; a name, or a text with its options, stands twice.
    """
    readers: dict[str, Callable[[Path, str], Iterator[Any]]] = {
        ".yaml": _from_yaml,
        ".yml": _from_yaml,
        ".csv": _from_csv,
        ".jsonl": _from_jsonl,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise QuestionError(f"{path}: suffix: expected one of {', '.join(readers)}")
    if not path.is_file():
        raise QuestionError(f"{path}: expected a question file, found none")
    if path.stat().st_size > MAXIMUM_FILE_BYTES:
        raise QuestionError(f"{path}: size: expected at most {MAXIMUM_FILE_BYTES} bytes")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(f"{path}: expected UTF-8 text: {type(error).__name__}") from None
    return parse_questions(reader(path, text), where=str(path))


def given_questions(texts: Sequence[str], options: Sequence[str]) -> tuple[AskedQuestion, ...]:
    """Questions given as arguments; the options, if any, are those of each of them.

    Raises:
        QuestionError: see `read_questions`.
    """
    return parse_questions(
        ({"text": text, "options": list(options)} for text in texts), where="--question"
    )


def parse_questions(items: Iterator[Any], where: str) -> tuple[AskedQuestion, ...]:
    """Check questions, and name those that have no name by their number: q1, q2 and so on.

    Raises:
        QuestionError: see `read_questions`.
    """
    found: list[AskedQuestion] = []
    asked: dict[tuple[str, tuple[str, ...]], int] = {}
    names: dict[str, int] = {}
    for number, item in enumerate(items, start=1):
        place = f"{where}: question {number}"
        if number > MAXIMUM_QUESTIONS:
            raise QuestionError(f"{where}: expected at most {MAXIMUM_QUESTIONS} questions")
        question = _parse(item, place)
        if not question.name:
            question = question.model_copy(update={"name": f"q{number}"})
        earlier = asked.setdefault((question.text, question.options), number)
        if earlier != number:
            raise QuestionError(f"{place}: expected each question once, found it as {earlier} too")
        earlier = names.setdefault(question.name, number)
        if earlier != number:
            raise QuestionError(
                f"{place}: name: expected each name once, found {question.name!r} "
                f"at question {earlier} too"
            )
        found.append(question)
    if not found:
        raise QuestionError(f"{where}: expected at least one question, found none")
    return tuple(found)


def _parse(item: Any, place: str) -> AskedQuestion:
    if isinstance(item, str):
        item = {"text": item}
    if not isinstance(item, dict):
        raise QuestionError(f"{place}: expected a text, or the fields {', '.join(FIELDS)}")
    given = {key: value for key, value in item.items() if value is not None}
    try:
        return AskedQuestion.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        hint = ""
        if isinstance(first.get("input"), bool):
            hint = ': YAML reads yes, no, on and off as truth values; write "yes"'
        elif first["type"] == "extra_forbidden":
            hint = f": expected {', '.join(FIELDS)}"
        raise QuestionError(f"{place}: {field}: {first['msg']}{hint}") from None


def _from_yaml(path: Path, text: str) -> Iterator[Any]:
    try:
        tree = read_yaml(text)
    except RepeatedKey as error:
        raise QuestionError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise QuestionError(f"{path}: expected YAML: {' '.join(str(error).split())}") from None
    if isinstance(tree, dict) and set(tree) == {"questions"}:
        tree = tree["questions"]
    if not isinstance(tree, list):
        raise QuestionError(f"{path}: expected a list of questions")
    yield from tree


def _from_csv(path: Path, text: str) -> Iterator[Any]:
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = rows.fieldnames or []
        if "text" not in names or len(set(names)) != len(names) or set(names) - set(FIELDS):
            raise QuestionError(f"{path}: line 1: expected the columns {', '.join(FIELDS)}")
        for row in rows:
            if None in row or None in row.values():
                raise QuestionError(f"{path}: line {rows.line_num}: expected {len(names)} cells")
            options = [one for one in (row.get("options") or "").split(OPTION_SEPARATOR) if one]
            yield {"text": row["text"], "options": options, "name": row.get("name") or ""}
    except csv.Error as error:
        raise QuestionError(f"{path}: line {rows.line_num}: expected CSV: {error}") from None


def _from_jsonl(path: Path, text: str) -> Iterator[Any]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            raise QuestionError(f"{path}: line {number}: expected one JSON object") from None
