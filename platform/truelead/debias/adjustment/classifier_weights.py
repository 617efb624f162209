"""Weights of the observed questions by a classifier of their words, in place of counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from truelead.debias.propensity import QuestionPropensity, fold_of
from truelead.debias.setup.base import Group, Setup
from truelead.types import Question

_Row = tuple[str, str, str, int, int]
"""Text, question_id, answer, stratum, fold of the patient."""


class ClassifierWeights:
    """w = P(s) / P(s given the words of q), clipped, scaled to mean 1 over the observed questions.

    Args:
        epochs: how many epochs of observed questions of the train groups are learnt from.
        folds: how many parts the patients are cut into for cross-fitting.
        clip: weights are kept within 1 / clip .. clip before scaling.
        balance_answers: even out the answers within each question.

    Attributes:
        violations: questions that would weigh more than `clip` in a stratum, each named with the
            probability that the classifiers give it, mean over its wordings as they are asked.
        diagnostics: `clipped`, share of the observed questions whose weight was clipped;
            `propensity_overlap`, share of those that would stay within `clip` in every stratum;
            `propensity_bits`, see `QuestionPropensity.held_out_bits`.

    Raises:
        ConfigError: see `QuestionPropensity.fit`.
    """

    def __init__(
        self,
        setup: Setup,
        questions_per_ecg: int,
        *,
        epochs: int,
        folds: int,
        clip: float,
        balance_answers: bool,
    ) -> None:
        self._setup = setup
        self._folds = folds
        self._clip = clip
        self._fold_of: dict[str, int] = {}
        rows = self._observed(questions_per_ecg, epochs)
        asked: dict[tuple[str, int, int], int] = defaultdict(int)
        for (text, _, _, stratum, fold), count in rows.items():
            asked[text, stratum, fold] += count
        self._propensity = QuestionPropensity.fit(asked, len(setup.severity.strata), folds)
        plain = {row: self._propensity.weight(row[0], row[3], row[4]) for row in rows}
        self._even = self._evening(rows, plain) if balance_answers else {}
        unclipped = {row: weight * self._even.get(row[1:3], 1.0) for row, weight in plain.items()}
        clipped = {row: self._within(weight) for row, weight in unclipped.items()}
        total = sum(rows.values())
        self._mean = sum(count * clipped[row] for row, count in rows.items()) / total
        cut = sum(count for row, count in rows.items() if clipped[row] != unclipped[row])
        self.violations = self._out_of_reach(rows)
        self.diagnostics: Mapping[str, float] = {
            "clipped": cut / total,
            "propensity_overlap": self._overlap(rows) / total,
            "propensity_bits": self._propensity.held_out_bits(asked),
        }

    def weight(self, question: Question, stratum: int) -> float:
        """The weight of a question observed in the stratum, in whatever words."""
        plain = self._propensity.weight(question.text, stratum, self._fold(question.ecg_ids))
        even = self._even.get((question.question_id, question.answer_text), 1.0)
        return self._within(plain * even) / self._mean

    def _fold(self, group: Group) -> int:
        """That of the patient of the last ECG, whose severity counts."""
        record = self._setup.records[group[-1]]
        patient = record.patient_id or record.record_id
        if patient not in self._fold_of:
            self._fold_of[patient] = fold_of(patient, self._folds)
        return self._fold_of[patient]

    def _within(self, weight: float) -> float:
        return min(max(weight, 1.0 / self._clip), self._clip)

    def _observed(self, questions_per_ecg: int, epochs: int) -> dict[_Row, int]:
        rows: dict[_Row, int] = defaultdict(int)
        for group in self._setup.groups("train"):
            stratum, fold = self._setup.stratum(group), self._fold(group)
            for epoch in range(epochs):
                for asked in self._setup.observed(group, epoch, questions_per_ecg):
                    rows[asked.text, asked.question_id, asked.answer_text, stratum, fold] += 1
        return dict(rows)

    def _evening(
        self, rows: Mapping[_Row, int], plain: Mapping[_Row, float]
    ) -> dict[tuple[str, str], float]:
        """(question_id, answer) -> factor that makes a question's answers weigh the same."""
        mass: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for row, count in rows.items():
            _, question, answer, _, _ = row
            mass[question][answer] += count * self._within(plain[row])
        return {
            (question, answer): sum(answers.values()) / len(answers) / of_answer
            for question, answers in mass.items()
            for answer, of_answer in answers.items()
        }

    def _overlap(self, rows: Mapping[_Row, int]) -> int:
        """How many observed questions weigh at most `clip` in every stratum."""
        least_A = self._propensity.marginal_A / self._clip
        return sum(
            count
            for (text, _, _, _, fold), count in rows.items()
            if (self._propensity.probability_FA(text)[fold] >= least_A).all()
        )

    def _out_of_reach(self, rows: Mapping[_Row, int]) -> tuple[str, ...]:
        total: dict[str, int] = defaultdict(int)
        summed: dict[str, np.ndarray] = {}
        for (text, question, _, _, fold), count in rows.items():
            found_A = count * self._propensity.probability_FA(text)[fold]
            summed[question] = summed[question] + found_A if question in summed else found_A
            total[question] += count
        marginal_A = self._propensity.marginal_A
        return tuple(
            f"{question} has probability {found:.2g} of stratum {name!r}, of all {share:.2g}"
            for question in sorted(summed)
            for name, found, share in zip(
                self._setup.severity.strata,
                (summed[question] / total[question]).tolist(),
                marginal_A.tolist(),
                strict=True,
            )
            if found < share / self._clip
        )
