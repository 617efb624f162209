"""By the labels the mirrored question about the swapped pair has the question's own answer."""

from __future__ import annotations

from itertools import permutations

import pytest

from truelead.questions.bank import QuestionBank
from truelead.questions.measured_rules import NUMERIC_FEATURES
from truelead.questions.mirrored import MIRRORED_TEMPLATES, mirrored
from truelead.questions.rules import RULES
from truelead.questions.templates import TEMPLATES
from truelead.types import Question, Record

RECORDS = [
    Record(
        str(number),
        "1",
        "made",
        "made",
        scp_codes=dict.fromkeys(codes, 100.0),
        measurements={f: 40.0 * (i + 2 * number) for i, f in enumerate(NUMERIC_FEATURES)},
    )
    for number, codes in enumerate(((), ("IMI",), ("IMI", "AFIB"), ("AFIB", "CLBBB"), ("NORM",)))
]
BANK = QuestionBank()


def test_every_comparison_is_mirrored_by_one_of_its_own_form() -> None:
    comparisons = {number for number, template in TEMPLATES.items() if template.ecgs == 2}
    assert set(MIRRORED_TEMPLATES) == comparisons
    for number, other in MIRRORED_TEMPLATES.items():
        assert MIRRORED_TEMPLATES[other] == number
        first, second = TEMPLATES[number], TEMPLATES[other]
        assert first.question_type == second.question_type
        assert first.slots == second.slots
        assert len(first.wordings.train) == len(second.wordings.train)
        assert len(first.wordings.test) == len(second.wordings.test)


@pytest.mark.parametrize("number", sorted(set(MIRRORED_TEMPLATES) & set(RULES)))
def test_the_labels_give_both_the_same_answer(number: int) -> None:
    for attributes in list(BANK.attributes(number))[:6] + [("IMI",)] * bool(
        TEMPLATES[number].slots and not TEMPLATES[number].measured
    ):
        for pair in permutations(RECORDS, 2):
            swapped = RULES[MIRRORED_TEMPLATES[number]](pair[::-1], attributes)
            assert RULES[number](pair, attributes) == swapped


def test_the_words_are_those_of_the_mirrored_question() -> None:
    pair = (RECORDS[1], RECORDS[2])
    for wording in ("official", 2, "test"):
        asked = BANK.ask(43, "AFIB", pair, wording=wording)  # type: ignore[arg-type]
        other = mirrored(asked)
        assert other is not None
        expected = BANK.ask(44, "AFIB", pair[::-1], wording=wording)  # type: ignore[arg-type]
        assert (other.text, other.question_id, other.wording_id, other.ecg_ids) == (
            expected.text, expected.question_id, expected.wording_id, expected.ecg_ids
        )  # fmt: skip
        assert other.answers == asked.answers == expected.answers
        again = mirrored(other)
        assert again == asked


def test_official_rows_without_attributes_are_mirrored_and_others_are_not() -> None:
    official = Question(
        TEMPLATES[68].official, ("none",), (), ("1", "2"), TEMPLATES[68].question_type, 68,
        "ecg-qa:9", "template:abc",
    )  # fmt: skip
    other = mirrored(official)
    assert other is not None
    assert other.template_id == 69
    assert other.text == TEMPLATES[69].official
    assert other.ecg_ids == ("2", "1")
    single = BANK.ask(2, "AFIB", RECORDS[:1])
    assert mirrored(single) is None
