"""Answers to questions: closed sets by likelihood, open ones by generation.

Shape suffixes: N ECGs in the batch, P patches, D encoder width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.model.answer_rule import (
    DIRECT,
    ClosedQuestions,
    rows_per_question,
    score_closed,
)
from truelead.model.batch import Batch
from truelead.model.build import load_model
from truelead.model.joint import can_read_jointly, read_jointly
from truelead.model.modeling import TrueLeadForConditionalGeneration
from truelead.model.prefix import Prefixes, ReadPrefix, can_be_kept, read_each_prefix
from truelead.model.processing import GroupInput, TrueLeadProcessor, in_lots
from truelead.model.scoring import continue_greedily, generate_greedily, score_options
from truelead.types import ANSWER_SEPARATOR, Ecg, Question

NO_ANSWER = "none"
"""ECG-QA's answer of an empty set."""

Ecgs = Sequence[Ecg] | NDArray[np.float32]
Features = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Ask:
    """A question from outside, about ECGs at hand.

    Attributes:
        ecgs: none, one or two ECGs; or their places in the features given to `Answerer.answer`.
        question: the words.
        options: the closed set to choose from; empty for a free answer. An option may hold
            several answers, joined by `ANSWER_SEPARATOR`.
    """

    ecgs: tuple[Ecg, ...] | tuple[int, ...]
    question: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the model says. Not for clinical use.

    Attributes:
        text: the answer as written; may be empty.
        answers: its parts; ("",) when the text is empty.
        option_probabilities: of the closed options, summing to 1; empty for a free answer.
    """

    text: str
    answers: tuple[str, ...]
    option_probabilities: dict[str, float] = field(default_factory=dict)


class Answerer:
    """Answers questions with a model; questions about the same ECGs share their reading.

    Args:
        model: put in evaluation mode here.
        processor: the model's own.
        rows: question rows that run at once.
        maximum_tokens: length of a generated answer.
    """

    def __init__(
        self,
        model: TrueLeadForConditionalGeneration,
        processor: TrueLeadProcessor,
        *,
        rows: int = 256,
        maximum_tokens: int = 48,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.rows = rows
        self.maximum_tokens = maximum_tokens

    @cached_property
    def keeps_prefixes(self) -> bool:
        """Whether this model's prefixes can be read once and kept (`read_prefixes`)."""
        return can_be_kept(self.model)

    @cached_property
    def reads_jointly(self) -> bool:
        """Whether questions behind kept prefixes are read with their options in one pass."""
        rule = (self.model.config.answer_rule or {"rule": DIRECT})["rule"]
        return bool(rule == DIRECT and can_read_jointly(self.model))

    def read_prefixes(
        self, shown: Sequence[tuple[int, ...]], features: Features
    ) -> dict[tuple[int, ...], ReadPrefix]:
        """What reading the prefix of these ECGs leaves behind, to be kept and asked about.

        Args:
            shown: none, one or two places in `features` each, in the order of the questions.

        Raises:
            SpliceError: more than two ECGs, or one that is not there.
        """
        found: dict[tuple[int, ...], ReadPrefix] = {}
        wanted = list(dict.fromkeys(shown))
        for start in range(0, len(wanted), self.rows):
            some = wanted[start : start + self.rows]
            groups = [GroupInput(ecgs, (_NOTHING,), with_answers=False) for ecgs in some]
            batch = self.processor.batch(groups, features=features).to(self.model.device)
            found.update(zip(some, read_each_prefix(self.model, batch), strict=True))
        return found

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str | torch.device | None = None, **options: int
    ) -> Answerer:
        """An answerer of the model in `folder`.

        Raises:
            ModelError: the folder holds no whole TrueLead model.
        """
        model, processor = load_model(folder, device)
        return cls(model, processor, **options)

    def score(
        self,
        groups: Sequence[GroupInput],
        *,
        ecgs: Ecgs | None = None,
        features: Features | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[dict[str, float]]:
        """Score (nats) of each of a question's `closed_options`, in the groups' order.

        It is the log-likelihood, unless the model's configuration names another `answer_rule`.

        Raises:
            ModelError: the rule cannot be used with this model.
            SpliceError: a group names an ECG that is not there, or more than two.
        """
        if prefixes is not None and self.reads_jointly:
            return [found for found, _ in self._read_jointly(groups, prefixes, lambda _: True)]
        write = self.processor.prompts.answer
        scores: list[dict[str, float]] = []
        rows = max(1, self.rows // rows_per_question(self.model.config))
        for some in in_lots(groups, rows):
            questions = [question for group in some for question in group.questions]
            options = [closed_options(question) for question in questions]
            ids = [[write(option) for option in choices] for choices in options]
            values = score_closed(
                ClosedQuestions(self.model, self.processor, some, ids, ecgs, features, prefixes)
            )
            scores.extend(
                dict(zip(choices, row, strict=True))
                for choices, row in zip(options, values, strict=True)
            )
        return scores

    def generate(
        self,
        groups: Sequence[GroupInput],
        *,
        ecgs: Ecgs | None = None,
        features: Features | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[str]:
        """The text the model writes, for each question in the order of the groups.

        Raises:
            SpliceError: a group names an ECG that is not there, or more than two.
        """
        tokenizer = self.processor.tokenizer
        texts: list[str] = []
        for some in in_lots(groups, self.rows):
            batch = self.processor.batch(some, ecgs=ecgs, features=features, prefixes=prefixes)
            rows = generate_greedily(
                self.model,
                batch.to(self.model.device),
                int(tokenizer.eos_token_id),
                self.maximum_tokens,
            )
            texts.extend(tokenizer.decode(row, skip_special_tokens=True).strip() for row in rows)
        return texts

    def answer_groups(
        self,
        groups: Sequence[GroupInput],
        *,
        ecgs: Ecgs | None = None,
        features: Features | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[Answer]:
        """An answer to each question in the order of the groups.

        Verify and choose questions with options are answered by the likeliest option; the others
        by generation.

        Args:
            groups: questions about places in `ecgs` or `features`, or about ECGs whose prefix has
                been read (`read_prefixes`).
        """
        if prefixes is not None and self.reads_jointly:
            return [
                closed_answer(scores) if scores else Answer(text, split_answers(text))
                for scores, text in self._read_jointly(groups, prefixes, is_closed)
            ]
        closed, closed_at = _select(groups, True)
        opened, opened_at = _select(groups, False)
        answers: dict[int, Answer] = {}
        for at, scores in zip(
            closed_at,
            self.score(closed, ecgs=ecgs, features=features, prefixes=prefixes),
            strict=True,
        ):
            answers[at] = closed_answer(scores)
        texts = self.generate(opened, ecgs=ecgs, features=features, prefixes=prefixes)
        for at, text in zip(opened_at, texts, strict=True):
            answers[at] = Answer(text, split_answers(text))
        return [answers[at] for at in range(len(answers))]

    def answer(self, items: Sequence[Ask], features: Features | None = None) -> list[Answer]:
        """An answer to each item; items about the same ECGs (the same objects) share the reading.

        Args:
            items: questions about ECGs, or about places in `features`; not both in one call.
            features: features_NPD from this model's encoder.

        Raises:
            SpliceError: an item has more than two ECGs, or names one that is not there.
        """
        ecgs: list[Ecg] = []
        place: dict[int, int] = {}
        members: dict[tuple[int, ...], list[int]] = {}
        for at, item in enumerate(items):
            indices: list[int] = []
            for ecg in item.ecgs:
                if isinstance(ecg, int):
                    indices.append(ecg)
                    continue
                if id(ecg) not in place:
                    place[id(ecg)] = len(ecgs)
                    ecgs.append(ecg)
                indices.append(place[id(ecg)])
            members.setdefault(tuple(indices), []).append(at)
        groups = [
            GroupInput(
                indices, tuple(as_question(items[at].question, items[at].options) for at in ats)
            )
            for indices, ats in members.items()
        ]
        if features is None and not ecgs:
            # Questions without any ECG still need a shape: an empty one, never read.
            ecgs = [self._flat_ecg()]
        found = (
            self.answer_groups(groups, features=features)
            if features is not None
            else self.answer_groups(groups, ecgs=ecgs)
        )
        order = [at for ats in members.values() for at in ats]
        by_item = dict(zip(order, found, strict=True))
        return [by_item[at] for at in range(len(items))]

    def _read_jointly(
        self,
        groups: Sequence[GroupInput],
        prefixes: Prefixes,
        closed: Callable[[Question], bool],
    ) -> list[tuple[dict[str, float], str]]:
        """Scores of the options, or the free text, of each question; all of them in one pass."""
        prompts, tokenizer = self.processor.prompts, self.processor.tokenizer
        found: list[tuple[dict[str, float], str]] = []
        for some in in_lots(groups, self.rows):
            questions = [question for group in some for question in group.questions]
            choices = [closed_options(one) if closed(one) else () for one in questions]
            ids = [[prompts.answer(option) for option in options] for options in choices]
            batch = self.processor.batch(some, prefixes=prefixes).to(self.model.device)
            read = read_jointly(self.model, batch, ids)
            texts: list[str] = []
            if read.free is not None and read.free_hidden_BH is not None:
                rows = continue_greedily(
                    self.model,
                    read.free,
                    read.free_hidden_BH,
                    int(tokenizer.eos_token_id),
                    self.maximum_tokens,
                )
                texts = [tokenizer.decode(row, skip_special_tokens=True).strip() for row in rows]
            written = iter(texts)
            for options, values in zip(choices, read.scores, strict=True):
                text = "" if options else next(written)
                found.append((dict(zip(options, values, strict=True)), text))
        return found

    def score_texts(
        self, batch: Batch, texts: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """Log-likelihood (nats) of each of some texts behind each question row.

        Args:
            batch: question rows that end before the answer.
            texts: for each row the token ids of each text, end of sequence included.
        """
        on_device = batch.to(self.model.device)
        if batch.read_prefixes is not None and self.reads_jointly:
            return read_jointly(self.model, on_device, texts).scores
        return score_options(self.model, on_device, texts)

    def _flat_ecg(self) -> Ecg:
        extractor = self.processor.feature_extractor
        return Ecg(np.zeros((12, extractor.samples), np.float32), extractor.sampling_rate)


def closed_answer(scores: dict[str, float]) -> Answer:
    """The likeliest option, with the probabilities of all, from their log-likelihoods."""
    best = max(scores, key=lambda option: scores[option])
    highest = scores[best]
    exponentials = {option: math.exp(value - highest) for option, value in scores.items()}
    total = sum(exponentials.values())
    probabilities = {option: value / total for option, value in exponentials.items()}
    return Answer(best, split_answers(best), probabilities)


def split_answers(text: str) -> tuple[str, ...]:
    """The parts of a written answer, in order, each once; ("",) for an empty text."""
    parts = [part.strip() for part in text.split(ANSWER_SEPARATOR)]
    return tuple(dict.fromkeys(part for part in parts if part)) or ("",)


def closed_options(question: Question) -> tuple[str, ...]:
    """What a closed question may be answered with, as written.

    A choose question may be answered with several of its options, joined as in training; with
    more than four of them only single ones are tried.
    """
    if not question.question_type.endswith("choose"):
        return question.options
    things = sorted(option for option in question.options if option != NO_ANSWER)
    sizes = range(2, len(things) + 1) if len(things) <= 4 else ()
    joined = (ANSWER_SEPARATOR.join(some) for size in sizes for some in combinations(things, size))
    return tuple(dict.fromkeys((*question.options, *joined)))


def is_closed(question: Question) -> bool:
    """Whether a question is answered by the likelihood of its options."""
    return bool(question.options) and not question.question_type.endswith("query")


def as_question(text: str, options: tuple[str, ...] = ()) -> Question:
    """A question from outside, whose answer nobody knows; free without options."""
    return Question(
        text=text,
        answers=("",),
        options=options,
        ecg_ids=(),
        question_type="single-verify" if options else "single-query",
        template_id=0,
        question_id="asked",
        wording_id="asked",
    )


_NOTHING = as_question("?")


def _select(groups: Sequence[GroupInput], closed: bool) -> tuple[list[GroupInput], list[int]]:
    """The groups with only their closed (or open) questions, without answers; and their places."""
    selected: list[GroupInput] = []
    places: list[int] = []
    at = 0
    for group in groups:
        chosen = []
        for question in group.questions:
            if is_closed(question) == closed:
                chosen.append(question)
                places.append(at)
            at += 1
        if chosen:
            selected.append(GroupInput(group.ecgs, tuple(chosen), with_answers=False))
    return selected, places
