"""Does the model read the ECG? A verdict in plain words, from paired intervals and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from truelead.evaluate.bootstrap import Interval
from truelead.evaluate.examination import Examination

Verdict = Literal["reads the ECG", "unclear", "no evidence that it reads the ECG"]

_BALANCED = "balanced/test-wordings"


@dataclass(frozen=True)
class Reliance:
    """What is known of one arm's use of the ECG.

    Attributes:
        arm: the model.
        test_set: the questions that the numbers are about.
        verdict: "reads the ECG" where both a lead over the question-only model and a loss of
            accuracy with a random patient's ECG are certain (their 95 % intervals lie above 0);
            "unclear" where one is; else no evidence.
        summary: the same in sentences, with the numbers.
        accuracy: with the right ECG.
        question_only: what the question-only model scores, None without baselines.
        lead: accuracy minus question-only, paired.
        random_accuracy: with another patient's ECG, judged by the right patient's labels.
        drop: accuracy lost with another patient's ECG, paired.
        flips: share of answers changed by it.
    """

    arm: str
    test_set: str
    verdict: Verdict
    summary: str
    accuracy: Interval
    question_only: Interval | None
    lead: Interval | None
    random_accuracy: Interval
    drop: Interval
    flips: Interval


def reliance(examination: Examination) -> tuple[Reliance, ...]:
    """One verdict for each arm; on the balanced test where there is one, else on the first set."""
    found = []
    for arm in examination.arms:
        tried = [
            result.cell.removesuffix("/random-ecg")
            for result in examination.cells
            if result.suite == "random-ecg" and result.arm == arm
        ]
        if tried:
            test_set = _BALANCED if _BALANCED in tried else tried[0]
            found.append(_of_arm(examination, arm, test_set))
    return tuple(found)


def _of_arm(examination: Examination, arm: str, test_set: str) -> Reliance:
    own = [
        result
        for result in examination.cells
        if result.cell == test_set and result.arm == arm and result.suite != "random-ecg"
    ]
    swapped = examination.cell("random-ecg", test_set + "/random-ecg", arm)
    assert own, "the random ECG suite takes its questions from another suite"
    assert swapped is not None, "every arm answers every cell"
    accuracy, suite = own[0].micro, own[0].suite
    question_only = examination.cell(suite, test_set, "question-only")
    comparison = examination.comparison(suite, test_set, arm, "question-only")
    lead = comparison.difference if comparison else None
    drop, flips = swapped.measures["drop"], swapped.measures["flips"]
    certain = [drop.above(0.0)] + ([lead.above(0.0)] if lead else [])
    verdict: Verdict = (
        "reads the ECG"
        if all(certain)
        else "unclear"
        if any(certain)
        else "no evidence that it reads the ECG"
    )
    return Reliance(
        arm=arm,
        test_set=test_set,
        verdict=verdict,
        summary=_summary(
            test_set,
            accuracy,
            question_only.micro if question_only else None,
            lead,
            swapped.micro,
            drop,
            flips,
        ),
        accuracy=accuracy,
        question_only=question_only.micro if question_only else None,
        lead=lead,
        random_accuracy=swapped.micro,
        drop=drop,
        flips=flips,
    )


def _summary(
    test_set: str,
    accuracy: Interval,
    question_only: Interval | None,
    lead: Interval | None,
    random_accuracy: Interval,
    drop: Interval,
    flips: Interval,
) -> str:
    ignoring = "; a model that ignores the ECG scores 50 % here" if test_set == _BALANCED else ""
    parts = [f"It answers {percent(accuracy)} of {test_set} rightly{ignoring}."]
    if question_only and lead:
        parts.append(
            f"A model that sees only the question answers {share(question_only.estimate)}: "
            f"a difference of {points(lead)}."
        )
    parts.append(
        f"With another patient's ECG it answers {share(random_accuracy.estimate)} rightly, a "
        f"loss of {loss(drop)}, and {share(flips.estimate)} of its answers change."
    )
    parts.append(
        "This says whether answers depend on the ECG, on these questions and these ECGs; not that "
        "single answers are right."
    )
    return " ".join(parts)


def share(value: float) -> str:
    """0.794 as "79.4 %"."""
    return f"{100 * value:.1f} %"


def percent(value: Interval) -> str:
    """An interval of shares as text: 79.4 % (77.0 to 81.3)."""
    return f"{share(value.estimate)} ({100 * value.low:.1f} to {100 * value.high:.1f})"


def points(value: Interval) -> str:
    """An interval of differences as text, in percentage points."""
    return f"{100 * value.estimate:+.1f} points ({100 * value.low:+.1f} to {100 * value.high:+.1f})"


def loss(value: Interval) -> str:
    """As `points`, for what is called a loss already: no sign unless it is a gain."""
    return f"{100 * value.estimate:.1f} points ({100 * value.low:.1f} to {100 * value.high:.1f})"
