from __future__ import annotations

import random

import numpy as np
import pytest

from truelead.errors import QuestionError
from truelead.questions.bank import QuestionBank
from truelead.questions.rules import Unanswerable
from truelead.questions.scp import SCP_STATEMENTS
from truelead.questions.templates import TEMPLATES
from truelead.types import Record

BANK = QuestionBank()
MEASURED = {
    "rr interval": 1200.0,
    "p duration": 104.0,
    "pr interval": 210.0,
    "qrs duration": 96.0,
    "qt interval": 440.0,
    "qt corrected": 401.7,
}
FULL = {
    "measurements": MEASURED,
    "scp_codes": {"CLBBB": 100.0, "IMI": 35.0, "NST_": 0.0, "AFIB": 0.0, "NORM": 15.0},
    "infarction_stadium": ("Stadium I", ""),
    "heart_axis": "RAD",
    "static_noise": "alles",
    "burst_noise": "v3",
    "extra_beats": "1ES,SVES",
    "split": "valid",
}
FIRST = Record("1", "1", "made", "made", **FULL)  # type: ignore[arg-type]
NEXT = Record(
    "2",
    "1",
    "made",
    "made",
    scp_codes={"CLBBB": 50.0, "SR": 0.0},
    split="valid",
    measurements={**MEASURED, "rr interval": 800.0},
)
OTHER = Record(
    "3",
    "2",
    "made",
    "made",
    scp_codes={"NORM": 100.0, "SR": 0.0},
    split="valid",
    measurements={**MEASURED, "pr interval": 160.0},
)

ASKABLE = pytest.mark.parametrize("template_id", BANK.templates)


def records_for(template_id: int) -> tuple[Record, ...]:
    question_type = TEMPLATES[template_id].question_type
    if question_type.startswith("single"):
        return (FIRST,)
    return (FIRST, NEXT) if "consecutive" in question_type else (FIRST, OTHER)


@ASKABLE
def test_every_way_to_ask_is_a_valid_question(template_id: int) -> None:
    template, records = TEMPLATES[template_id], records_for(template_id)
    ids = set()
    for attributes in BANK.attributes(template_id):
        question = BANK.ask(template_id, attributes, records)
        assert question.answers
        assert set(question.answers) <= set(question.options)
        assert len(set(question.options)) == len(question.options)
        assert "none" not in question.answers or len(question.answers) == 1
        assert question.question_type == template.question_type
        assert question.ecg_ids == tuple(record.record_id for record in records)
        assert question.split == "valid"
        assert "{" not in question.text
        assert "}" not in question.text
        ids.add(question.question_id)
    assert len(ids) == sum(1 for _ in BANK.attributes(template_id)) > 0


@ASKABLE
def test_wordings_share_the_question_and_not_the_words(template_id: int) -> None:
    records = records_for(template_id)
    attributes = next(BANK.attributes(template_id))
    words = TEMPLATES[template_id].wordings
    asked = [
        BANK.ask(template_id, attributes, records, wording=index)
        for index in range(len(words.train) + len(words.test))
    ]
    assert len({question.question_id for question in asked}) == 1
    assert len({question.answers for question in asked}) == 1
    assert len({question.text for question in asked}) == len(asked)
    assert len({question.wording_id for question in asked}) == len(asked)
    rng = random.Random(0)
    trained = {
        BANK.ask(template_id, attributes, records, wording="train", rng=rng).text for _ in range(50)
    }
    tested = {
        BANK.ask(template_id, attributes, records, wording="test", rng=rng).text for _ in range(50)
    }
    assert not trained & tested
    official = BANK.ask(template_id, attributes, records, wording="official")
    assert official.text == asked[0].text


def test_a_template_that_waits_is_not_offered() -> None:
    for template_id, template in TEMPLATES.items():
        if template.waits_for:
            attributes = next(BANK.attributes(template_id))
            with pytest.raises(Unanswerable, match=template.waits_for):
                BANK.ask(template_id, attributes, records_for(template_id))
            assert list(BANK.candidates((FIRST,), [template_id])) == []


def test_candidates_are_each_question_once() -> None:
    questions = list(BANK.candidates((FIRST,)))
    assert len({question.question_id for question in questions}) == len(questions)
    assert {question.template_id for question in questions} == {
        template_id for template_id in BANK.templates if TEMPLATES[template_id].ecgs == 1
    }
    pair = {question.template_id for question in BANK.candidates((FIRST, NEXT))}
    assert pair == set(range(43, 57))
    unrelated = {question.template_id for question in BANK.candidates((FIRST, OTHER))}
    assert unrelated == set(range(57, 71))


def test_draws_repeat_from_a_seed_and_differ_without() -> None:
    def draw(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [question.text for question in BANK.questions((FIRST,), rng=rng)]

    assert draw(1) == draw(1) != draw(2)
    tested = BANK.questions((FIRST,), rng=random.Random(0), wordings="test")
    assert all(":test-" in question.wording_id for question in tested)


def test_the_question_drawn_does_not_depend_on_the_record() -> None:
    def asked(record: Record) -> list[str]:
        rng = random.Random(3)
        templates = list(range(1, 17))
        return [
            question.question_id
            for question in BANK.questions((record,), rng=rng, templates=templates)
        ]

    assert asked(FIRST) == asked(OTHER)


def test_order_of_a_choice_changes_words_only() -> None:
    one = BANK.ask(4, ("CLBBB", "IMI"), (FIRST,))
    two = BANK.ask(4, ("IMI", "CLBBB"), (FIRST,))
    assert one.text != two.text
    assert (one.question_id, one.answers) == (two.question_id, two.answers)
    noise = BANK.ask(31, ("static noise", "burst noise", "V3"), (FIRST,))
    assert noise.question_id == "31:burst noise:static noise:lead V3"
    assert noise.options == ("static noise", "burst noise", "none")


@pytest.mark.parametrize("code", SCP_STATEMENTS)
def test_verify_code_counts_any_likelihood(code: str) -> None:
    ids = set()
    for likelihood in (0.0, 15.0, 100.0):
        record = Record("1", "1", "made", "made", scp_codes={code: likelihood})
        question = BANK.verify_code(code, record)
        assert question.options == ("no", "yes")
        assert question.answers == ("yes",)
        ids.add(question.question_id)
    absent = BANK.verify_code(code, Record("1", "1", "made", "made"))
    assert absent.answers == ("no",)
    assert {absent.question_id} == ids
    assert SCP_STATEMENTS[code].name in absent.text.lower() or code == "NORM"


@pytest.mark.parametrize("code", ["CLBBB", "NORM"])
def test_verify_code_has_enough_words(code: str) -> None:
    train, test = (BANK.verify_code_wordings(side) for side in ("train", "test"))  # type: ignore[arg-type]
    texts = {
        side: {BANK.verify_code(code, FIRST, wording=index).text for index in indices}
        for side, indices in (("train", train), ("test", test))
    }
    assert len(texts["train"]) == len(train) >= 5
    assert len(texts["test"]) == len(test) >= 3
    assert not texts["train"] & texts["test"]
    for side in ("train", "test"):
        drawn = BANK.verify_code(code, FIRST, wording=side, rng=random.Random(1))  # type: ignore[arg-type]
        assert drawn.text in texts[side]


def test_a_bank_of_some_statements_asks_about_no_others() -> None:
    bank = QuestionBank({code: SCP_STATEMENTS[code] for code in ("NORM", "CLBBB", "AFIB")})
    assert list(bank.attributes(1)) == [("CLBBB",), ("AFIB",)]
    with pytest.raises(QuestionError, match="symptom"):
        bank.ask(1, "IMI", (FIRST,))
    # What the patient has stays the whole truth.
    assert "myocardial infarction in inferior leads" in bank.ask(8, (), (FIRST,)).answers
    with pytest.raises(QuestionError, match="expected PTB-XL's codes"):
        QuestionBank({"MADEUP": SCP_STATEMENTS["NORM"]})


@pytest.mark.parametrize(
    ("template_id", "attributes", "records", "expected"),
    [
        (71, (), (FIRST,), "template_id: expected 1..70"),
        (1, (), (FIRST,), "attributes: expected 1"),
        (1, "flu", (FIRST,), "expected an SCP statement"),
        (1, "NORM", (FIRST,), "symptom"),
        (4, ("IMI", "IMI"), (FIRST,), "expected different ones"),
        (26, ("static noise", "V7"), (FIRST,), "lead: expected one of it"),
        (1, "IMI", (FIRST, NEXT), "records: expected 1, found 2"),
        (43, "IMI", (FIRST,), "records: expected 2, found 1"),
        (43, "IMI", (FIRST, OTHER), "expected ECGs of one patient"),
        (57, "IMI", (FIRST, NEXT), "expected ECGs of two patients"),
    ],
)
def test_wrong_use_is_one_clear_line(
    template_id: int, attributes: object, records: tuple[Record, ...], expected: str
) -> None:
    with pytest.raises(QuestionError, match=expected) as caught:
        BANK.ask(template_id, attributes, records)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_unknown_wording() -> None:
    for wording in ("poem", 99, -1):
        with pytest.raises(QuestionError, match="wording: expected train, test, official or"):
            BANK.ask(1, "IMI", (FIRST,), wording=wording)  # type: ignore[arg-type]
