"""Explicit strata: the model is told the severity in training, and answering sums over it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from truelead.config import Scalar
from truelead.debias.adjustment.base import DrawnQuestion
from truelead.debias.adjustment.on_draws import OnDraws
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError

_RULES = {"exact": {"rule": "strata-sum"}, "one-pass": None}


class Strata(OnDraws):
    """Trains P(a given q, E, s); answers with the sum over s of P(s) P(a given q, E, s).

    The backdoor adjustment as it is written. Each question row begins with the embedding e_s of
    its ECG's stratum; P(s) is the share of the train groups in the stratum. The exact sum reads
    every stratum behind one ECG prefix; the one-pass form reads sum over s of P(s) e_s instead
    (see `truelead.model.severity_slot`), as generation always does.

    Assumes that the strata hold all of the confounding, and that every question is asked in every
    stratum: what is asked in one alone is answered there from what the model makes of other
    questions, `violations` names it. P(s) is the population's: where the ECG tells the severity,
    the truth has P(s given E) instead, and the sum gives weight to strata that the ECG rules out.
    Answer imbalance within (q, s) stays; draws that balance the answers go with it (`draws`).

    Sources: Pearl, Causality (2nd edition, 2009), section 3.3; Wang et al., CVPR 2020, and Xu et
    al., ICML 2015, for the one-pass form.

    Options: those of `OnDraws`, and
        inference: "exact" or "one-pass", for closed questions.
    """

    name = "strata"
    OPTIONS: dict[str, Scalar] = {**OnDraws.OPTIONS, "inference": "exact"}  # noqa: RUF012

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        super().__init__(setup, questions_per_ecg, seed, options)
        if self.options["inference"] not in _RULES:
            raise ConfigError(
                f"options of {self.name}: inference: expected one of {', '.join(_RULES)}, "
                f"found {self.options['inference']!r}"
            )

    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """See `Adjustment.draw`; the model is told the stratum."""
        return tuple(
            replace(item, told_stratum=item.stratum) for item in self.base.draw(group, epoch)
        )

    def model_options(self) -> dict[str, Any]:
        """See `Adjustment.model_options`."""
        return {
            "severity_slot": {"kind": "strata", "prior": stratum_shares(self.setup)},
            "answer_rule": _RULES[str(self.options["inference"])],
        }

    def violations(self) -> tuple[str, ...]:
        """Questions that the first epoch never draws in a stratum, after those of the draws."""
        drawn: dict[str, set[int]] = {}
        for group in self.setup.groups("train"):
            for item in self.base.draw(group, 0):
                drawn.setdefault(item.question.question_id, set()).add(item.stratum)
        return (
            *self.base.violations(),
            *(
                f"{question} is never drawn in stratum {name!r}"
                for question in sorted(drawn)
                for stratum, name in enumerate(self.setup.severity.strata)
                if stratum not in drawn[question]
            ),
        )


def stratum_shares(setup: Setup) -> list[float]:
    """P(s): the share of the train groups in each stratum, in order.

    Raises:
        ConfigError: there are no train groups.
    """
    counts = Counter(setup.stratum(group) for group in setup.groups("train"))
    total = counts.total()
    if not total:
        raise ConfigError("severity: expected train ECGs to count strata of, found none")
    return [counts[stratum] / total for stratum in range(len(setup.severity.strata))]
