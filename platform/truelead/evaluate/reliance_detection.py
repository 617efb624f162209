"""Do flags find the answers that were given with another patient's ECG?

An answer that the model gave from a random patient's ECG is held against the patient's own ECG. On
questions where the labels of the two ECGs differ it should be flagged; answers given with the own
ECG should not be (a false alarm).

What can be reached is bounded by how well the model reads: some of the swapped answers are, by the
model's mistakes, true of the patient, and not even a reader without fault would flag those. Their
share is reported, and detection is given with and without them.

Shape suffixes: S seeds (runs of an arm), Q questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.config import Recipe
from truelead.data.store import ShardStore
from truelead.evaluate.bootstrap import Clusters, Interval, interval
from truelead.evaluate.metrics import is_correct
from truelead.evaluate.reliance import percent
from truelead.evaluate.reliance_calibration import TEST_SETS, CalibratedModel
from truelead.evaluate.stored_features import answered, measured
from truelead.evaluate.suites.random_ecg import substitutes
from truelead.evaluate.suites.suite import SuiteContext
from truelead.model.answering import Answer
from truelead.types import Question


@dataclass(frozen=True)
class RelianceResult:
    """How well flags tell answers that were given with another patient's ECG.

    Attributes:
        arm: the model. test_set: the questions.
        bound: the false-alarm rate that the threshold was fitted for.
        false_alarms: share flagged of the answers given with the patient's own ECG.
        detected: share flagged of the answers given with a random patient's ECG, on questions
            where the labels of the two differ.
        detected_false: the same, of those answers that are false of the patient.
        true_of_patient: share of the answers given with a random patient's ECG, on those
            questions, that are true of the patient: a faultless reader flags the others.
        questions, differing: how many were asked, and of how many the labels differ.
        patients, seeds: whose ECGs were asked about; runs of the arm.
    """

    arm: str
    test_set: str
    bound: float
    false_alarms: Interval
    detected: Interval
    detected_false: Interval
    true_of_patient: Interval
    questions: int
    differing: int
    patients: int
    seeds: int

    def row(self) -> str:
        """The result in one sentence."""
        return (
            f"{self.arm}, {self.test_set}: with a threshold for at most {100 * self.bound:.0f} % "
            f"false alarms, {percent(self.false_alarms)} of the answers given with the patient's "
            f"own ECG are flagged, and {percent(self.detected)} of those given with a random "
            f"patient's ECG on the {self.differing} questions where the labels differ. Of the "
            f"latter {percent(self.true_of_patient)} happen to be true of the patient; of the "
            f"others {percent(self.detected_false)} are flagged."
        )


def measure_reliance(
    recipe: Recipe, runs: Mapping[str, Sequence[Path]], context: SuiteContext, store: ShardStore
) -> tuple[RelianceResult, ...]:
    """Test the calibrated models of each arm on the judge's patients.

    Args:
        runs: arm -> folders of its calibrated models, one a seed.
        context: the judge's test sets and what is known of their ECGs.

    Raises:
        ModelError: a model is not calibrated.
    """
    settings = recipe.evaluate
    results: list[RelianceResult] = []
    for arm, folders in runs.items():
        models = (
            CalibratedModel.load(folder, store, ecgs_per_batch=settings.batch_ecgs)
            for folder in folders
        )
        results += detection(arm, models, context, samples=settings.bootstrap_samples)
    return tuple(results)


def detection(
    arm: str, models: Iterable[CalibratedModel], context: SuiteContext, *, samples: int = 1000
) -> list[RelianceResult]:
    """One result for each of `TEST_SETS` that the context has; models are taken one by one."""
    known = [name for name in TEST_SETS if context.test_sets.get(name)]
    trials = {
        name: _Swapped.of(context, context.test_sets[name], number)
        for number, name in enumerate(known)
    }
    trials = {name: swapped for name, swapped in trials.items() if swapped.questions}
    flags: dict[str, list[_Flags]] = {name: [] for name in trials}
    bound = 0.0
    for model in models:
        bound = max(bound, model.threshold.false_alarm_rate)
        for name, swapped in trials.items():
            flags[name].append(_flags(model, swapped))
    return [
        _result(arm, name, bound, swapped, flags[name], context, samples)
        for name, swapped in trials.items()
    ]


@dataclass(frozen=True)
class _Swapped:
    """Questions, the random patients' ECGs for each, and where the labels differ."""

    questions: tuple[Question, ...]
    shown: tuple[tuple[str, ...], ...]
    differs_Q: NDArray[np.bool_]

    @classmethod
    def of(cls, context: SuiteContext, questions: Sequence[Question], number: int) -> _Swapped:
        chosen = substitutes(questions, context.records, [context.seed, number])
        kept = tuple(question for question in questions if question.ecg_ids in chosen)
        shown = tuple(chosen[question.ecg_ids] for question in kept)
        differs = []
        for question, ecg_ids in zip(kept, shown, strict=True):
            answers = context.true_answers(question, ecg_ids)
            differs.append(answers is not None and not is_correct(answers, question.answers))
        return cls(kept, shown, np.array(differs, np.bool_))


@dataclass(frozen=True)
class _Flags:
    """One run: own and swapped answers flagged, and swapped answers true of the patient."""

    own_Q: NDArray[np.bool_]
    swapped_Q: NDArray[np.bool_]
    true_Q: NDArray[np.bool_]


def _flags(model: CalibratedModel, swapped: _Swapped) -> _Flags:
    answerer, stored = model.answerer, model.stored
    questions = swapped.questions
    own_ids = [question.ecg_ids for question in questions]
    stored.load([ecg_id for ecg_ids in (*own_ids, *swapped.shown) for ecg_id in ecg_ids])
    own = answered(answerer, stored, questions, own_ids)
    # What the model says with the own ECG is known by now: the swapped answer is held against it.
    held = [
        replace(foreign, option_probabilities=mine.option_probabilities)
        for foreign, mine in zip(
            answered(answerer, stored, questions, swapped.shown), own, strict=True
        )
    ]

    def flagged(answers: Sequence[Answer]) -> NDArray[np.bool_]:
        found = measured(model.meter, stored, questions, answers)
        return np.array([one is not None and bool(model.threshold.flags(one)) for one in found])

    true = [
        is_correct(q.answers, answer.answers) for q, answer in zip(questions, held, strict=True)
    ]
    return _Flags(flagged(own), flagged(held), np.array(true))


def _result(
    arm: str,
    test_set: str,
    bound: float,
    swapped: _Swapped,
    flags_S: Sequence[_Flags],
    context: SuiteContext,
    samples: int,
) -> RelianceResult:
    owners = [context.records[question.ecg_ids[-1]].patient_id for question in swapped.questions]
    others = [context.records[ecg_ids[-1]].patient_id for ecg_ids in swapped.shown]
    differs_Q = swapped.differs_Q
    own_SQ = np.stack([flags.own_Q for flags in flags_S])
    swapped_SQ = np.stack([flags.swapped_Q for flags in flags_S])
    true_SQ = np.stack([flags.true_Q for flags in flags_S])
    both = Clusters.of(list(zip(owners, others, strict=True)))

    def share(part_SQ: NDArray[np.bool_], whole_SQ: NDArray[np.bool_]) -> Interval:
        return ratio_interval(part_SQ & whole_SQ, whole_SQ, both, samples=samples)

    differs_SQ = np.broadcast_to(differs_Q, true_SQ.shape)
    return RelianceResult(
        arm=arm,
        test_set=test_set,
        bound=bound,
        false_alarms=interval(
            own_SQ,
            Clusters.of([(owner,) for owner in owners]),
            samples=samples,
        ),
        detected=share(swapped_SQ, differs_SQ),
        detected_false=share(swapped_SQ, differs_SQ & ~true_SQ),
        true_of_patient=share(true_SQ, differs_SQ),
        questions=len(owners),
        differing=int(differs_Q.sum()),
        patients=len(set(owners)),
        seeds=len(flags_S),
    )


def ratio_interval(
    part_SQ: NDArray[np.bool_], whole_SQ: NDArray[np.bool_], clusters: Clusters, *, samples: int
) -> Interval:
    """Interval of sum(part) / sum(whole), each seed having its own whole; NaN if one is empty.

    By linearisation (Taylor): Cochran, Sampling Techniques, 1977, chapter 6.
    """
    whole_S = whole_SQ.mean(axis=1)
    if not (whole_S > 0).all():
        return Interval(float("nan"), float("nan"), float("nan"))
    ratio_S = part_SQ.mean(axis=1) / whole_S
    linear_SQ = ratio_S[:, None] + (part_SQ - ratio_S[:, None] * whole_SQ) / whole_S[:, None]
    return interval(linear_SQ, clusters, samples=samples)
