"""Adjustment strategies: how the questions of a training stage are drawn and weighted."""

from __future__ import annotations

from truelead.config import StageConfig
from truelead.debias.adjustment.base import Adjustment, DrawnQuestion
from truelead.debias.adjustment.do_question import DoQuestion
from truelead.debias.adjustment.do_question_balanced import DoQuestionBalanced
from truelead.debias.adjustment.inverse_bias import InverseBias
from truelead.debias.adjustment.inverse_probability import InverseProbabilityWeighting
from truelead.debias.adjustment.none import NoAdjustment
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError

__all__ = ["ADJUSTMENTS", "Adjustment", "DrawnQuestion", "build_adjustment"]

ADJUSTMENTS: dict[str, type[Adjustment]] = {
    "none": NoAdjustment,
    "do-question": DoQuestion,
    "do-question-balanced": DoQuestionBalanced,
    "inverse-bias": InverseBias,
    "ipw": InverseProbabilityWeighting,
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
