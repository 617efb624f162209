"""What every adjustment must keep to, and what each one promises, on the hand-made records."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import stats

from truelead.config import Scalar, StageConfig
from truelead.debias.adjustment import ADJUSTMENTS, Adjustment, build_adjustment
from truelead.debias.diagnostics import mutual_information
from truelead.debias.setup import Setup
from truelead.errors import ConfigError

EPOCHS = 6


def build(setup: Setup, strategy: str, seed: int = 0, **options: Scalar) -> Adjustment:
    return build_adjustment(
        StageConfig(strategy=strategy, options=options, questions_per_ecg=6), setup, seed
    )


def rows(adjustment: Adjustment, epochs: int = EPOCHS) -> list[tuple[str, str, int, float]]:
    """(question_id, answer, stratum, weight) of every draw."""
    return [
        (item.question.question_id, item.question.answer_text, item.stratum, item.weight)
        for epoch in range(epochs)
        for group in adjustment.setup.groups("train")
        for item in adjustment.draw(group, epoch)
    ]


@pytest.mark.parametrize("strategy", ADJUSTMENTS)
def test_a_draw_is_a_pure_function_of_seed_epoch_and_group(setup: Setup, strategy: str) -> None:
    groups = setup.groups("train")[:30]
    adjustment = build(setup, strategy)
    first = {(group, epoch): adjustment.draw(group, epoch) for group in groups for epoch in (0, 1)}
    again = build(setup, strategy)
    for key in reversed(first):
        assert again.draw(*key) == first[key]
    assert [first[group, 0] for group in groups] != [first[group, 1] for group in groups]


@pytest.mark.parametrize("strategy", ["do-question", "do-question-balanced"])
def test_the_seed_changes_the_bank_draws(setup: Setup, strategy: str) -> None:
    groups = setup.groups("train")[:30]
    one, other = build(setup, strategy, seed=1), build(setup, strategy, seed=2)
    assert [one.draw(g, 0) for g in groups] != [other.draw(g, 0) for g in groups]


@pytest.mark.parametrize("strategy", ADJUSTMENTS)
def test_drawn_questions_are_true_and_worded_for_training(setup: Setup, strategy: str) -> None:
    adjustment = build(setup, strategy)
    training_texts = set(setup.corpus())
    for group in setup.groups("train")[:60]:
        truth = {cell.question_id: cell.answer for cell in setup.cells(group)}
        for item in adjustment.draw(group, 3):
            assert item.question.ecg_ids == group
            assert item.question.answer_text == truth[item.question.question_id]
            assert item.question.text in training_texts
            assert item.question.severity == item.stratum == setup.stratum(group)
            assert item.question.split == "train"


@pytest.mark.parametrize("strategy", ADJUSTMENTS)
def test_mean_count_is_kept_and_mean_weight_is_one(setup: Setup, strategy: str) -> None:
    drawn = rows(build(setup, strategy))
    groups = len(setup.groups("train"))
    assert len(drawn) / groups / EPOCHS == pytest.approx(6.0, rel=0.03)
    assert np.mean([weight for *_, weight in drawn]) == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("strategy", ADJUSTMENTS)
def test_diagnostics_are_finite_numbers(setup: Setup, strategy: str) -> None:
    adjustment = build(setup, strategy)
    found = adjustment.diagnostics()
    assert all(isinstance(v, float) and np.isfinite(v) for v in found.values())
    assert found["positivity_violations"] == len(adjustment.violations())
    assert 0 < found["effective_sample_size"] <= found["questions"] + 1e-6


def test_observed_questions_are_confounded(setup: Setup) -> None:
    found = build(setup, "none").diagnostics()
    assert found["question_severity_bits"] > 0.2
    assert found["question_answer_bits"] > 0.1
    balanced = build(setup, "do-question-balanced").diagnostics()
    assert found["question_only_accuracy"] > balanced["question_only_accuracy"] + 0.12


def test_do_question_asks_every_patient_alike(setup: Setup) -> None:
    drawn = rows(build(setup, "do-question"))
    table: Counter[tuple[str, int]] = Counter((q, s) for q, _, s, _ in drawn)
    questions, strata = sorted({q for q, _ in table}), sorted({s for _, s in table})
    counts = np.array([[table[q, s] for s in strata] for q in questions])
    assert stats.chi2_contingency(counts).pvalue > 1e-3
    assert stats.chisquare(counts.sum(axis=1)).pvalue > 1e-3
    assert abs(mutual_information([r[0] for r in drawn], [r[2] for r in drawn])) < 0.002


def test_balanced_draws_ask_every_answer_of_every_question_alike(setup: Setup) -> None:
    drawn = rows(build(setup, "do-question-balanced", maximum_repeats=1000.0))
    counts = Counter((q, a) for q, a, *_ in drawn)
    cells = {cell for group in setup.groups("train") for cell in setup.cells(group)}
    assert set(counts) == cells
    expected = 6 * len(setup.groups("train")) * EPOCHS / len(cells)
    # A cell's count is a sum of floors and Bernoullis: its variance is below a Poisson's.
    assert max(abs(count - expected) for count in counts.values()) < 4 * np.sqrt(expected)
    assert abs(mutual_information([r[0] for r in drawn], [r[1] for r in drawn])) < 0.002


def test_balanced_selection_ignores_severity_given_question_and_answer(setup: Setup) -> None:
    drawn = rows(build(setup, "do-question-balanced"))
    inside: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for question, answer, stratum, _ in drawn:
        inside[question, answer][stratum] += 1
    population: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for group in setup.groups("train"):
        for cell in setup.cells(group):
            population[tuple(cell)][setup.stratum(group)] += 1
    for cell, drawn_strata in inside.items():
        total = population[cell].total()
        for stratum, count in population[cell].items():
            share = drawn_strata[stratum] / drawn_strata.total()
            assert share == pytest.approx(count / total, abs=0.05)


@pytest.mark.parametrize("prior", ["minority", "marginal"])
def test_stratified_draws_match_severity_between_the_answers(setup: Setup, prior: str) -> None:
    adjustment = build(setup, "do-question-balanced", stratified=True, stratum_prior=prior)
    drawn = rows(adjustment)
    counts = Counter((q, s, a) for q, a, s, _ in drawn)
    for (question, stratum, answer), count in counts.items():
        if answer == "yes":
            other = counts[question, stratum, "no"]
            assert abs(count - other) < 5 * np.sqrt(count + other)
    found = adjustment.diagnostics()
    assert abs(found["answer_severity_bits"]) < 0.01
    # By definition no infarct lies in stratum "none": named, and never asked there.
    assert any("IMI" in name and "'none'" in name for name in adjustment.violations())
    assert not any("IMI" in q and s == 0 for q, _, s, _ in drawn)


def test_a_positive_prior_over_all_strata_makes_questions_blind_to_severity(
    setup: Setup,
) -> None:
    drawn = rows(build(setup, "do-question-balanced", stratified=True, stratum_prior="marginal"))
    blind = {"AFIB", "PVC", "SR", "STACH"}  # statements that occur in every stratum
    kept = [(q, s) for q, _, s, _ in drawn if q.split(":")[-1] in blind]
    assert len({q for q, _ in kept}) == len(blind)
    assert abs(mutual_information([q for q, _ in kept], [s for _, s in kept])) < 0.01


def test_repeats_are_limited(setup: Setup) -> None:
    adjustment = build(setup, "do-question-balanced", maximum_repeats=2.0, maximum_questions=9)
    for epoch in range(3):
        for group in setup.groups("train"):
            drawn = adjustment.draw(group, epoch)
            assert len(drawn) <= 9
            assert max(Counter(i.question.question_id for i in drawn).values(), default=0) <= 2


def test_inverse_probability_weights_take_severity_out_of_the_question(setup: Setup) -> None:
    plain = build(setup, "none").diagnostics()
    # Only questions that all strata are asked can be weighted to independence.
    weighted = rows(build(setup, "ipw", clip=1000.0, estimation_epochs=EPOCHS))
    observed_in = defaultdict(set)
    for question, _, stratum, _ in weighted:
        observed_in[question].add(stratum)
    kept = [r for r in weighted if len(observed_in[r[0]]) == 3]
    information = mutual_information(
        [r[0] for r in kept], [r[2] for r in kept], [r[3] for r in kept]
    )
    unweighted = mutual_information([r[0] for r in kept], [r[2] for r in kept])
    assert abs(information) < 0.01 < unweighted
    assert plain["question_severity_bits"] > 0.2


def test_answer_balanced_weights_make_answers_even(setup: Setup) -> None:
    drawn = rows(build(setup, "ipw", balance_answers=True, clip=1000.0, estimation_epochs=EPOCHS))
    mass: dict[str, Counter[str]] = defaultdict(Counter)
    for question, answer, _, weight in drawn:
        mass[question][answer] += weight
    for answers in mass.values():
        assert answers["yes"] == pytest.approx(answers["no"], rel=1e-6)


@pytest.mark.parametrize(
    ("strategy", "options", "expected"),
    [
        ("do-answers", {}, r"strategy: expected one of none, do-question"),
        ("none", {"clip": 2.0}, r"options of none: unknown 'clip', expected none"),
        ("ipw", {"clipping": 2.0}, r"unknown 'clipping', expected clip"),
        ("ipw", {"clip": 0.5}, r"expected clip above 1"),
        ("ipw", {"clip": "high"}, r"clip: expected float, found 'high'"),
        ("do-question-balanced", {"stratified": 1}, r"stratified: expected bool, found 1"),
        ("do-question-balanced", {"stratum_prior": "even"}, r"expected minority or marginal"),
        ("do-question-balanced", {"maximum_repeats": 0}, r"maximum_repeats above 0"),
    ],
)
def test_wrong_options_are_one_clear_line(
    setup: Setup, strategy: str, options: dict[str, Scalar], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        build(setup, strategy, **options)
