"""Rules of answering, against their formulas written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from truelead.errors import ModelError
from truelead.model import TrueLeadConfig
from truelead.model.answer_rule import check_rule, sum_over_strata, total_indirect_effect
from truelead.model.answering import Answerer, closed_options
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.types import Ecg

Built = tuple[Any, TrueLeadProcessor]


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def centred(values: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]


@pytest.mark.parametrize("constant", [-1.5, 0.0, 2.0])
def test_counterfactual_answers_are_its_formula(
    built: Built, groups: list[GroupInput], ecgs: list[Ecg], constant: float
) -> None:
    model, processor = built
    with torch.no_grad():  # a fresh model hardly tells the options apart
        model.get_output_embeddings().weight.mul_(30)
    plain = Answerer(model, processor)
    seen = plain.score(groups, ecgs=ecgs)
    blind = plain.score([GroupInput((), group.questions) for group in groups], ecgs=ecgs)
    model.config.answer_rule = {"rule": "counterfactual", "constant": constant}
    found = Answerer(model, processor, rows=3).score(groups, ecgs=ecgs)
    changed = 0.0
    for one, without, scores in zip(seen, blind, found, strict=True):
        if not one:
            assert scores == {}
            continue
        z_k, z_q = centred(list(one.values())), centred(list(without.values()))
        effect = [
            log_sigmoid(q + k) - log_sigmoid(q + constant) for q, k in zip(z_q, z_k, strict=True)
        ]
        total = math.log(sum(math.exp(value) for value in effect))
        assert list(scores) == list(one)
        assert list(scores.values()) == pytest.approx([e - total for e in effect], abs=1e-4)
        direct = math.log(sum(math.exp(value) for value in one.values()))
        changed += sum(abs(scores[o] - one[o] + direct) for o in one)
    assert changed > 0.1


def test_a_model_that_knows_only_the_question_has_no_effect_of_its_ecg() -> None:
    """Where the ECG adds nothing, z_k is constant: every option scores alike for c = 0."""
    scores = total_indirect_effect(torch.tensor([3.0, -1.0, 0.0]), torch.zeros(3), 0.0)
    torch.testing.assert_close(scores.exp(), torch.full((3,), 1 / 3))


def test_the_sum_over_strata_ignores_how_likely_the_options_are_together() -> None:
    score_AO = torch.tensor([[0.7, 0.3], [0.1, 0.9]]).log()
    prior = torch.tensor([0.25, 0.75])
    expected = prior @ score_AO.exp()
    for shift in (0.0, -40.0):
        found = sum_over_strata(score_AO + torch.tensor([[shift], [0.0]]), prior.log())
        torch.testing.assert_close(found.exp(), expected)


def test_direct_is_the_default(built: Built, groups: list[GroupInput], ecgs: list[Ecg]) -> None:
    model, processor = built
    default = Answerer(model, processor).score(groups, ecgs=ecgs)
    model.config.answer_rule = {"rule": "direct"}
    assert Answerer(model, processor).score(groups, ecgs=ecgs) == default
    assert [list(row) for row in default] == [
        list(closed_options(question)) for group in groups for question in group.questions
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"rule": "guess"}, "rule: expected one of direct, strata-sum, counterfactual"),
        ({}, "^$"),
        ({"rule": "direct", "constant": 1.0}, "direct: expected the keys rule"),
        ({"rule": "counterfactual"}, "counterfactual: expected the keys constant, rule"),
        ({"rule": "counterfactual", "constant": math.nan}, "constant: expected a finite number"),
        ({"rule": "counterfactual", "constant": "1"}, "constant: expected a finite number"),
        ({"rule": "strata-sum"}, "strata-sum: expected a model with a strata severity_slot"),
    ],
)
def test_impossible_rules_are_named(rule: dict[str, Any], message: str) -> None:
    if not rule:
        assert check_rule(rule, None) == {"rule": "direct"}
        return
    with pytest.raises(ModelError, match=f"answer_rule: {message}"):
        TrueLeadConfig(answer_rule=rule)
    with pytest.raises(ModelError, match="answer_rule"):
        check_rule(rule, {"kind": "dictionary", "prior": [1.0]})


def test_rules_survive_the_configuration() -> None:
    slot = {"kind": "strata", "prior": [0.4, 0.6], "token_id": 9}
    for rule in ({"rule": "strata-sum"}, {"rule": "counterfactual", "constant": 0.5}, None):
        config = TrueLeadConfig(severity_slot=slot, answer_rule=rule)
        again = TrueLeadConfig.from_dict(config.to_dict())
        assert again.answer_rule == rule
        assert again.severity_slot == slot
