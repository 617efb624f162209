"""How the options of a closed question are scored: the part of a causal method that answers.

A rule is a mapping in the model's configuration (`TrueLeadConfig.answer_rule`):

    direct          log p(a | q, E), the likelihood of the option's words.
    strata-sum      log of sum over s of P(s) p(a | q, E, s), for a model with a strata slot. Each
                    p(. | q, E, s) is a distribution over the options, so that the weight of a
                    stratum is P(s) whatever the model thinks of the options together. All strata
                    are read behind the same cached ECG prefix.
    counterfactual  CF-VQA (Niu et al., CVPR 2021) with one shortcut branch, the question. With
                    z_k the logits of the options read with the ECG and z_q read without any, and
                    the fusion Z(z_q, z_k) = log sigmoid(z_q + z_k), the score is the total
                    indirect effect
                        Z(z_q, z_k) - Z(z_q, c),
                    the total effect less the natural direct effect of the question; c is a
                    constant, learned in training. z are log-likelihoods less their mean over
                    the options (which makes their normalisation immaterial).

Scores of strata-sum and counterfactual are normalised: their exponentials sum to 1.

Shape suffixes: A severity strata, O options of one question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from truelead.errors import ModelError
from truelead.model.batch import Batch
from truelead.model.prefix import Prefixes
from truelead.model.processing import GroupInput, TrueLeadProcessor
from truelead.model.scoring import score_options

if TYPE_CHECKING:
    from truelead.model.modeling import TrueLeadForConditionalGeneration
    from truelead.types import Ecg

Options = Sequence[Sequence[Sequence[int]]]
Scores = list[list[float]]

DIRECT = "direct"
STRATA_SUM = "strata-sum"
COUNTERFACTUAL = "counterfactual"


@dataclass(frozen=True)
class ClosedQuestions:
    """Closed questions about ECGs at hand, and the model that is asked.

    Attributes:
        groups: the questions, without answers.
        options: token ids of each option of each question, in the groups' order.
        ecgs, features, prefixes: what the groups point to, as for `TrueLeadProcessor.batch`.
    """

    model: TrueLeadForConditionalGeneration
    processor: TrueLeadProcessor
    groups: Sequence[GroupInput]
    options: Options
    ecgs: Sequence[Ecg] | NDArray[np.float32] | None = None
    features: NDArray[np.floating[Any]] | None = None
    prefixes: Prefixes | None = None

    def batch(self, groups: Sequence[GroupInput]) -> Batch:
        """The groups, ready for the model."""
        return self.processor.batch(
            groups, ecgs=self.ecgs, features=self.features, prefixes=self.prefixes
        )


def score_closed(asked: ClosedQuestions) -> Scores:
    """Score of each option of each question, by the model's own rule.

    Raises:
        ModelError: the configuration's rule cannot be used with this model.
        SpliceError: a group names an ECG that is not there, or more than two.
    """
    config = asked.model.config
    rule = check_rule(config.answer_rule, config.severity_slot)
    return ANSWER_RULES[rule["rule"]](asked, rule)


def check_rule(
    rule: Mapping[str, Any] | None, severity_slot: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The rule as a mapping with all its keys; None is the direct one.

    Raises:
        ModelError: no such rule; a key missing, unknown or not finite; a sum over strata without
            a strata slot.
    """
    found = dict(rule or {"rule": DIRECT})
    name = found.get("rule")
    if name not in ANSWER_RULES:
        known = ", ".join(ANSWER_RULES)
        raise ModelError(f"answer_rule: rule: expected one of {known}, found {name!r}")
    keys = {"rule", "constant"} if name == COUNTERFACTUAL else {"rule"}
    if set(found) != keys:
        raise ModelError(
            f"answer_rule: {name}: expected the keys {', '.join(sorted(keys))}, "
            f"found {', '.join(sorted(found))}"
        )
    constant = found.get("constant", 0.0)
    if not isinstance(constant, int | float) or not math.isfinite(constant):
        raise ModelError(f"answer_rule: constant: expected a finite number, found {constant!r}")
    if name == STRATA_SUM and (severity_slot or {}).get("kind") != "strata":
        raise ModelError("answer_rule: strata-sum: expected a model with a strata severity_slot")
    return found


def rows_per_question(config: Any) -> int:
    """How many question rows a rule reads at once for one question."""
    if (config.answer_rule or {}).get("rule") == STRATA_SUM:
        return max(1, len(config.severity_slot["prior"]))
    return 1


def _direct(asked: ClosedQuestions, rule: Mapping[str, Any]) -> Scores:
    return _read(asked, asked.groups)


def _strata_sum(asked: ClosedQuestions, rule: Mapping[str, Any]) -> Scores:
    prior: Sequence[float] = asked.model.config.severity_slot["prior"]
    strata = [stratum for stratum, share in enumerate(prior) if share > 0]
    batch = asked.batch(asked.groups)
    row_R = torch.arange(batch.rows).repeat_interleave(len(strata))
    told_R = torch.tensor(strata).repeat(batch.rows)
    every = batch.take_rows(row_R, told_stratum_B=told_R).to(asked.model.device)
    options = [choices for choices in asked.options for _ in strata]
    found = score_options(asked.model, every, options)
    log_prior_A = torch.tensor([prior[stratum] for stratum in strata], dtype=torch.float64).log()
    return [
        sum_over_strata(
            torch.tensor(found[start : start + len(strata)], dtype=torch.float64), log_prior_A
        ).tolist()
        for start in range(0, len(found), len(strata))
    ]


def _counterfactual(asked: ClosedQuestions, rule: Mapping[str, Any]) -> Scores:
    questions = tuple(question for group in asked.groups for question in group.questions)
    with_ecg = _read(asked, asked.groups)
    without_ecg = _read(asked, [GroupInput((), questions, with_answers=False)])
    return [
        total_indirect_effect(
            torch.tensor(blind, dtype=torch.float64),
            torch.tensor(seen, dtype=torch.float64),
            float(rule["constant"]),
        ).tolist()
        for blind, seen in zip(without_ecg, with_ecg, strict=True)
    ]


ANSWER_RULES: dict[str, Callable[[ClosedQuestions, Mapping[str, Any]], Scores]] = {
    DIRECT: _direct,
    STRATA_SUM: _strata_sum,
    COUNTERFACTUAL: _counterfactual,
}


def sum_over_strata(score_AO: Tensor, log_prior_A: Tensor) -> Tensor:
    """log of sum over s of P(s) p(o | s): [O], from log-likelihoods in each stratum."""
    return (log_prior_A[:, None] + score_AO.log_softmax(dim=1)).logsumexp(dim=0)


def total_indirect_effect(blind_O: Tensor, seen_O: Tensor, constant: float) -> Tensor:
    """Z(z_q, z_k) - Z(z_q, c): [O], as log-probabilities over the options.

    Args:
        blind_O: log-likelihoods of the options read without an ECG.
        seen_O: read with the ECG.
        constant: c.
    """
    blind_O, seen_O = blind_O - blind_O.mean(), seen_O - seen_O.mean()
    effect_O = functional.logsigmoid(blind_O + seen_O) - functional.logsigmoid(blind_O + constant)
    return effect_O.log_softmax(dim=0)


def _read(asked: ClosedQuestions, groups: Sequence[GroupInput]) -> Scores:
    batch = asked.batch(groups).to(asked.model.device)
    return score_options(asked.model, batch, asked.options)
