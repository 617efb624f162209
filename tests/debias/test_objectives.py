"""What each objective promises, on tables small enough that the right answer is known."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from truelead.debias.adjustment.counterfactual import FusedLikelihood
from truelead.debias.adjustment.greedy_gradient import LeftoverLikelihood
from truelead.debias.adjustment.group_dro import WorstGroupLikelihood
from truelead.debias.adjustment.invariant_risk import InvariantLikelihood
from truelead.debias.adjustment.learned_mixin import MixinLikelihood
from truelead.debias.adjustment.logit_adjustment import AdjustedLikelihood
from truelead.debias.adjustment.objective import (
    NO_OPTION,
    AnswerRows,
    Objective,
    RowFacts,
    log_softmax,
)
from truelead.debias.adjustment.paraphrase_agreement import AgreeingLikelihood
from truelead.debias.adjustment.product_of_experts import ProductLikelihood
from truelead.debias.adjustment.random_ecg_margin import MarginLikelihood
from truelead.debias.adjustment.risk_extrapolation import EvenLikelihood
from truelead.debias.adjustment.rubi import MaskedLikelihood

YES, NO = 0, 1
WIDTH = 3


def facts_of(target: list[int], **changes: Tensor) -> RowFacts:
    """Yes/no rows of one question, one group each, two strata in turn."""
    rows = len(target)
    facts = RowFacts(
        option_BK=torch.ones(rows, 2, dtype=torch.bool),
        target_B=torch.tensor(target),
        weight_B=torch.ones(rows),
        stratum_B=torch.arange(rows) % 2,
        question_B=torch.ones(rows, dtype=torch.long),
        answer_BK=torch.tensor([[1, 2]]).repeat(rows, 1),
        group_B=torch.arange(rows),
        prior_BK=torch.full((rows, 2), 0.5).log(),
        positive_B=torch.tensor([int(answer == YES) for answer in target]),
        foil_differs_B=torch.zeros(rows, dtype=torch.bool),
    )
    return dataclasses.replace(facts, **changes)


def rows_of(logits_BK: Tensor, facts: RowFacts, **more: Tensor) -> AnswerRows:
    return AnswerRows(
        log_softmax(logits_BK, facts.option_BK), facts, torch.zeros(len(logits_BK), WIDTH), **more
    )


OBJECTIVES: dict[str, Objective] = {
    "logit-adjustment": AdjustedLikelihood(0.0),
    "learned-mixin": MixinLikelihood(WIDTH, 0.0),
    "group-dro": WorstGroupLikelihood(4, 1e-6),
    "irm": InvariantLikelihood(0.0, 0),
    "v-rex": EvenLikelihood(0.0),
    "paraphrase-kl": AgreeingLikelihood(0.0),
    "random-ecg-margin": MarginLikelihood(1.0, 0.0),
}
"""With these settings (and an even prior) each is the plain cross-entropy."""


@pytest.mark.parametrize("name", OBJECTIVES)
def test_switched_off_it_is_the_cross_entropy(name: str) -> None:
    torch.manual_seed(0)
    # Four groups of equal size, so that the worst-group mean is the plain mean.
    facts = facts_of([YES, YES, NO, NO] * 3, weight_B=torch.ones(12))
    logits_BK = torch.randn(12, 2)
    rows = rows_of(logits_BK, facts, foil_BK=log_softmax(torch.randn(12, 2), facts.option_BK))
    expected = torch.nn.functional.cross_entropy(logits_BK, facts.target_B, reduction="sum")
    assert OBJECTIVES[name](rows).item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    "objective",
    [
        AdjustedLikelihood(1.0),
        ProductLikelihood(2, 3),
        MixinLikelihood(WIDTH, 0.1),
        MaskedLikelihood(2, 3),
        FusedLikelihood(),
        LeftoverLikelihood(),
        WorstGroupLikelihood(4, 0.1),
        InvariantLikelihood(10.0, 0),
        EvenLikelihood(10.0),
        AgreeingLikelihood(1.0),
        MarginLikelihood(1.0, 1.0),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_padding_and_rows_with_one_option_are_harmless(objective: Objective) -> None:
    """Gradients stay finite, and a row with one option (an open question) moves nothing."""
    torch.manual_seed(1)
    option_BK = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]], dtype=torch.bool)
    prior_BK = log_softmax(torch.randn(4, 3), option_BK)
    facts = facts_of(
        [0, 0, 2, 1],
        option_BK=option_BK,
        prior_BK=prior_BK,
        answer_BK=torch.tensor([[1, 2, 0], [0, 0, 0], [1, 2, 0], [1, 2, 0]]),
        foil_differs_B=torch.tensor([True, False, True, True]),
    )
    logits_BK = torch.randn(4, 3, requires_grad=True)
    other_BK = log_softmax(torch.randn(4, 3), option_BK)
    loss = objective(rows_of(logits_BK, facts, blind_BK=other_BK, foil_BK=other_BK))
    loss.backward()
    assert torch.isfinite(loss)
    assert logits_BK.grad is not None
    assert torch.isfinite(logits_BK.grad).all()
    assert logits_BK.grad[1].abs().max() < 1e-6
    assert logits_BK.grad[~option_BK].abs().max() < 1e-6
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def confounded_rows(count: int = 2000) -> tuple[Tensor, RowFacts]:
    """Evidence e of +-1 that is right in 75 %, and a question answered yes in 90 %."""
    generator = torch.Generator().manual_seed(5)
    yes_B = torch.rand(count, generator=generator) < 0.9
    right_B = torch.rand(count, generator=generator) < 0.75
    evidence_B = torch.where(yes_B == right_B, 1.0, -1.0)
    facts = facts_of(
        torch.where(yes_B, YES, NO).tolist(),
        prior_BK=torch.tensor([[0.9, 0.1]]).log().repeat(count, 1),
    )
    return evidence_B, facts


def learned(objective: Objective, evidence_B: Tensor, facts: RowFacts) -> tuple[float, float]:
    """(bias, slope) of the log-odds of yes after fitting a logistic model of the evidence."""
    weight = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([weight, *objective.parameters()], lr=0.1)
    for _ in range(200):
        odds_B = weight[0] + weight[1] * evidence_B
        logits_BK = torch.stack([odds_B, torch.zeros_like(odds_B)], dim=1)
        optimizer.zero_grad()
        (objective(rows_of(logits_BK, facts)) / len(evidence_B)).backward()
        optimizer.step()
    return weight[0].item(), weight[1].item()


LOG_3 = 1.0986
"""Log-odds that evidence right in 75 % of the cases is worth."""


def test_plain_cross_entropy_learns_the_prior() -> None:
    bias, slope = learned(AdjustedLikelihood(0.0), *confounded_rows())
    assert bias == pytest.approx(2.197, abs=0.15)
    assert slope == pytest.approx(LOG_3, abs=0.15)


@pytest.mark.parametrize(
    "objective", [AdjustedLikelihood(1.0), ProductLikelihood(2, 3)], ids=["logits", "product"]
)
def test_the_prior_is_taken_out_and_the_evidence_stays(objective: Objective) -> None:
    bias, slope = learned(objective, *confounded_rows())
    assert bias == pytest.approx(0.0, abs=0.15)
    assert slope == pytest.approx(LOG_3, abs=0.15)


def test_a_learned_share_of_the_prior_leaves_less_of_it() -> None:
    plain, _ = learned(AdjustedLikelihood(0.0), *confounded_rows())
    bias, slope = learned(MixinLikelihood(WIDTH, 0.1), *confounded_rows())
    assert bias < plain - 0.5
    assert slope == pytest.approx(LOG_3, abs=0.3)


def test_the_mask_makes_rows_that_the_question_answers_weigh_less() -> None:
    """With a mask that says yes a row answered yes moves the logits less than one answered no."""
    objective = MaskedLikelihood(2, 3)
    facts = facts_of([YES, NO])
    with torch.no_grad():
        objective.branch.logits_QV.weight[1] = torch.tensor([0.0, 3.0, -3.0])
    slopes = []
    for row in (0, 1):
        logits_BK = torch.tensor([[0.5, -0.5]] * 2, requires_grad=True)
        objective.loss_B(rows_of(logits_BK, facts))[row].backward()
        assert logits_BK.grad is not None
        slopes.append(logits_BK.grad[row].abs().max().item())
    assert slopes[1] > slopes[0]


def test_what_the_question_answers_is_left_out_by_the_greedy_ensemble() -> None:
    facts = facts_of([YES, NO], prior_BK=torch.tensor([[0.9, 0.1], [0.9, 0.1]]).log())
    objective = LeftoverLikelihood()
    slopes = []
    for row in (0, 1):
        logits_BK = torch.zeros(2, 2, requires_grad=True)
        objective.loss_B(rows_of(logits_BK, facts))[row].backward()
        assert logits_BK.grad is not None
        slopes.append(logits_BK.grad[row].abs().max().item())
    assert slopes[1] > 10 * slopes[0]
    # 2 sigmoid(-2 logit 0.9) for the common answer, at most 1 for the rare one.
    prior = torch.tensor(0.9).logit()
    assert 2 * torch.sigmoid(-2 * prior).item() == pytest.approx(0.0244, abs=1e-3)


def test_the_worst_group_gains_weight_and_weights_stay_a_distribution() -> None:
    objective = WorstGroupLikelihood(4, 0.5)
    facts = facts_of([YES, YES, NO, NO])
    logits_BK = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0], [0.0, 3.0]])
    for _ in range(5):
        objective(rows_of(logits_BK, facts))
    # The second row: stratum 1, positive.
    assert int(objective.weight_G.argmax()) == 3
    assert objective.weight_G.sum().item() == pytest.approx(1.0, abs=1e-5)
    before = objective.weight_G.clone()
    objective.eval()(rows_of(logits_BK, facts))
    assert torch.equal(before, objective.weight_G)
    objective.train()


def test_the_invariance_penalty_is_the_squared_gradient_by_the_scale() -> None:
    """Against autograd: identical halves make the unbiased product a square."""
    facts = facts_of([YES, NO, YES, NO], stratum_B=torch.zeros(4, dtype=torch.long))
    logits_BK = torch.tensor([[1.0, -0.5], [0.3, 0.2]]).repeat_interleave(2, dim=0)
    facts = dataclasses.replace(facts, target_B=torch.tensor([YES, YES, NO, NO]))
    # Rows 0 and 2 make one half, 1 and 3 the other: the same logits and answers.
    scale = torch.ones(1, requires_grad=True)
    risk = torch.nn.functional.cross_entropy(scale * logits_BK, facts.target_B)
    (slope,) = torch.autograd.grad(risk, scale)
    plain = torch.nn.functional.cross_entropy(logits_BK, facts.target_B, reduction="sum")
    found = InvariantLikelihood(1.0, 0)(rows_of(logits_BK, facts))
    assert found.item() == pytest.approx(plain.item() + 4 * slope.item() ** 2, rel=1e-5)


def test_uneven_risks_are_penalised_by_their_variance() -> None:
    facts = facts_of([YES, YES])
    logits_BK = torch.tensor([[2.0, 0.0], [-1.0, 0.0]])
    risks = torch.nn.functional.cross_entropy(logits_BK, facts.target_B, reduction="none")
    found = EvenLikelihood(3.0)(rows_of(logits_BK, facts))
    expected = risks.sum() + 3.0 * risks.var(correction=0) * 2
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_wordings_of_one_question_are_drawn_together() -> None:
    facts = facts_of(
        [YES, YES, NO, NO, YES],
        group_B=torch.tensor([0, 0, 0, 1, 1]),
        question_B=torch.tensor([1, 1, 1, 1, 2]),
    )
    logits_BK = torch.randn(5, 2, requires_grad=True)
    rows = rows_of(logits_BK, facts)
    extra = AgreeingLikelihood(1.0)(rows) - AgreeingLikelihood(0.0)(rows)
    p, q = rows.log_probability_BK[0], rows.log_probability_BK[1]
    both = (p.exp() * (p - q)).sum() + (q.exp() * (q - p)).sum()
    # Rows 0 and 1 are twins; row 2 has no partner left, rows 3 and 4 ask different questions.
    assert extra.item() == pytest.approx(both.item(), rel=1e-4)


def test_the_margin_counts_only_where_the_labels_differ() -> None:
    facts = facts_of([YES, YES], foil_differs_B=torch.tensor([True, False]))
    own_BK, foil_BK = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.8, 0.0]] * 2)
    rows = rows_of(own_BK, facts, foil_BK=log_softmax(foil_BK, facts.option_BK))
    extra = MarginLikelihood(1.0, 2.0)(rows) - MarginLikelihood(1.0, 0.0)(rows)
    lead = rows.log_probability_BK[0, YES] - log_softmax(foil_BK, facts.option_BK)[0, YES]
    assert extra.item() == pytest.approx(2.0 * (1.0 - lead.item()), rel=1e-4)


def test_the_fusion_gives_the_rule_of_answering() -> None:
    objective = FusedLikelihood()
    facts = facts_of([YES, NO])
    blind_BK = log_softmax(torch.tensor([[2.0, 0.0]] * 2), facts.option_BK)
    rows = rows_of(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), facts, blind_BK=blind_BK)
    objective(rows).backward()
    assert objective.constant.grad is not None
    with torch.no_grad():
        objective.constant.fill_(0.25)
    assert objective.answer_rule() == {"rule": "counterfactual", "constant": 0.25}


def test_the_padding_has_no_probability() -> None:
    option_BK = torch.tensor([[True, True, False]])
    found = log_softmax(torch.tensor([[0.0, 0.0, 50.0]]), option_BK)
    assert found[0, 2].item() <= NO_OPTION / 2
    assert found.exp()[0, :2].tolist() == pytest.approx([0.5, 0.5])
