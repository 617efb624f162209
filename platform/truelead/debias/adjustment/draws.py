"""Strategies that act by what is drawn and how it weighs; all others can stand on one of them."""

from __future__ import annotations

from truelead.debias.adjustment.base import Adjustment
from truelead.debias.adjustment.do_question import DoQuestion
from truelead.debias.adjustment.do_question_balanced import DoQuestionBalanced
from truelead.debias.adjustment.inverse_bias import InverseBias
from truelead.debias.adjustment.inverse_probability import InverseProbabilityWeighting
from truelead.debias.adjustment.none import NoAdjustment

DRAWS: dict[str, type[Adjustment]] = {
    "none": NoAdjustment,
    "do-question": DoQuestion,
    "do-question-balanced": DoQuestionBalanced,
    "inverse-bias": InverseBias,
    "ipw": InverseProbabilityWeighting,
}
