"""The most confidently wrong answers: what a person should look at first.

A confidently wrong answer is a fault of the model, or of the label: only the ECG can tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from truelead.evaluate.metrics import normalise
from truelead.signal.drawing import draw_svg
from truelead.types import ANSWER_SEPARATOR, Ecg

# Test sets that show a question's own ECG, each question once.
_SUITES = ("observed", "balanced-do-question", "ecg-qa")
_COLUMNS = (
    "suite", "cell", "arm", "question_id", "text", "severity", "ecg_ids", "answers", "predicted",
    "option_probabilities", "correct",
)  # fmt: skip

Key = tuple[tuple[str, ...], str, str]


@dataclass(frozen=True)
class Opinion:
    """What one arm answered.

    Attributes:
        answer: the commonest over its runs.
        true_probability: probability of the true answer, mean over the runs.
        wrong, runs: how many of the runs were wrong.
    """

    answer: str
    true_probability: float
    wrong: int
    runs: int


@dataclass(frozen=True)
class Failure:
    """One question that an arm answered wrong, and surely.

    Attributes:
        ecg_ids: record ids of the ECGs asked about; nothing else of them is told.
        arm: the arm for which it was picked.
        cell: the test set that it comes from.
        severity: stratum of the ECG, -1 where not assigned.
        opinions: what every arm answered.
    """

    ecg_ids: tuple[str, ...]
    arm: str
    cell: str
    question_id: str
    text: str
    true_answer: str
    severity: int
    opinions: Mapping[str, Opinion]


def worst_failures(
    predictions: Path,
    arms: Sequence[str],
    patients: Mapping[str, str],
    *,
    maximum: int = 6,
) -> tuple[Failure, ...]:
    """For each arm in turn, the wrong answer whose true answer it thought least likely.

    Wrong in most of the arm's runs, of closed questions (only they have probabilities), and no
    question or patient twice.

    Args:
        predictions: predictions.parquet.
        patients: record id -> patient, for telling patients apart.
        maximum: how many in all.
    """
    asked = _collect(predictions, set(arms))
    ranked = {arm: _ranked(asked, arm) for arm in arms}
    found: list[Failure] = []
    questions: set[str] = set()
    people: set[str] = set()
    while len(found) < maximum:
        before = len(found)
        for arm in arms:
            if len(found) == maximum:
                break
            for key in ranked[arm]:
                owners = {patients[ecg_id] for ecg_id in key[0]}
                if key[1] in questions or owners & people:
                    continue
                questions.add(key[1])
                people |= owners
                found.append(_failure(key, asked[key], arm, arms))
                break
        if len(found) == before:
            break
    return tuple(found)


def draw_failure(ecgs: Sequence[Ecg]) -> str:
    """The ECGs of a failure as SVG; captions hold their record ids and nothing else."""
    names = [f"Record {ecg.record_id}" for ecg in ecgs]
    captions = [
        name if len(names) == 1 else f"{'First' if i == 0 else 'Second'} ECG: {name}"
        for i, name in enumerate(names)
    ]
    return draw_svg(ecgs, captions=captions)


@dataclass
class _Tally:
    """One arm's answers to one question, run by run."""

    given: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    wrong: int = 0
    true_probability: float = 0.0


@dataclass
class _Asked:
    cell: str
    severity: int
    true_answer: str
    tallies: dict[str, _Tally] = field(default_factory=dict)


def _collect(predictions: Path, arms: set[str]) -> dict[Key, _Asked]:
    asked: dict[Key, _Asked] = {}
    for batch in pq.ParquetFile(predictions).iter_batches(columns=list(_COLUMNS)):
        kept = batch.filter(pc.is_in(batch.column("suite"), value_set=pa.array(_SUITES)))
        kept = kept.filter(pc.is_in(kept.column("arm"), value_set=pa.array(sorted(arms))))
        for row in kept.to_pylist():
            probability = _true_probability(row)
            if probability is None:
                continue
            key = (tuple(row["ecg_ids"]), row["question_id"], row["text"])
            true = ANSWER_SEPARATOR.join(sorted(row["answers"]))
            one = asked.setdefault(key, _Asked(row["cell"], row["severity"], true))
            if one.cell != row["cell"]:
                continue  # the same question stands in two test sets
            tally = one.tallies.setdefault(row["arm"], _Tally())
            tally.given[ANSWER_SEPARATOR.join(row["predicted"])] += 1
            tally.runs += 1
            tally.wrong += not row["correct"]
            tally.true_probability += probability
    return asked


def _true_probability(row: Mapping[str, Any]) -> float | None:
    true = normalise(row["answers"])
    for option, probability in row["option_probabilities"]:
        if normalise(option.split(ANSWER_SEPARATOR)) == true:
            return float(probability)
    return None


def _ranked(asked: Mapping[Key, _Asked], arm: str) -> list[Key]:
    wrong = [
        (one.tallies[arm].true_probability / one.tallies[arm].runs, key)
        for key, one in asked.items()
        if arm in one.tallies and 2 * one.tallies[arm].wrong > one.tallies[arm].runs
    ]
    return [key for _, key in sorted(wrong)]


def _failure(key: Key, one: _Asked, arm: str, arms: Sequence[str]) -> Failure:
    opinions = {}
    for name in arms:
        if name in one.tallies:
            tally = one.tallies[name]
            answer = min(tally.given, key=lambda given: (-tally.given[given], given))
            opinions[name] = Opinion(
                answer, tally.true_probability / tally.runs, tally.wrong, tally.runs
            )
    return Failure(
        ecg_ids=key[0],
        arm=arm,
        cell=one.cell,
        question_id=key[1],
        text=key[2],
        true_answer=one.true_answer,
        severity=one.severity,
        opinions=opinions,
    )
