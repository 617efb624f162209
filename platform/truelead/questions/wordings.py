"""Families of wordings: the same question in several words, train and test words disjoint.

A `Wordings` holds patterns with the placeholders {a}, {b} (attributes) and {lead}. The first
training wording is ECG-QA's own template (Oh J. et al., NeurIPS 2023, CC BY 4.0) where it is
public to us, see `templates`; the others are ours, so that a model tuned on one set of words is
tested on another: the paper's adversarial wording test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TrainedWordings = Literal["all", "template", "paraphrased"]
"""What training asks in: every training wording, ECG-QA's own only, or the others only."""

Named = tuple[str, str]
"""Name and pattern of a wording."""


@dataclass(frozen=True)
class Wordings:
    """Patterns of one question; `train` and `test` share none."""

    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class NamedWordings:
    """The wordings of one question as a `WordingSplit` has them; `train` and `test` share none."""

    train: tuple[Named, ...]
    test: tuple[Named, ...]


@dataclass(frozen=True)
class WordingSplit:
    """Which wordings training may use, and which are kept for the test.

    Attributes:
        fold: 0 splits as `Wordings` itself does. Fold f of the others tests every
            (folds - 1)-th training wording from the f-th on, and trains in all the rest, the
            test wordings of fold 0 among them. So each wording is tested in exactly one fold.
        folds: how many folds there are, at least 2.
        trained: what training asks in; "template" and "paraphrased" only with fold 0, whose
            training wordings begin with ECG-QA's own.
    """

    fold: int = 0
    folds: int = 3
    trained: TrainedWordings = "all"

    def __post_init__(self) -> None:
        assert 0 <= self.fold < self.folds, "one of the folds"
        assert self.folds >= 2, "at least two folds"
        assert self.trained == "all" or self.fold == 0, "the template's wording is trained"

    def __call__(self, words: Wordings) -> NamedWordings:
        """The wordings of one question, split."""
        if self.fold == 0:
            train, test, mark = words.train, words.test, ""
        else:
            test = words.train[self.fold - 1 :: self.folds - 1]
            train = (*(text for text in words.train if text not in test), *words.test)
            mark = f":fold-{self.fold}"
        named = tuple((f"train-{i}{mark}", text) for i, text in enumerate(train))
        chosen = {"all": named, "template": named[:1], "paraphrased": named[1:]}[self.trained]
        return NamedWordings(
            chosen, tuple((f"test-{i}{mark}", text) for i, text in enumerate(test))
        )


USUAL_SPLIT = WordingSplit()
"""Fold 0, all training wordings trained."""


def _filled(patterns: tuple[str, ...], suffix: str, **words: str) -> tuple[str, ...]:
    """Put `words` into the capital placeholders and `suffix` before the closing mark."""
    texts = []
    for pattern in patterns:
        text = pattern
        for key, word in words.items():
            text = text.replace("{" + key + "}", word)
        texts.append(text[:-1] + suffix + text[-1])
    return tuple(texts)


def verify(official: str, thing: str) -> Wordings:
    """Is `thing` on the ECG?"""
    return Wordings(
        (official, *_filled(_VERIFY_TRAIN, "", THING=thing)),
        _filled(_VERIFY_TEST, "", THING=thing),
    )


def choose(official: str, thing: str, suffix: str = "") -> Wordings:
    """Which `thing` (singular) is on the ECG: {a}, {b}, both or neither?"""
    return Wordings(
        (official, *_filled(_CHOOSE_TRAIN, suffix, THING=thing)),
        _filled(_CHOOSE_TEST, suffix, THING=thing),
    )


def query(official: str, things: str, suffix: str = "") -> Wordings:
    """Which `things` (plural) are on the ECG?"""
    return Wordings(
        (official, *_filled(_QUERY_TRAIN, suffix, THINGS=things)),
        _filled(_QUERY_TEST, suffix, THINGS=things),
    )


def change(official: str, patterns: Wordings, first: str, second: str) -> Wordings:
    """A change from the ECG called `first` to the one called `second`."""
    return Wordings(
        (official, *_filled(patterns.train, "", FIRST=first, SECOND=second)),
        _filled(patterns.test, "", FIRST=first, SECOND=second),
    )


_VERIFY_TRAIN = (
    "Does the tracing contain {THING}?",
    "Would a careful reader report {THING} here?",
    "Is {THING} visible in this recording?",
    "Check this ECG for {THING}: is it there?",
    "Can {THING} be recognised on the tracing?",
)
_VERIFY_TEST = (
    "Looking at these leads, do you find {THING}?",
    "Tell me whether {THING} appears in the signal.",
    "The question is if this heart recording has {THING}; does it?",
)
_CHOOSE_TRAIN = (
    "Of {a} and {b}, which {THING} is seen here?",
    "Between {a} and {b}, which {THING} would a careful reader report?",
    "Name the {THING} of this recording: {a}, {b}, both or neither?",
    "Does the tracing contain {a} or {b} as a {THING}?",
)
_CHOOSE_TEST = (
    "Given {a} and {b} as choices, what {THING} do these leads show?",
    "Decide which {THING} appears in the signal, {a} or {b}.",
)
_QUERY_TRAIN = (
    "List the {THINGS} of this recording.",
    "Which {THINGS} would a careful reader report here?",
    "Name all {THINGS} that the tracing contains.",
    "Are there {THINGS} on this tracing, and if so which?",
)
_QUERY_TEST = (
    "Looking at these leads, what {THINGS} do you find?",
    "Tell me about every one of the {THINGS} in the signal.",
)

NORMAL = Wordings(
    (
        "Is this ECG normal?",
        "Would a careful reader call this tracing normal?",
        "Is this a normal recording?",
        "Check this ECG: is everything normal?",
        "Can the tracing be judged as normal?",
        "Does the recording count as a normal ECG?",
    ),
    (
        "Looking at these leads, do you find nothing but the normal?",
        "Tell me whether the signal is that of a normal heart recording.",
        "The question is if this heart recording is normal; is it?",
    ),
)
AXIS = Wordings(
    (
        "What is the direction of the heart axis of this ECG?",
        "Describe the electrical axis of this recording.",
        "Which way does the heart axis point on the tracing?",
        "How would a careful reader classify the axis here?",
        "Name the axis of the QRS complexes.",
    ),
    (
        "Looking at these leads, where does the mean QRS vector point?",
        "Tell me the type of heart axis in the signal.",
    ),
)
LEADS_OF = Wordings(
    (
        "What leads are showing {a} in this ECG?",
        "List the leads with {a}.",
        "Which leads of the tracing contain {a}?",
        "In which leads would a careful reader report {a}?",
        "Name every lead that is affected by {a}.",
    ),
    (
        "Looking at the leads one by one, where do you find {a}?",
        "Tell me in what channels of the signal {a} appears.",
    ),
)
NUMERIC_VERIFY = Wordings(
    (
        "Does the {a} of this ECG fall {b}?",
        "Is the {a} of this recording {b}?",
        "Would a careful reader measure a {a} {b}?",
        "Check the {a}: is it {b}?",
        "Can the {a} of the tracing be called {b}?",
    ),
    (
        "Looking at these leads, do you measure a {a} {b}?",
        "Tell me whether the signal has a {a} {b}.",
    ),
)
NUMERIC_CHOOSE = Wordings(
    (
        "Which range does the {a} of this ECG fall in, {b} or {c}?",
        "Is the {a} of this recording {b} or {c}?",
        "Would a careful reader measure a {a} {b} or {c}?",
        "Check the {a}: is it {b} or {c}?",
        "Can the {a} of the tracing be called {b}, {c} or neither?",
    ),
    (
        "Looking at these leads, do you measure a {a} {b} or {c}?",
        "Tell me whether the signal has a {a} {b} or {c}.",
    ),
)
NUMERIC_QUERY = Wordings(
    (
        "What range does the {a} of this ECG fall in?",
        "How does the {a} of this recording compare with the normal range?",
        "Would a careful reader call the {a} low, normal or high?",
        "Check the {a}: where does it lie?",
        "In which range is the {a} of the tracing?",
    ),
    (
        "Looking at these leads, how do you judge the {a}?",
        "Tell me the range of the {a} in the signal.",
    ),
)
