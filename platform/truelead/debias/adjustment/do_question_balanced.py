"""do(Q) with even answers: selection depends on question and answer, never on severity."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from truelead.config import Scalar
from truelead.debias.adjustment.base import Adjustment, DrawnQuestion
from truelead.debias.adjustment.rates import CellKey, balanced_rates
from truelead.debias.randomness import generator
from truelead.debias.setup.base import Setup
from truelead.errors import ConfigError

RARE_ANSWERS = "(rare answers)"


class DoQuestionBalanced(Adjustment):
    """Draws each (question, answer) cell of the bank equally often over an epoch.

    The rate of a cell is counted once from the train groups. A group's draw holds each of its
    cells floor(rate) times, once more with the probability of the fraction, each time in a
    training wording of its own. A question with one single answer cannot be balanced and is
    left out.

    Because the rate depends on question and answer only, the drawn P(e, s given q, a) is the
    population's: severity neither chooses the question nor foretells the answer beyond what
    truly shows in the ECG. `stratified` goes further and evens the answers out within each
    (question, stratum) too: absent examples are matched to the present ones in severity, and
    severity tells nothing of the answer.

    Options:
        stratified: balance within (question, stratum).
        stratum_prior: P*(s given q) when stratified: "minority" or "marginal".
        frequency_exponent: above 0 asks questions with more positives oftener, see
            `balanced_rates`.
        maximum_repeats: no question is asked of one group more often in an epoch.
        maximum_questions: a group's draw above this is cut to a random part.
        rare_answers: answers that fewer train groups have are pooled into one.
    """

    name = "do-question-balanced"
    OPTIONS: dict[str, Scalar] = {  # noqa: RUF012
        "stratified": False,
        "stratum_prior": "minority",
        "frequency_exponent": 0.0,
        "maximum_repeats": 8.0,
        "maximum_questions": 64,
        "rare_answers": 5,
    }

    def __init__(
        self, setup: Setup, questions_per_ecg: int, seed: int, options: dict[str, Scalar]
    ) -> None:
        super().__init__(setup, questions_per_ecg, seed, options)
        chosen = self.options
        self._stratified = bool(chosen["stratified"])
        self._maximum = int(chosen["maximum_questions"] or 0)
        repeats = float(chosen["maximum_repeats"] or 0)
        if chosen["stratum_prior"] not in ("minority", "marginal"):
            raise ConfigError(
                f"options of {self.name}: stratum_prior: expected minority or marginal, "
                f"found {chosen['stratum_prior']!r}"
            )
        if self._maximum < 1 or repeats <= 0:
            raise ConfigError(
                f"options of {self.name}: expected maximum_questions of at least 1 and "
                "maximum_repeats above 0"
            )
        groups = setup.groups("train")
        self._kept = _kept_answers(setup, int(chosen["rare_answers"] or 0))
        counts: Counter[CellKey] = Counter()
        for group in groups:
            stratum = setup.stratum(group)
            counts.update(
                self._key(cell.question_id, cell.answer, stratum) for cell in setup.cells(group)
            )
        self._rates = balanced_rates(
            counts,
            float(questions_per_ecg * len(groups)),
            question_weight=setup.question_weight,
            stratum_prior=str(chosen["stratum_prior"]),
            frequency_exponent=float(chosen["frequency_exponent"] or 0),
            maximum_repeats=repeats,
        )
        if not self._rates.rate:
            raise ConfigError(f"{self.name}: expected a question with two answers, found none")
        self._counts = counts

    def draw(self, group: tuple[str, ...], epoch: int) -> tuple[DrawnQuestion, ...]:
        """See `Adjustment.draw`."""
        rng = generator(self.name, self.seed, epoch, *group)
        cells = self.setup.cells(group)
        stratum = self.setup.stratum(group)
        rate = np.array([self._rates.rate.get(self._key(*cell, stratum), 0.0) for cell in cells])
        times = np.floor(rate) + (rng.random(len(cells)) < rate - np.floor(rate))
        asked = np.repeat(np.arange(len(cells)), times.astype(np.int64))
        rng.shuffle(asked)
        return tuple(
            DrawnQuestion(self.setup.ask(group, cells[index].question_id, rng), 1.0, stratum)
            for index in asked[: self._maximum].tolist()
        )

    def violations(self) -> tuple[str, ...]:
        """See `Adjustment.violations`."""
        names = self.setup.severity.strata
        return tuple(
            f"{question} has one answer only" + (f" in stratum {names[s]!r}" if s >= 0 else "")
            for question, s in self._rates.violations
        )

    def own_diagnostics(self) -> dict[str, float]:
        """What the rates ask for: expected questions, the largest rate, cells' sample size.

        `cell_effective_sample_size` is (sum of rates)^2 / sum of squared rates over all (group,
        question) cells: how many different examples the draw is worth.
        """
        rates = self._rates
        first = sum(rates.rate[key] * self._counts[key] for key in rates.rate)
        second = sum(rates.rate[key] ** 2 * self._counts[key] for key in rates.rate)
        return {
            "expected_questions_per_ecg": rates.expected / len(self.setup.groups("train")),
            "rate_maximum": max(rates.rate.values()),
            "cell_effective_sample_size": first**2 / second,
        }

    def _key(self, question_id: str, answer: str, stratum: int) -> CellKey:
        pooled = answer if answer in self._kept.get(question_id, ()) else RARE_ANSWERS
        return (question_id, pooled, stratum if self._stratified else -1)


def _kept_answers(setup: Setup, minimum: int) -> dict[str, frozenset[str]]:
    """Per question, the answers that at least `minimum` train groups have."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for group in setup.groups("train"):
        for cell in setup.cells(group):
            counts[cell.question_id][cell.answer] += 1
    return {
        question: frozenset(answer for answer, count in answers.items() if count >= minimum)
        for question, answers in counts.items()
    }
