"""What every adjustment strategy is: it draws weighted questions for a group of ECGs.

A draw is a pure function of (seed, epoch, group): any worker, and a resumed run, repeats it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from truelead.config import Scalar
from truelead.debias.diagnostics import (
    conditional_mutual_information,
    effective_sample_size,
    mutual_information,
    never_asked,
    question_only_accuracy,
)
from truelead.debias.randomness import generator
from truelead.debias.setup.base import NEGATIVE_ANSWERS, Setup
from truelead.errors import ConfigError
from truelead.types import Question

if TYPE_CHECKING:
    from truelead.debias.adjustment.objective import Objective


@dataclass(frozen=True)
class DrawnQuestion:
    """A question to train on.

    Attributes:
        weight: weight of its loss; the mean over the draws of an epoch is 1.
        stratum: severity of illness of the group's last ECG.
        told_stratum: the stratum where the model is told it with the question (a model with a
            strata slot can read it), -1 where not.
    """

    question: Question
    weight: float
    stratum: int
    told_stratum: int = -1


class Adjustment(ABC):
    """Draws the training questions of a group; a part of `ADJUSTMENTS`.

    Args:
        setup: where questions, answers and severities come from.
        questions_per_ecg: mean number of questions drawn for a group an epoch.
        seed: seed of the draws.
        options: the strategy's own arguments, checked against `OPTIONS`.
    """

    name: str
    OPTIONS: dict[str, Scalar] = {}  # noqa: RUF012  # overridden whole, never changed
    """Option names with their defaults."""

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        for key, value in options.items():
            if key not in self.OPTIONS:
                known = ", ".join(self.OPTIONS) or "none"
                raise ConfigError(f"options of {self.name}: unknown {key!r}, expected {known}")
            if type(value) not in (type(self.OPTIONS[key]), *_ALSO[type(self.OPTIONS[key])]):
                raise ConfigError(
                    f"options of {self.name}: {key}: expected "
                    f"{type(self.OPTIONS[key]).__name__}, found {value!r}"
                )
        self.setup = setup
        self.questions_per_ecg = questions_per_ecg
        self.seed = seed
        self.options: dict[str, Scalar] = {**self.OPTIONS, **options}
        self._never_drawn: tuple[str, ...] | None = None

    @abstractmethod
    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """The group's questions of this epoch, perhaps none.

        Args:
            group: record_ids of one ECG or of an ordered pair, as `Setup.groups` gives them.
        """

    def objective(self, width: int) -> Objective | None:
        """The loss to train with; None for the answers' likelihood.

        Args:
            width: H, the language model's width.
        """
        return None

    def model_options(self) -> dict[str, Any]:
        """What the model must have before it is trained: `severity_slot` and `answer_rule`.

        Keyword arguments of `truelead.model.build.fit_to_strategy`; empty for a plain model.
        """
        return {}

    def violations(self) -> tuple[str, ...]:
        """Positivity violations, each named: a question that a stratum is never asked.

        Read off the first epoch's draw, unless the strategy knows the cells that it should ask.
        What no ECG of a stratum is asked cannot be adjusted for that stratum.
        """
        if self._never_drawn is None:
            drawn = {(item.question.question_id, item.stratum) for _, item in self._drawn(0)}
            self._never_drawn = never_asked(drawn, self.setup.severity.strata, "drawn")
        return self._never_drawn

    def own_diagnostics(self) -> dict[str, float]:
        """Figures that only this strategy has."""
        return {}

    def diagnostics(self, epoch: int = 0) -> dict[str, float]:
        """Causal diagnostics of one epoch's draw over the train groups, weights included.

        Information is in bits, Miller-Madow corrected (see `truelead.debias.diagnostics`).
        `question_only_accuracy` is fitted on one half of the groups and read off the other.
        """
        drawn = self._drawn(epoch)
        if not drawn:
            raise ConfigError(f"{self.name}: expected train ECGs with questions, found none drawn")
        questions = [item.question.question_id for _, item in drawn]
        answers = [item.question.answer_text for _, item in drawn]
        strata = [item.stratum for _, item in drawn]
        weights = [item.weight for _, item in drawn]
        groups = len(self.setup.groups("train"))
        positive = sum(
            weight
            for weight, answer in zip(weights, answers, strict=True)
            if answer not in NEGATIVE_ANSWERS
        )
        return {
            "questions": float(len(drawn)),
            "questions_per_ecg": len(drawn) / groups,
            "groups_asked": len({group for group, _ in drawn}) / groups,
            "question_severity_bits": mutual_information(questions, strata, weights),
            "question_answer_bits": mutual_information(questions, answers, weights),
            "answer_severity_bits": conditional_mutual_information(
                answers, strata, questions, weights
            ),
            "positive_answers": positive / sum(weights),
            "question_only_accuracy": self._question_only(drawn),
            "effective_sample_size": effective_sample_size(weights),
            "weight_maximum": max(weights),
            "distinct_cells": len({(group, item.question.question_id) for group, item in drawn})
            / len(drawn),
            "positivity_violations": float(len(self.violations())),
            **self.own_diagnostics(),
        }

    def report(self) -> dict[str, Any]:
        """What a run writes down of its draw: `diagnostics`, and beside the numbers

        positivity_violation_names: `violations`.
        strata: the share of the train groups in each stratum, by its name.
        """
        groups = self.setup.groups("train")
        shares = Counter(self.setup.stratum(group) for group in groups)
        return {
            **self.diagnostics(),
            "positivity_violation_names": list(self.violations()),
            "strata": {
                name: shares[stratum] / len(groups)
                for stratum, name in enumerate(self.setup.severity.strata)
            },
        }

    def _drawn(self, epoch: int) -> list[tuple[tuple[str, ...], DrawnQuestion]]:
        """Every train group's draw of an epoch."""
        return [
            (group, item)
            for group in self.setup.groups("train")
            for item in self.draw(group, epoch)
        ]

    def _question_only(self, drawn: Sequence[tuple[tuple[str, ...], DrawnQuestion]]) -> float:
        halves: tuple[list[DrawnQuestion], list[DrawnQuestion]] = ([], [])
        for group, item in drawn:
            halves[int(generator("half", *group).integers(2))].append(item)
        fit, held_out = halves
        if not fit or not held_out:
            fit = held_out = [item for _, item in drawn]
        pairs = [(item.question.question_id, item.question.answer_text) for item in held_out]
        return question_only_accuracy(
            [(item.question.question_id, item.question.answer_text) for item in fit],
            pairs,
            [item.weight for item in fit],
            [item.weight for item in held_out],
        )


_ALSO: dict[type, tuple[type, ...]] = {bool: (), int: (), float: (int,), str: ()}
"""Types accepted beside the default's own."""
