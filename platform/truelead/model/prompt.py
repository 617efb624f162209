"""The words around ECGs and questions: what is shared by a group, and what each question adds.

The chat template of the tokenizer is rendered once for a number of ECGs with a mark in place of
the question. All before the mark, with the ECG placeholders, is the shared prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from truelead.errors import ModelError
from truelead.model.severity_slot import SEVERITY_SLOTS
from truelead.model.tokenizer import ECG_END, ECG_PLACEHOLDER, ECG_START
from truelead.types import Question

_MARK = "QUESTIONSTANDSHERE"


@dataclass(frozen=True)
class PromptParts:
    """Token ids around a question.

    Attributes:
        prefix: up to the question, ECG placeholders included; shared by a group.
        suffix: between the question and its answer.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


class Row(NamedTuple):
    """Token ids of a question, all that stands behind it, and perhaps its answer.

    Attributes:
        ids: int64 (S,); shared, never to be written to.
        answer_tokens: how many of them, at the end, are the answer's.
    """

    ids: NDArray[np.int64]
    answer_tokens: int


class PromptWriter:
    """Turns questions and answers into token ids, remembering what it has seen.

    Args:
        tokenizer: with the ECG tokens and a chat template.
        tokens_per_ecg: K, placeholders an ECG.
        severity_slot: kind of the model's severity slot, whose special tokens stand around every
            question; None: the question stands alone.
    """

    CACHE_SIZE = 65536

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tokens_per_ecg: int,
        severity_slot: str | None = None,
    ) -> None:
        self.tokenizer: Any = tokenizer
        self.tokens_per_ecg = tokens_per_ecg
        before, after = SEVERITY_SLOTS[severity_slot].WORDS if severity_slot else ((), ())
        self._before: tuple[int, ...] = tuple(self.tokenizer.convert_tokens_to_ids(list(before)))
        self._after: tuple[int, ...] = tuple(self.tokenizer.convert_tokens_to_ids(list(after)))
        self._parts: dict[int, PromptParts] = {}
        self._texts: dict[tuple[str, bool], tuple[int, ...]] = {}
        self._rows: dict[tuple[str, tuple[str, ...], int, bool], Row] = {}

    def parts(self, ecgs: int) -> PromptParts:
        """The tokens around a question about `ecgs` ECGs.

        Raises:
            ModelError: the chat template does not write the user's words once and in order.
        """
        if ecgs not in self._parts:
            picture = ECG_START + ECG_PLACEHOLDER * self.tokens_per_ecg + ECG_END
            text: str = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": picture * ecgs + _MARK}],
                tokenize=False,
                add_generation_prompt=True,
            )
            before, mark, after = text.partition(_MARK)
            if not mark or before.count(ECG_START) != ecgs or _MARK in after:
                raise ModelError(
                    "tokenizer: expected a chat template that writes the user's words once"
                )
            self._parts[ecgs] = PromptParts(self._encode(before), self._encode(after))
        return self._parts[ecgs]

    def question(self, text: str) -> tuple[int, ...]:
        """Token ids of a question; words that look like special tokens stay words."""
        return (*self._before, *self._remembered(text.strip(), False), *self._after)

    def answer(self, text: str) -> tuple[int, ...]:
        """Token ids of an answer and the end of the sequence."""
        return self._remembered(text, True)

    def row(self, question: Question, ecgs: int, with_answer: bool) -> Row:
        """The row of a question about `ecgs` ECGs, behind their prefix."""
        key = (question.text, question.answers, ecgs, with_answer)
        row = self._rows.get(key)
        if row is None:
            answer = self.answer(question.answer_text) if with_answer else ()
            ids = (*self.question(question.text), *self.parts(ecgs).suffix, *answer)
            row = Row(np.array(ids, dtype=np.int64), len(answer))
            if len(self._rows) >= self.CACHE_SIZE:
                self._rows.clear()
            self._rows[key] = row
        return row

    def _remembered(self, text: str, is_answer: bool) -> tuple[int, ...]:
        key = (text, is_answer)
        ids = self._texts.get(key)
        if ids is None:
            ids = tuple(
                self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)[
                    "input_ids"
                ]
            )
            if is_answer:
                ids = (*ids, int(self.tokenizer.eos_token_id))
            if len(self._texts) >= self.CACHE_SIZE:
                self._texts.clear()
            self._texts[key] = ids
        return ids

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(
            self.tokenizer(text, add_special_tokens=False, split_special_tokens=False)["input_ids"]
        )
