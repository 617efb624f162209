from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from truelead.errors import SpliceError
from truelead.model.answering import (
    Answer,
    Answerer,
    Ask,
    closed_answer,
    closed_options,
    split_answers,
)
from truelead.model.build import save_model
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.types import Ecg

Built = tuple[Any, TrueLeadProcessor]


@pytest.mark.parametrize("rows", [256, 2])
def test_scores_equal_the_loss_of_each_option(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg], rows: int
) -> None:
    """Options of one and of several tokens, against the grouped loss of the same answer."""
    model, processor = built
    options = ("yes", "no", "not sure", "lead I; lead aVR")
    asked = [
        dataclasses.replace(
            group,
            questions=tuple(dataclasses.replace(q, options=options) for q in group.questions),
        )
        for group in groups
    ]
    found = Answerer(model, processor, rows=rows).score(asked, ecgs=ecgs)
    for option in options:
        answered = [
            dataclasses.replace(
                group,
                questions=tuple(
                    dataclasses.replace(q, answers=tuple(option.split("; ")))
                    for q in group.questions
                ),
            )
            for group in groups
        ]
        with torch.no_grad():
            loss_B = model(batch=processor.batch(answered, ecgs=ecgs)).loss_B
        scores = torch.tensor([row[option] for row in found])
        torch.testing.assert_close(scores, -loss_B, rtol=1e-4, atol=1e-4)


def test_generation_equals_the_hubs(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    model, processor = built
    eos = processor.tokenizer.eos_token_id
    with torch.no_grad():  # make the end of sequence likely, so that rows end at different times
        model.get_output_embeddings().weight[eos] *= 4
    found = Answerer(model, processor, maximum_tokens=8).generate(groups, ecgs=ecgs)
    at = 0
    for group in groups:
        for question in group.questions:
            inputs = processor([question.text], [[ecgs[index] for index in group.ecgs]])
            written = model.generate(**inputs, max_new_tokens=8, do_sample=False)
            ids = written[0, inputs["input_ids"].shape[1] :]
            assert found[at] == processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
            at += 1
    assert at == len(found)


def test_answers_keep_the_order_of_the_groups(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg]
) -> None:
    """Closed and open questions mixed: each answer is the one the question gets alone."""
    answerer = Answerer(*built, maximum_tokens=4)
    together = answerer.answer_groups(groups, ecgs=ecgs)
    alone = [
        answerer.answer_groups([GroupInput(group.ecgs, (question,))], ecgs=ecgs)[0]
        for group in groups
        for question in group.questions
    ]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    for answer, question in zip(
        together, (q for group in groups for q in group.questions), strict=True
    ):
        if question.question_type == "single-verify":
            assert answer.text in question.options
            assert sum(answer.option_probabilities.values()) == pytest.approx(1)
            best = max(answer.option_probabilities.values())
            assert answer.option_probabilities[answer.text] == best
        else:
            assert answer.option_probabilities == {}


def test_asking(built: Built, ecgs: list[Ecg], tmp_path: Path) -> None:
    save_model(tmp_path, *built)
    answerer = Answerer.from_pretrained(tmp_path, maximum_tokens=4)
    asks = [
        Ask((ecgs[0],), "Is there any sign of infarction?", ("yes", "no")),
        Ask((ecgs[1], ecgs[2]), "What changed between the two ECGs?"),
        Ask((ecgs[0],), "Which leads show noise?", ("lead I", "lead I; lead aVR")),
        Ask((), "Is there any sign of infarction?", ("yes", "no")),
    ]
    answers = answerer.answer(asks)
    assert answers[0].text in ("yes", "no")
    assert set(answers[2].option_probabilities) == {"lead I", "lead I; lead aVR"}
    assert alike(answerer.answer(asks[::-1])[::-1], answers)
    assert answerer.answer(asks[3:])[0].text in ("yes", "no")
    assert answerer.answer([]) == []
    standardised = np.stack([answerer.processor.standardise(ecg) for ecg in ecgs])
    with torch.no_grad():
        features = answerer.model.encode(torch.from_numpy(standardised)).numpy()
    by_place = answerer.answer([Ask((0,), asks[0].question, ("yes", "no"))], features=features)
    assert alike(by_place, answers[:1])
    with pytest.raises(SpliceError):
        answerer.answer([Ask((6,), "Is there?")], features=features)


def alike(found: list[Answer], expected: list[Answer]) -> bool:
    return len(found) == len(expected) and all(
        one.text == other.text
        and one.option_probabilities == pytest.approx(other.option_probabilities, rel=1e-3)
        for one, other in zip(found, expected, strict=True)
    )


def test_closed_answer() -> None:
    answer = closed_answer({"no": math.log(0.1) - 900, "left; right": math.log(0.3) - 900})
    assert answer.text == "left; right"
    assert answer.answers == ("left", "right")
    assert answer.option_probabilities == pytest.approx({"no": 0.25, "left; right": 0.75})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("",)),
        ("; ", ("",)),
        ("yes", ("yes",)),
        ("lead I; lead II; lead I", ("lead I", "lead II")),
    ],
)
def test_split_answers(text: str, expected: tuple[str, ...]) -> None:
    assert split_answers(text) == expected


def test_a_choose_question_may_have_both(question: Any) -> None:
    choose = question("A or B?", ("b",), ("b", "a", "none"), "single-choose")
    assert closed_options(choose) == ("b", "a", "none", "a; b")
    both = dataclasses.replace(choose, answers=("b", "a"))
    assert both.answer_text in closed_options(choose)
    assert closed_options(question("A?")) == ("yes", "no", "not sure")
