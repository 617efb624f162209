"""Adjustment strategies: how a stage's questions are drawn and weighted, and with what loss."""

from __future__ import annotations

from truelead.config import StageConfig
from truelead.debias.adjustment.base import Adjustment, DrawnQuestion
from truelead.debias.adjustment.counterfactual import Counterfactual
from truelead.debias.adjustment.dictionary import Dictionary
from truelead.debias.adjustment.draws import DRAWS
from truelead.debias.adjustment.greedy_gradient import GreedyGradientEnsemble
from truelead.debias.adjustment.group_dro import GroupDro
from truelead.debias.adjustment.invariant_risk import InvariantRisk
from truelead.debias.adjustment.learned_mixin import LearnedMixin
from truelead.debias.adjustment.logit_adjustment import LogitAdjustment
from truelead.debias.adjustment.paraphrase_agreement import ParaphraseAgreement
from truelead.debias.adjustment.product_of_experts import ProductOfExperts
from truelead.debias.adjustment.random_ecg_margin import RandomEcgMargin
from truelead.debias.adjustment.risk_extrapolation import RiskExtrapolation
from truelead.debias.adjustment.rubi import Rubi
from truelead.debias.adjustment.strata import Strata
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError

__all__ = ["ADJUSTMENTS", "Adjustment", "DrawnQuestion", "build_adjustment"]

ADJUSTMENTS: dict[str, type[Adjustment]] = {
    **DRAWS,
    "strata": Strata,
    "dictionary": Dictionary,
    "logit-adjustment": LogitAdjustment,
    "product-of-experts": ProductOfExperts,
    "learned-mixin": LearnedMixin,
    "rubi": Rubi,
    "cf-vqa": Counterfactual,
    "gge": GreedyGradientEnsemble,
    "group-dro": GroupDro,
    "irm": InvariantRisk,
    "v-rex": RiskExtrapolation,
    "paraphrase-kl": ParaphraseAgreement,
    "random-ecg-margin": RandomEcgMargin,
}


def build_adjustment(stage: StageConfig, setup: Setup, seed: int) -> Adjustment:
    """The strategy that a stage names.

    Raises:
        ConfigError: no such strategy, or an option it does not have.
    """
    if stage.strategy not in ADJUSTMENTS:
        known = ", ".join(ADJUSTMENTS)
        raise ConfigError(f"strategy: expected one of {known}, found {stage.strategy!r}")
    kind = ADJUSTMENTS[stage.strategy]
    return kind(setup, stage.questions_per_ecg, seed, dict(stage.options))
