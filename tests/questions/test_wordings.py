"""Folds of the wordings: whatever is tested is never trained, and everything is tested once."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from truelead.questions.bank import QuestionBank
from truelead.questions.paraphrases import held_out_wordings, paraphrase
from truelead.questions.templates import TEMPLATES, Template
from truelead.questions.wordings import USUAL_SPLIT, WordingSplit
from truelead.types import Question, Record

ALL = pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda t: str(t.template_id))
RECORD = Record("1", "1", "made", "made", scp_codes={"AFIB": 0.0})


@ALL
@pytest.mark.parametrize("folds", [2, 3, 4, 5, 6])
def test_every_wording_is_tested_in_one_fold_and_never_trained_there(
    template: Template, folds: int
) -> None:
    everything = {*template.wordings.train, *template.wordings.test}
    tested: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for fold in range(folds):
        words = WordingSplit(fold, folds)(template.wordings)
        train, test = ({text for _, text in side} for side in (words.train, words.test))
        assert train
        assert test
        assert not train & test
        assert train | test == everything
        tested.update(test)
        names.update(name for name, _ in (*words.train, *words.test))
    assert set(tested) == everything
    assert set(tested.values()) == {1}
    assert set(names.values()) == {1}


@ALL
def test_fold_0_is_the_usual_split(template: Template) -> None:
    words = USUAL_SPLIT(template.wordings)
    assert [text for _, text in words.train] == list(template.wordings.train)
    assert [text for _, text in words.test] == list(template.wordings.test)
    assert [name for name, _ in words.test] == [f"test-{i}" for i in range(len(words.test))]
    assert QuestionBank().wordings(template.template_id) == words


@ALL
def test_the_template_and_the_paraphrases_share_no_words(template: Template) -> None:
    usual, alone, others = (
        WordingSplit(trained=trained)(template.wordings)
        for trained in ("all", "template", "paraphrased")
    )
    assert [text for _, text in alone.train] == [template.official]
    assert (*alone.train, *others.train) == usual.train
    assert alone.test == others.test == usual.test


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_bank_asks_in_the_wordings_of_its_fold(fold: int) -> None:
    bank = QuestionBank(split=WordingSplit(fold))
    rng = random.Random(fold)
    for template_id, attributes in ((2, "AFIB"), (12, ()), (10, ())):
        words = bank.wordings(template_id)
        for side, named in (("train", words.train), ("test", words.test)):
            asked = [
                bank.ask(template_id, attributes, (RECORD,), wording=side, rng=rng)  # type: ignore[arg-type]
                for _ in range(60)
            ]
            names = {question.wording_id.split(":", 2)[2] for question in asked}
            assert names == {name for name, _ in named}
        official = bank.ask(template_id, attributes, (RECORD,), wording="official")
        usual = QuestionBank().ask(template_id, attributes, (RECORD,), wording="official")
        assert official.text == usual.text
    train, test = bank.verify_code_wordings("train"), bank.verify_code_wordings("test")
    assert not set(train) & set(test)
    assert len(train) + len(test) == 9


def test_a_fold_that_is_not_there_is_a_programming_error() -> None:
    with pytest.raises(AssertionError, match="one of the folds"):
        WordingSplit(3, 3)
    with pytest.raises(AssertionError, match="the template's wording"):
        WordingSplit(1, 3, "template")


def official_row(text: str, template_id: int = 26) -> Question:
    return Question(text, ("no",), ("no", "yes"), ("1",), "single-verify", template_id, "x", text)


def test_a_paraphrase_is_known_by_its_words_apart_from_what_it_asks_about() -> None:
    first = paraphrase("Is there any burst noise in lead V1 according to this ECG?")
    second = paraphrase("Is there any static noise in lead aVR according to this ECG?")
    assert first == second == "is there any {} in {} according to this ecg?"
    assert paraphrase("Does this ECG show atrial fibrillation?") == "does this ecg show {}?"


def test_held_out_paraphrases_take_turns() -> None:
    phrases = ("Is {} seen?", "Do you see {}?", "Can {} be found?", "Has it {}?", "Is {} on it?")
    noises = ("burst noise in lead V1", "static noise in lead II")
    rows = [official_row(phrase.format(noise)) for phrase in phrases for noise in noises]
    turns = [held_out_wordings(rows, WordingSplit(fold)) for fold in range(3)]
    assert set.union(*map(set, turns)) == {row.wording_id for row in rows}
    assert not turns[0] & turns[1]
    assert not turns[1] & turns[2]
    for held_out in turns:
        # A paraphrase is held out with everything that it asks about.
        assert len({paraphrase(text) for text in held_out}) * len(noises) == len(held_out)
    assert held_out_wordings([official_row("The only words?", 27)], USUAL_SPLIT) == frozenset()
