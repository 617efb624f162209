"""Question files: what is accepted, and the one line that says why another is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from truelead.errors import QuestionError
from truelead.predict.questions import AskedQuestion, given_questions, read_questions

EXPECTED = (
    AskedQuestion(text="Is there any sign of flutter?", options=("yes", "no"), name="flutter"),
    AskedQuestion(text="What is the rhythm?", options=(), name="q2"),
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.yaml",
            "- text: Is there any sign of flutter?\n  options: ['yes', 'no']\n  name: flutter\n"
            "- What is the rhythm?\n",
        ),
        (
            "a.yml",
            "questions:\n- {text: \"Is there any sign of flutter?\", options: ['yes', 'no'], "
            "name: flutter}\n- text: What is the rhythm?\n",
        ),
        (
            "a.csv",
            "\ufefftext,options,name\r\nIs there any sign of flutter?,yes|no,flutter\r\n"
            '"What is the rhythm?",,\r\n',
        ),
        (
            "a.jsonl",
            '{"text": "Is there any sign of flutter?", "options": ["yes", "no"], '
            '"name": "flutter"}\n\n{"text": "What is the rhythm?", "options": null}\n',
        ),
    ],
)
def test_each_kind_of_file_gives_the_same_questions(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_questions(tmp_path / name) == EXPECTED


def test_given_options_are_those_of_each_question() -> None:
    first, second = given_questions(["A?", "B?"], ["yes", "no"])
    assert (first.name, second.name) == ("q1", "q2")
    assert first.options == second.options == ("yes", "no")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "A?", "suffix"),
        ("a.yaml", "- {text: A, options: [yes, no]}", 'write "yes"'),
        ("a.yaml", "- {text: A, option: [a, b]}", "option: .*expected text, options, name"),
        ("a.yaml", "- {text: A, text: B}", "each key once"),
        ("a.yaml", "text: A?", "expected a list"),
        ("a.yaml", "- {text: '  '}", "question 1: text"),
        ("a.yaml", "- {text: A, options: [a]}", "at least two"),
        ("a.yaml", "- {text: A, options: [a, ' a']}", "each once"),
        ("a.yaml", "- A?\n- A?", "question 2: expected each question once, found it as 1"),
        ("a.yaml", "- {text: A, name: q2}\n- B?", "question 2: name"),
        ("a.yaml", "[]", "at least one question"),
        ("a.yaml", "- 7", "question 1: expected a text"),
        ("a.csv", "text,answer\nA?,yes\n", "line 1: expected the columns"),
        ("a.csv", "text,name\nA?\n", "line 2: expected 2 cells"),
        ("a.csv", "text,name\nA?,a,b\n", "line 2: expected 2 cells"),
        ("a.jsonl", '{"text": "A?"}\n{"text": \n', "line 2: expected one JSON object"),
        ("a.jsonl", '{"text": "' + "x" * 1001 + '"}', "question 1: text"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(QuestionError, match=message) as caught:
        read_questions(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="expected a question file, found none"):
        read_questions(tmp_path / "none.yaml")
