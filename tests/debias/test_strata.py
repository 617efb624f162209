"""Strata and dictionary: what they draw, what they ask of the model, and what that does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from truelead.config import QuestionsConfig, Scalar, StageConfig, parse_recipe
from truelead.debias.adjustment import Adjustment, build_adjustment
from truelead.debias.planted import (
    InterventionalError,
    PlantedModel,
    condition_posterior,
    interventional,
    interventional_error,
    observational,
    planted_model,
)
from truelead.debias.setup import Setup
from truelead.debias.setup.ptbxl_severity import PtbxlSeveritySetup
from truelead.debias.severity import SEVERITIES
from truelead.errors import ConfigError
from truelead.model.answering import Answerer
from truelead.model.build import build_model, fit_to_strategy, prepare_for_training
from truelead.model.processing import GroupInput
from truelead.types import Question, Record

NAMES = ("infarction", "flutter")


def build(setup: Setup, strategy: str, **options: Scalar) -> Adjustment:
    return build_adjustment(
        StageConfig(strategy=strategy, options=options, questions_per_ecg=6), setup, 0
    )


@pytest.mark.parametrize("draws", ["none", "do-question-balanced"])
def test_strata_tell_the_stratum_of_another_strategys_draws(setup: Setup, draws: str) -> None:
    strata, plain = build(setup, "strata", draws=draws), build(setup, draws)
    for group in setup.groups("train")[:50]:
        told = strata.draw(group, 1)
        assert [item.question for item in told] == [i.question for i in plain.draw(group, 1)]
        assert {item.told_stratum for item in told} <= {setup.stratum(group)}
        assert all(item.told_stratum == -1 for item in plain.draw(group, 1))
        assert all(i.told_stratum == -1 for i in build(setup, "dictionary").draw(group, 1))


def test_p_of_s_is_counted_from_the_train_groups(setup: Setup) -> None:
    slot = build(setup, "strata").model_options()["severity_slot"]
    strata = [setup.stratum(group) for group in setup.groups("train")]
    shares = np.bincount(strata, minlength=len(setup.severity.strata)) / len(strata)
    assert slot == {"kind": "strata", "prior": pytest.approx(shares.tolist())}
    assert len(set(slot["prior"])) == len(slot["prior"])  # so an order would show
    by_stratum = build(setup, "dictionary").model_options()["severity_slot"]
    assert by_stratum == {"kind": "dictionary", "prior": slot["prior"]}
    even = build(setup, "dictionary", entries=8).model_options()
    assert even == {"severity_slot": {"kind": "dictionary", "prior": [0.125] * 8}}


def test_inference_names_the_answer_rule(setup: Setup) -> None:
    assert build(setup, "strata").model_options()["answer_rule"] == {"rule": "strata-sum"}
    assert build(setup, "strata", inference="one-pass").model_options()["answer_rule"] is None
    assert build(setup, "none").model_options() == {}


def test_questions_of_one_stratum_are_named(records: list[Record]) -> None:
    setup = PtbxlSeveritySetup.build(
        records, QuestionsConfig(minimum_positives=10), SEVERITIES["ptbxl"], test_split="valid"
    )
    drawn: dict[str, set[int]] = {}
    for group in setup.groups("train"):
        for item in build(setup, "none").draw(group, 0):
            drawn.setdefault(item.question.question_id, set()).add(item.stratum)
    names = setup.severity.strata
    missing = {
        f"{question} is never drawn in stratum {names[s]!r}"
        for question, seen in drawn.items()
        for s in set(range(len(names))) - seen
    }
    assert missing
    assert set(build(setup, "strata").violations()) == missing


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("strata", {"inference": "nwgm"}, "inference: expected one of exact, one-pass"),
        ("dictionary", {"entries": -1}, "entries: expected 0 or more"),
        ("strata", {"draws": "strata"}, "draws: expected one of none"),
        ("dictionary", {"inference": "exact"}, "unknown 'inference'"),
    ],
)
def test_impossible_options_are_named(
    setup: Setup, strategy: str, options: dict[str, Scalar], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"options of {strategy}: {message}"):
        build(setup, strategy, **options)


@pytest.mark.parametrize("readable", [0.0, 1.0])
def test_the_sum_over_p_of_s_helps_where_the_ecg_does_not_tell_the_severity(
    readable: float,
) -> None:
    """With the exact P(a | q, e, s). Where the ECG tells it, P(s | e) is what P(s) is not."""
    model = planted_model(conditions=4, positivity=0.05, severity_readable=readable)
    ecgs = model.draw(5000, np.random.default_rng(0))
    truth = interventional(model, ecgs)
    summed = np.einsum("a,nac->nc", model.severity_A, condition_posterior(model, ecgs))
    adjusted = interventional_error(truth, summed).divergence
    plain = interventional_error(truth, observational(model, ecgs)).divergence
    if readable == 0.0:
        assert adjusted < plain / 2
    else:
        assert plain == pytest.approx(0.0, abs=1e-9)
        assert adjusted > 0.01


def _question(index: int, answer: str = "yes") -> Question:
    text = f"Is there {NAMES[index]}?"
    kind = "single-verify"
    return Question(text, (answer,), ("yes", "no"), (), kind, 1, NAMES[index], "0")


def _observed(planted: PlantedModel, told: bool) -> GroupInput:
    """Every (s, q, a) of the confounded process once, weighted by its probability."""
    questions, weights, strata = [], [], []
    for stratum, asked_C in enumerate(planted.severity_A[:, None] * planted.question_AC):
        for index, share in enumerate(asked_C):
            has = planted.condition_AC[stratum, index]
            questions += [_question(index, "yes"), _question(index, "no")]
            weights += [share * has, share * (1 - has)]
            strata += [stratum, stratum]
    return GroupInput((), tuple(questions), tuple(weights), told_strata=tuple(strata) * told)


def _trained_error(planted: PlantedModel, told: bool, steps: int = 150) -> InterventionalError:
    """Error of a small model trained on observed questions, with or without a strata slot."""
    recipe = parse_recipe(
        {
            "name": "tiny",
            "encoder": {"name": "resnet1d", "options": {"width": 16}},
            "projector": {"name": "mlp", "options": {"tokens": 2}},
            "language_model": {"hidden_size": 32, "layers": 1, "heads": 2, "vocabulary_size": 280},
        }
    )
    corpus = [f"Is there {name}?" for name in NAMES for _ in range(9)] + ["yes", "no"] * 9
    model, processor = build_model(recipe, None, corpus)
    if told:
        slot = {"kind": "strata", "prior": planted.severity_A.tolist()}
        rule: dict[str, Any] = {"rule": "strata-sum"}
        fit_to_strategy(model, processor, seed=0, severity_slot=slot, answer_rule=rule)
    prepare_for_training(model, recipe.language_model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    nothing = np.zeros((1, 4, 16), np.float32)
    batch = processor.batch([_observed(planted, told)], features=nothing)
    for _ in range(steps):
        output = model(batch=batch)
        optimizer.zero_grad()
        (batch.weight_B * output.loss_B).sum().backward()
        optimizer.step()
        schedule.step()
    group = GroupInput((), tuple(_question(index) for index in range(len(NAMES))))
    found = Answerer(model, processor).answer_groups([group], features=nothing)
    answered = np.array([[answer.option_probabilities["yes"] for answer in found]])
    truth = interventional(planted, planted.draw(1, np.random.default_rng(0)))
    return interventional_error(truth, answered)


def test_training_with_strata_comes_closer_to_the_planted_truth() -> None:
    """The ECGs tell nothing here: what is asked betrays how ill the patient is."""
    planted = planted_model(conditions=2, strata=2, positivity=0.05, noise=1.0, false_trace=0.0)
    plain, strata = _trained_error(planted, told=False), _trained_error(planted, told=True)
    assert plain.difference > 0.08
    assert strata.difference < plain.difference / 2
    assert strata.divergence < plain.divergence / 3
