"""The processor: ECGs and questions in, tensors out.

Shape suffixes: G groups, B question rows, N ECGs in the batch, L leads (12), T samples, P patches
or tokens of the prefix, D encoder width, S tokens, E ECG slots (2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from truelead.errors import SpliceError
from truelead.model.batch import ECG_SLOTS, IGNORED_LABEL, Batch
from truelead.model.feature_extraction import EcgFeatureExtractor
from truelead.model.prefix import Prefixes
from truelead.model.prompt import PromptWriter, Row
from truelead.model.severity_slot import NOT_TOLD
from truelead.types import Ecg, Question


@dataclass(frozen=True)
class GroupInput:
    """Questions about the same one or two ECGs.

    Attributes:
        ecgs: places of the ECGs in the list that goes to `TrueLeadProcessor.batch`, in the order
            in which the questions speak of them; empty for questions asked without an ECG.
        questions: all about these ECGs.
        weights: of each question's loss; empty for 1 each.
        with_answers: whether the rows hold the answers (training) or end before them.
        told_strata: severity stratum that the model is told with each question, which a model
            with a strata slot reads; empty for none. Only training ever tells one.
    """

    ecgs: tuple[int, ...]
    questions: tuple[Question, ...]
    weights: tuple[float, ...] = ()
    with_answers: bool = True
    told_strata: tuple[int, ...] = ()


class TrueLeadProcessor(ProcessorMixin):
    """Standardises ECGs and writes prompts, for training, scoring and generation.

    Args:
        feature_extractor: what the encoder wants.
        tokenizer: the language model's, with the ECG tokens.
        tokens_per_ecg: K of the projector.
        chat_template: kept by the tokenizer; here only because the hub's loading passes it.
        severity_slot: kind of the model's severity slot, None without one.
    """

    def __init__(
        self,
        feature_extractor: EcgFeatureExtractor,
        tokenizer: PreTrainedTokenizerBase,
        tokens_per_ecg: int = 16,
        chat_template: Any = None,
        severity_slot: str | None = None,
    ) -> None:
        super().__init__(feature_extractor, tokenizer, chat_template=chat_template)
        self.tokens_per_ecg = tokens_per_ecg
        self.severity_slot = severity_slot

    def set_severity_slot(self, kind: str) -> None:
        """Write a severity slot of this kind before every question from now on."""
        self.severity_slot = kind
        self.__dict__.pop("_prompts", None)

    @property
    def prompts(self) -> PromptWriter:
        """Writes the token ids of questions and answers."""
        writer: PromptWriter | None = self.__dict__.get("_prompts")
        if writer is None:
            writer = self.__dict__["_prompts"] = PromptWriter(
                self.tokenizer, self.tokens_per_ecg, self.severity_slot
            )
        return writer

    def standardise(self, ecg: Ecg) -> NDArray[np.float32]:
        """float32 (12, T): see `EcgFeatureExtractor.standardise`."""
        standardised: NDArray[np.float32] = self.feature_extractor.standardise(ecg)
        return standardised

    def batch(
        self,
        groups: Sequence[GroupInput],
        *,
        ecgs: Sequence[Ecg] | NDArray[np.float32] | None = None,
        features: NDArray[np.floating[Any]] | None = None,
        prefixes: Prefixes | None = None,
    ) -> Batch:
        """Groups of questions that share their ECGs, ready for `model(batch=...)`.

        Args:
            groups: at least one, each with at least one question.
            ecgs: the ECGs that the groups point to, or ecg_NLT of already standardised ones.
                May be far more than the groups use: only those used enter the batch.
            features: instead, features_NPD of the ECGs from the model's own encoder; a memory
                map is read only where it is used.
            prefixes: instead, what reading the prefixes of these ECGs left behind.

        Raises:
            SpliceError: a group names more than two ECGs, or one that is not in the list.
        """
        forms = (ecgs, features, prefixes)
        assert sum(form is not None for form in forms) == 1, "one of ecgs, features and prefixes"
        assert groups, "at least one group"
        count = len(ecgs) if ecgs is not None else len(features) if features is not None else 0
        for group in groups:
            assert group.questions, "every group has a question"
            if prefixes is None:
                _check_ecgs(group.ecgs, count)
            elif group.ecgs not in prefixes:
                raise SpliceError(f"group: expected ECGs with a read prefix, found {group.ecgs}")
        # Only the ECGs that are asked about are carried; one stays where none is, for its shape.
        used = sorted({index for group in groups for index in group.ecgs}) or [0]
        place = {index: at for at, index in enumerate(used)}
        before: list[tuple[int, ...]] = []
        rows: list[Row] = []
        weights: list[float] = []
        told_strata: list[int] = []
        prompts = self.prompts
        ecg_index_GE = torch.full((len(groups), ECG_SLOTS), -1)
        for index, group in enumerate(groups):
            for slot, ecg in enumerate(group.ecgs):
                ecg_index_GE[index, slot] = place[ecg]
            before.append(prompts.parts(len(group.ecgs)).prefix)
            assert len(group.weights) in (0, len(group.questions)), "one weight a question"
            weights.extend(group.weights or (1.0,) * len(group.questions))
            assert len(group.told_strata) in (0, len(group.questions)), "one stratum a question"
            told_strata.extend(group.told_strata or (NOT_TOLD,) * len(group.questions))
            count = len(group.ecgs)
            rows += [
                prompts.row(question, count, group.with_answers) for question in group.questions
            ]
        questions = [question for group in groups for question in group.questions]
        prefix_ids_GP, prefix_mask_GP = self.pad(before)
        input_ids_BS, mask_BS, labels_BS = self._padded_rows(rows)
        return Batch(
            ecg_NLT=None if ecgs is None else self._ecg_tensor(ecgs, used),
            features_NPD=None if features is None else torch.from_numpy(np.asarray(features[used])),
            read_prefixes=(
                None if prefixes is None else tuple(prefixes[group.ecgs] for group in groups)
            ),
            ecg_index_GE=ecg_index_GE,
            prefix_ids_GP=prefix_ids_GP,
            prefix_mask_GP=prefix_mask_GP,
            group_B=torch.arange(len(groups)).repeat_interleave(
                torch.tensor([len(group.questions) for group in groups])
            ),
            input_ids_BS=input_ids_BS,
            mask_BS=mask_BS,
            labels_BS=labels_BS,
            stratum_B=torch.tensor([question.severity for question in questions]),
            told_stratum_B=torch.tensor(told_strata),
            weight_B=torch.tensor(weights, dtype=torch.float32),
            uid_B=[row_name(question) for question in questions],
        )

    def __call__(
        self,
        text: Sequence[str],
        ecgs: Sequence[Sequence[Ecg]],
        answers: Sequence[str] | None = None,
        padding_side: str = "left",
    ) -> BatchFeature:
        """One sequence a question, each with its own copy of its ECGs: the hub's usual form.

        Args:
            text: the questions.
            ecgs: the ECGs of each question, none, one or two.
            answers: when given, they follow the questions, and `labels` marks them.
            padding_side: "left" to generate, either to train.

        Returns:
            input_ids, attention_mask, ecg_index_BE, ecg_NLT (if any ECG) and labels (if answers).
        """
        assert padding_side in ("left", "right"), padding_side
        rows: list[tuple[int, ...]] = []
        answer_lengths: list[int] = []
        ecg_index_BE = torch.full((len(text), ECG_SLOTS), -1)
        flat: list[Ecg] = []
        for index, (question, row_ecgs) in enumerate(zip(text, ecgs, strict=True)):
            _check_ecgs(range(len(row_ecgs)), len(row_ecgs))
            ecg_index_BE[index, : len(row_ecgs)] = torch.arange(len(row_ecgs)) + len(flat)
            flat.extend(row_ecgs)
            parts = self.prompts.parts(len(row_ecgs))
            answer = () if answers is None else self.prompts.answer(answers[index])
            rows.append((*parts.prefix, *self.prompts.question(question), *parts.suffix, *answer))
            answer_lengths.append(len(answer))
        input_ids, mask = self.pad(rows)
        labels = _labels(input_ids, rows, answer_lengths)
        if padding_side == "left":
            shift = (~mask).sum(dim=1)
            place = (torch.arange(mask.shape[1]) - shift[:, None]) % mask.shape[1]
            input_ids, mask, labels = (x.gather(1, place) for x in (input_ids, mask, labels))
        data = {
            "input_ids": input_ids,
            "attention_mask": mask.long(),
            "ecg_index_BE": ecg_index_BE,
        }
        if flat:
            data["ecg_NLT"] = self._ecg_tensor(flat, range(len(flat)))
        if answers is not None:
            data["labels"] = labels
        return BatchFeature(data)

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """ids (long) and mask (bool) of rows of token ids, padded on the right."""
        length = max(len(row) for row in rows)
        ids = np.full((len(rows), length), int(self.tokenizer.pad_token_id), dtype=np.int64)
        mask = np.zeros((len(rows), length), dtype=np.bool_)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = True
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def _padded_rows(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
        """ids (long), mask (bool) and labels (long) of rows, padded on the right."""
        length_B = np.array([len(row.ids) for row in rows])
        answer_B = np.array([row.answer_tokens for row in rows])
        place_S = np.arange(length_B.max())
        mask_BS = place_S < length_B[:, None]
        ids_BS = np.full(mask_BS.shape, int(self.tokenizer.pad_token_id), dtype=np.int64)
        # Boolean places go row by row, as the rows stand behind one another.
        ids_BS[mask_BS] = np.concatenate([row.ids for row in rows])
        is_answer_BS = mask_BS & (place_S >= (length_B - answer_B)[:, None])
        labels_BS = np.where(is_answer_BS, ids_BS, IGNORED_LABEL)
        return torch.from_numpy(ids_BS), torch.from_numpy(mask_BS), torch.from_numpy(labels_BS)

    def _ecg_tensor(self, ecgs: Sequence[Ecg] | NDArray[np.float32], used: Sequence[int]) -> Tensor:
        if isinstance(ecgs, np.ndarray):
            if len(used) == len(ecgs) and ecgs.dtype == np.float32 and ecgs.flags.writeable:
                return torch.from_numpy(ecgs)
            return torch.from_numpy(ecgs[np.asarray(used)].astype(np.float32, copy=False))
        ready = [
            self.standardise(ecg) if isinstance(ecg, Ecg) else ecg
            for ecg in (ecgs[index] for index in used)
        ]
        return torch.from_numpy(np.stack(ready).astype(np.float32, copy=False))


def in_lots(groups: Sequence[GroupInput], rows: int) -> list[list[GroupInput]]:
    """Groups in lots of about `rows` questions, large groups cut, all without answers."""
    chunks: list[list[GroupInput]] = []
    room = 0
    for group in groups:
        for start in range(0, len(group.questions), rows):
            part = group.questions[start : start + rows]
            if len(part) > room:
                chunks.append([])
                room = rows
            chunks[-1].append(GroupInput(group.ecgs, part, with_answers=False))
            room -= len(part)
    return chunks


def row_name(question: Question) -> str:
    """Names a row: which question, in which words, about which ECGs."""
    return f"{question.question_id}|{question.wording_id}|{'+'.join(question.ecg_ids)}"


def _check_ecgs(ecgs: Sequence[int], count: int) -> None:
    if len(ecgs) > ECG_SLOTS:
        raise SpliceError(f"question: expected at most {ECG_SLOTS} ECGs, found {len(ecgs)}")
    for index in ecgs:
        if not 0 <= index < count:
            raise SpliceError(f"group: expected ECG indices 0 to {count - 1}, found {index}")


def _labels(ids: Tensor, rows: Sequence[Sequence[int]], answer_lengths: Sequence[int]) -> Tensor:
    labels = torch.full_like(ids, IGNORED_LABEL)
    for index, (row, length) in enumerate(zip(rows, answer_lengths, strict=True)):
        if length:
            end = len(row)
            labels[index, end - length : end] = ids[index, end - length : end]
    return labels
