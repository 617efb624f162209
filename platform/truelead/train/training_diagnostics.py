"""What every training reports of its model: right answers by severity and by wording.

Shape suffixes: N ECGs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from truelead.data.durable import write_durable_text
from truelead.data.store import ShardStore
from truelead.debias.setup import Setup
from truelead.debias.setup.base import Group
from truelead.model.answering import Answerer
from truelead.model.processing import GroupInput
from truelead.train.progress import say
from truelead.types import Ecg, Question

FILE = "training_diagnostics.json"
MAXIMUM_QUESTIONS = 512
MAXIMUM_SECONDS = 8.0
_GROUPS_AT_ONCE = 16
_FEWEST_SHOWN = 5


@dataclass(frozen=True)
class Share:
    """Right answers among those asked."""

    accuracy: float
    questions: int


@dataclass(frozen=True)
class TrainingDiagnostics:
    """Right answers of a trained model to a sample of questions as observed, in training wordings.

    The sample is small, and confounded as the training was: it tells whether a training went
    well, and where it is weak, not how good the model is. That is the judge's to say.

    Attributes:
        split: whose ECGs were asked about: development, or train where there is none.
        overall: over all questions asked.
        by_severity: by the name of the stratum; one without questions is left out.
        by_wording: by wording_id, the wordings being those of every question together.
    """

    split: str
    overall: Share
    by_severity: Mapping[str, Share]
    by_wording: Mapping[str, Share]


def measure(
    model_folder: Path,
    store: ShardStore,
    setup: Setup,
    *,
    seed: int = 0,
    maximum_questions: int = MAXIMUM_QUESTIONS,
    maximum_seconds: float = MAXIMUM_SECONDS,
    clock: Callable[[], float] = monotonic,
) -> TrainingDiagnostics:
    """Ask the model in the folder; at least some questions, whatever the limits.

    ECGs are drawn at random, and asked about in the order drawn until either limit is met: a large
    model answers fewer questions, the first of the same ones.

    Raises:
        ModelError: the folder holds no whole model.
    """
    start = clock()
    split = "development" if setup.groups("development") else "train"
    answerer = Answerer.from_pretrained(model_folder, _device())
    asked: list[tuple[Question, bool]] = []
    for groups in _batches(setup.groups(split), seed):
        questions = [setup.observed(group, 0) for group in groups]
        asked += _answered(answerer, store, groups, questions)
        if len(asked) >= maximum_questions or (asked and clock() - start >= maximum_seconds):
            break
    strata = setup.severity.strata
    return TrainingDiagnostics(
        split=split,
        overall=_share([right for _, right in asked]),
        by_severity=_by(asked, lambda q: strata[setup.stratum(q.ecg_ids)], strata),
        by_wording=_by(asked, lambda q: q.wording_id),
    )


def write_training_diagnostics(
    folder: Path, title: str, store: ShardStore, setup: Setup, *, seed: int
) -> TrainingDiagnostics:
    """Measure the trained model in the folder, write `FILE` beside it, and say it in one line."""
    found = measure(folder, store, setup, seed=seed)
    write_durable_text(folder / FILE, json.dumps(asdict(found), indent=1))
    say(f"{title}: {describe(found)}")
    return found


def describe(found: TrainingDiagnostics) -> str:
    """One line: all questions, each stratum, and the worst and best wording."""
    strata = ", ".join(f"{name} {_percent(share)}" for name, share in found.by_severity.items())
    enough = [share for share in found.by_wording.values() if share.questions >= _FEWEST_SHOWN]
    wordings = ""
    if len(enough) > 1:
        ordered = sorted(enough, key=lambda share: share.accuracy)
        wordings = f"; wordings {_percent(ordered[0])} to {_percent(ordered[-1])}"
    return (
        f"{_percent(found.overall)} right of {found.overall.questions} {found.split} questions "
        f"({strata}{wordings})"
    )


def _batches(groups: Sequence[Group], seed: int) -> list[list[Group]]:
    order = np.random.default_rng(seed).permutation(len(groups)).tolist()
    shuffled = [groups[index] for index in order]
    return [
        shuffled[first : first + _GROUPS_AT_ONCE]
        for first in range(0, len(shuffled), _GROUPS_AT_ONCE)
    ]


def _answered(
    answerer: Answerer,
    store: ShardStore,
    groups: Sequence[Group],
    questions: Sequence[tuple[Question, ...]],
) -> list[tuple[Question, bool]]:
    """Each question with whether its answers are, as a set, the true ones."""
    names = list(dict.fromkeys(name for group in groups for name in group))
    place = {name: index for index, name in enumerate(names)}
    inputs = [
        GroupInput(tuple(place[name] for name in group), asked, with_answers=False)
        for group, asked in zip(groups, questions, strict=True)
        if asked
    ]
    ecgs = [
        Ecg(signal_LT, store.sampling_rate, record_id=name)
        for name, signal_LT in zip(names, store.signals(names), strict=True)
    ]
    with torch.inference_mode():
        ecg_NLT = torch.from_numpy(np.stack([answerer.processor.standardise(ecg) for ecg in ecgs]))
        features_NPD = answerer.model.encode(ecg_NLT.to(answerer.model.device))
    answers = answerer.answer_groups(inputs, features=features_NPD.float().cpu().numpy())
    flat = [question for group in inputs for question in group.questions]
    return [
        (question, set(answer.answers) == set(question.answers))
        for question, answer in zip(flat, answers, strict=True)
    ]


def _by(
    asked: Sequence[tuple[Question, bool]],
    key: Callable[[Question], str],
    order: Sequence[str] = (),
) -> dict[str, Share]:
    """Share of right answers by key, in the order given and then by name."""
    found: dict[str, list[bool]] = defaultdict(list)
    for question, right in asked:
        found[key(question)].append(right)
    names = [*order, *sorted(found.keys() - set(order))]
    return {name: _share(found[name]) for name in names if name in found}


def _share(right: Sequence[bool]) -> Share:
    return Share(sum(right) / len(right) if right else 0.0, len(right))


def _percent(share: Share) -> str:
    return f"{100 * share.accuracy:.1f} %"


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
