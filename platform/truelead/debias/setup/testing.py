"""Test sets of every set-up: what is asked of the ECGs held out, and in which words.

confounded: asked by the observed process, as in training; a model that knows which answer a
question mostly has does well here without an ECG.
balanced: each question of as many ECGs where its answer is positive as where it is "no" or
"none", these drawn evenly: do(Q), and a model blind to the ECG scores one half.
balanced-same-severity: the same, the negative ones drawn from the stratum of the positive ones: a
model that sees no more of the ECG than how ill the patient is scores one half too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from truelead.debias.randomness import generator
from truelead.debias.setup.base import NEGATIVE_ANSWERS, WORDINGS, Cell, Group, Setup, Wordings
from truelead.debias.setup.observation import Process
from truelead.types import Question

Asked = tuple[Group, str]
"""A group and the question_id asked about it."""

KINDS: tuple[Wordings, ...] = (*WORDINGS, "template")


def confounded_test(setup: Setup, process: Process, groups: Sequence[Group]) -> list[Asked]:
    """`questions_per_ecg` questions of each group, drawn by the process, with its repeats."""
    asked: list[Asked] = []
    for group in groups:
        rng = generator("confounded test", setup.config.seed, *group)
        cells = setup.cells(group)
        drawn = process.draw(cells, setup.stratum(group), setup.questions_per_ecg, rng)
        asked += [(group, cells[index].question_id) for index in drawn]
    return asked


def balanced_test(
    setup: Setup,
    groups: Sequence[Group],
    *,
    same_severity: bool = False,
    most: int | None = None,
    cells: Callable[[Group], Sequence[Cell]] | None = None,
) -> list[Asked]:
    """Per question (and stratum) as many groups with a positive answer as with a negative one.

    All that the rarer side has, or `most` of each side; of the questions that `cells` gives, the
    set-up's own if None.
    """
    sides: dict[tuple[str, int], tuple[list[Group], list[Group]]] = defaultdict(lambda: ([], []))
    for group in groups:
        stratum = setup.stratum(group) if same_severity else -1
        for cell in (cells or setup.cells)(group):
            sides[cell.question_id, stratum][cell.answer in NEGATIVE_ANSWERS].append(group)
    asked: list[Asked] = []
    for question_id, stratum in sorted(sides):
        rng = generator("balanced test", setup.config.seed, question_id, stratum)
        both = sides[question_id, stratum]
        size = min(*map(len, both), *(() if most is None else (most,)))
        for side in both:
            chosen = sorted(rng.choice(len(side), size=size, replace=False).tolist())
            asked += [(side[index], question_id) for index in chosen]
    return asked


def word_test_sets(
    setup: Setup,
    sets: Mapping[str, Sequence[Asked]],
    *,
    kinds: Sequence[Wordings] = KINDS,
) -> dict[str, tuple[Question, ...]]:
    """Each set once in each kind of wordings, question by question.

    "<name>/template-wordings" asks each question of a group once: there is one such wording.
    """
    return {
        f"{name}/{wordings}-wordings": tuple(_worded(setup, asked, name, wordings))
        for name, asked in sets.items()
        for wordings in kinds
    }


def _worded(
    setup: Setup, asked: Sequence[Asked], name: str, wordings: Wordings
) -> Iterator[Question]:
    """A repeated question comes each time in another wording, and not again once they are used.

    How many repeats stay is the same for both kinds of wordings, so that the sets pair up.
    """
    repeats: Counter[Asked] = Counter()
    for group, question_id in asked:
        rng = generator("wording", setup.config.seed, name, wordings, question_id, *group)
        order = rng.permutation(setup.wording_count(question_id, wordings)).tolist()
        place = repeats[group, question_id]
        repeats[group, question_id] += 1
        kinds = {*WORDINGS, wordings}
        if place < min(setup.wording_count(question_id, kind) for kind in kinds):
            yield setup.word(group, question_id, wordings, order[place])
