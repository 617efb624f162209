"""The classifier's propensities against planted tables, and the weights made from them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from truelead.config import Scalar, StageConfig
from truelead.debias.adjustment import Adjustment, build_adjustment
from truelead.debias.diagnostics import mutual_information
from truelead.debias.planted.model import PlantedModel, planted_model
from truelead.debias.propensity import QuestionPropensity
from truelead.debias.setup import Setup
from truelead.errors import ConfigError

FOLDS = 4
WORDINGS = ("does this tracing show {}", "is {} there")
CONDITIONS = ("apple", "birch", "cedar", "dogwood", "elm", "fir")

Row = tuple[str, int, int]


def asked_of(model: PlantedModel, count: int, seed: int = 0) -> Counter[Row]:
    """Observed questions of `count` patients, one each, in words, with severity and fold."""
    rng = np.random.default_rng(seed)
    severity_N = model.draw(count, rng).severity_N
    question_N = model.ask(severity_N, rng)
    wording_N = rng.integers(len(WORDINGS), size=count)
    return Counter(
        (WORDINGS[w].format(CONDITIONS[q]), int(s), n % FOLDS)
        for n, (w, q, s) in enumerate(zip(wording_N, question_N, severity_N, strict=True))
    )


def error_of(model: PlantedModel, count: int) -> tuple[float, float]:
    """Mean |log weight - log counted weight|, and against the planted table's own."""
    asked = asked_of(model, count)
    propensity = QuestionPropensity.fit(asked, model.strata, FOLDS)
    pairs: Counter[tuple[str, int]] = Counter()
    for (text, stratum, _), times in asked.items():
        pairs[text.replace(" there", "").split()[-1], stratum] += times
    questions: Counter[str] = Counter()
    strata: Counter[int] = Counter()
    for (question, stratum), times in pairs.items():
        questions[question] += times
        strata[stratum] += times
    true_C = model.severity_A @ model.question_AC
    from_counts = from_truth = 0.0
    for (text, stratum, fold), times in asked.items():
        question = text.replace(" there", "").split()[-1]
        counted = (questions[question] / count) / (pairs[question, stratum] / strata[stratum])
        place = CONDITIONS.index(question)
        true = true_C[place] / model.question_AC[stratum, place]
        found = propensity.weight(text, stratum, fold)
        from_counts += times * abs(np.log(found / counted)) / count
        from_truth += times * abs(np.log(found / true)) / count
    return from_counts, from_truth


def test_classifier_weights_converge_to_the_counted_and_the_true_ones() -> None:
    model = planted_model(conditions=6, positivity=0.2)
    few, many = error_of(model, 300), error_of(model, 30_000)
    assert many[0] < few[0] / 4
    assert many[1] < few[1] / 4
    assert many[0] < 0.04
    assert many[1] < 0.04


@pytest.mark.parametrize("strata", [2, 3, 4])
def test_probabilities_of_the_strata_sum_to_one(strata: int) -> None:
    model = planted_model(strata=strata)
    propensity = QuestionPropensity.fit(asked_of(model, 2000), strata, FOLDS)
    for text in ("is apple there", "is fir there", "", "words never seen"):
        probability_FA = propensity.probability_FA(text)
        assert probability_FA.shape == (FOLDS, strata)
        np.testing.assert_allclose(probability_FA.sum(axis=1), 1.0)
    assert propensity.marginal_A.sum() == pytest.approx(1.0)


def test_two_strata_are_not_taken_for_each_other() -> None:
    asked = {
        (f"is {word} there", s, f): n
        for f in range(2)
        for word, s, n in (("apple", 0, 90), ("apple", 1, 10), ("fir", 0, 20), ("fir", 1, 80))
    }
    propensity = QuestionPropensity.fit(asked, 2, 2)
    assert propensity.probability_FA("is apple there")[0] == pytest.approx([0.9, 0.1], abs=0.03)
    assert propensity.probability_FA("is fir there")[1] == pytest.approx([0.2, 0.8], abs=0.03)


def test_nobody_s_own_row_decides_his_weight() -> None:
    model = planted_model()
    asked = asked_of(model, 3000)
    changed: Counter[Row] = Counter()
    for (text, stratum, fold), times in asked.items():
        changed[text, (stratum + 1) % 3 if fold == 0 else stratum, fold] += times
    before = QuestionPropensity.fit(asked, 3, FOLDS).probability_FA("is apple there")
    after = QuestionPropensity.fit(changed, 3, FOLDS).probability_FA("is apple there")
    np.testing.assert_array_equal(before[0], after[0])
    for fold in range(1, FOLDS):
        assert abs(before[fold] - after[fold]).max() > 0.05


def test_new_words_around_a_known_one_are_weighed_by_it() -> None:
    propensity = QuestionPropensity.fit(asked_of(planted_model(), 20_000), 3, FOLDS)
    known, new, other = (
        propensity.probability_FA(text)[0]
        for text in ("is apple there", "do you see APPLE?", "is fir there")
    )
    assert abs(known - new).max() < 0.15 < abs(known - other).max()


def test_held_out_bits_are_what_the_question_tells() -> None:
    model = planted_model(confounding=1.0)
    asked = asked_of(model, 20_000)
    bits = QuestionPropensity.fit(asked, 3, FOLDS).held_out_bits(asked)
    assert bits == pytest.approx(model.question_severity_bits(), abs=0.03)
    blind = asked_of(planted_model(confounding=0.0), 20_000)
    assert abs(QuestionPropensity.fit(blind, 3, FOLDS).held_out_bits(blind)) < 0.005


def test_a_stratum_seen_in_its_own_fold_alone_is_out_of_reach() -> None:
    asked = {("is it there", 0, 0): 5, ("is it there", 1, 1): 5, ("is it not", 2, 1): 5}
    asked |= {("is it there", 0, 1): 5, ("is it not", 1, 0): 5}
    propensity = QuestionPropensity.fit(asked, 3, 2)
    assert propensity.weight("is it not", 2, 1) == float("inf")
    assert np.isfinite(propensity.weight("is it not", 2, 0))
    assert np.isfinite(propensity.held_out_bits(asked))


def test_one_stratum_outside_a_fold_is_one_clear_line() -> None:
    asked = {("is it there", 0, 0): 5, ("is it there", 1, 1): 5, ("is it there", 0, 1): 1}
    with pytest.raises(ConfigError, match="questions about 2 strata outside fold 1 of 2, found 1"):
        QuestionPropensity.fit(asked, 3, 2)


def build(setup: Setup, **options: Scalar) -> Adjustment:
    stage = StageConfig(strategy="ipw", options=options, questions_per_ecg=6)
    return build_adjustment(stage, setup, 0)


def drawn(adjustment: Adjustment) -> list[tuple[str, int, float]]:
    return [
        (item.question.question_id, item.stratum, item.weight)
        for epoch in range(2)
        for group in adjustment.setup.groups("train")
        for item in adjustment.draw(group, epoch)
    ]


@pytest.fixture(scope="module")
def counted(setup: Setup) -> Adjustment:
    return build(setup)


@pytest.fixture(scope="module")
def classified(setup: Setup) -> Adjustment:
    return build(setup, propensity="classifier")


def test_both_propensities_weigh_the_observed_questions_alike(
    counted: Adjustment, classified: Adjustment
) -> None:
    one, other = drawn(counted), drawn(classified)
    assert [row[:2] for row in one] == [row[:2] for row in other]
    logs = np.log([[row[2] for row in one], [row[2] for row in other]])
    assert np.corrcoef(logs)[0, 1] > 0.95
    assert np.mean([row[2] for row in other]) == pytest.approx(1.0, rel=0.05)
    questions, strata, weights = zip(*other, strict=True)
    told = mutual_information(questions, strata)
    assert mutual_information(questions, strata, weights) < 0.6 * told
    held_out = classified.own_diagnostics()["propensity_bits"]
    assert held_out == pytest.approx(told, abs=0.1)


def test_a_question_out_of_reach_of_a_stratum_is_named(classified: Adjustment) -> None:
    named = classified.violations()
    assert any("IMI has probability" in line and "'none'" in line for line in named)
    assert not any("PVC" in line for line in named)
    found = classified.own_diagnostics()
    assert 0 < found["propensity_overlap"] < 1
    assert 0 <= found["clipped"] < 0.2


def test_answers_are_evened_out_under_the_classifier_too(
    setup: Setup, classified: Adjustment
) -> None:
    evened = build(setup, propensity="classifier", balance_answers=True, clip=1000.0)
    assert abs(evened.diagnostics()["question_answer_bits"]) < 0.01
    assert classified.diagnostics()["question_answer_bits"] > 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"propensity": "guess"}, r"expected propensity counts or classifier .* found 'guess'"),
        ({"propensity": "classifier", "folds": 1}, r"folds of at least 2, found .* and 1"),
        ({"propensity": 3}, r"propensity: expected str, found 3"),
    ],
)
def test_wrong_options_are_one_clear_line(
    setup: Setup, options: dict[str, Scalar], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(setup, **options)
