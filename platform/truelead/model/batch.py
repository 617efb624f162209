"""What a training or scoring step gets: groups of questions that share their ECGs.

Shape suffixes: G groups, B question rows, N ECGs in the batch, L leads (12), T samples, P patches
(features) or tokens of the prefix (prefix_*), D encoder width, S tokens of a question row, E ECG
slots (2), C packed sequences, W tokens of a packed sequence, A answer tokens.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from truelead.model.prefix import ReadPrefix

IGNORED_LABEL = -100
"""Label of the tokens that are not part of an answer (the convention of PyTorch and the hub)."""

ECG_SLOTS = 2
"""ECGs that a question may be about, at most."""


@dataclasses.dataclass(frozen=True)
class PackedLayout:
    """Where the tokens of a batch stand in packed sequences; made by `packing.pack`.

    Attributes:
        source_CW: long, place of the token among all prefix tokens [G x P] followed by all row
            tokens [B x S]; 0 on padding.
        position_CW: long, the position that the language model is told; it goes on behind the
            prefix for every question.
        segment_CW: long, which copy of a prefix the token belongs to; -1 on padding.
        question_CW: long, 1 + the question row of the token; 0 on a prefix and on padding.
        answer_at_A: long, flat place [C x W] of the token that predicts an answer token.
        target_A: long, id of that answer token.
        answer_row_A: long, its question row.
    """

    source_CW: Tensor
    position_CW: Tensor
    segment_CW: Tensor
    question_CW: Tensor
    answer_at_A: Tensor
    target_A: Tensor
    answer_row_A: Tensor

    @property
    def tokens(self) -> int:
        """Tokens that are no padding."""
        return int((self.segment_CW >= 0).sum())

    def to(self, device: torch.device | str) -> PackedLayout:
        """The layout with its tensors on `device`."""
        return PackedLayout(
            **{
                field.name: getattr(self, field.name).to(device, non_blocking=True)
                for field in dataclasses.fields(self)
            }
        )


@dataclasses.dataclass(frozen=True)
class Batch:
    """Groups of one or two ECGs, and the questions that stand behind each.

    Text is padded on the right; the masks are True on real tokens. The prefix of a group ends
    where its first question begins, and the positions of every question row go on from there.

    Attributes:
        ecg_NLT: standardised ECGs, float32; None when one of the next two is given.
        features_NPD: cached features of a frozen encoder.
        read_prefixes: instead of both, what reading each group's prefix left behind.
        ecg_index_GE: long [G, 2], which ECGs a group holds, in order; -1 where none.
        prefix_ids_GP, prefix_mask_GP: token ids and mask of the shared prefix.
        group_B: long, the group of a question row.
        input_ids_BS, mask_BS: token ids and mask of question and answer.
        labels_BS: token ids of the answer, `IGNORED_LABEL` elsewhere.
        stratum_B: long, severity stratum of the question, -1 where not assigned; the model
            itself never reads it.
        told_stratum_B: long, severity stratum that a strata slot reads, -1 where none is told.
        weight_B: float32, weight of the row's loss.
        uid_B: names the row: question, wording and ECGs.
        layout: packed sequences of these rows; None: their prefix is read into a cache.
    """

    ecg_index_GE: Tensor
    prefix_ids_GP: Tensor
    prefix_mask_GP: Tensor
    group_B: Tensor
    input_ids_BS: Tensor
    mask_BS: Tensor
    labels_BS: Tensor
    stratum_B: Tensor
    told_stratum_B: Tensor
    weight_B: Tensor
    uid_B: list[str]
    ecg_NLT: Tensor | None = None
    features_NPD: Tensor | None = None
    read_prefixes: tuple[ReadPrefix, ...] | None = None
    layout: PackedLayout | None = None

    def __post_init__(self) -> None:
        forms = (self.ecg_NLT, self.features_NPD, self.read_prefixes)
        assert sum(form is not None for form in forms) == 1, "exactly one of the three"

    @property
    def rows(self) -> int:
        """B."""
        return self.input_ids_BS.shape[0]

    @property
    def answer_tokens(self) -> int:
        """Number of labelled tokens, which the loss of a step is divided by."""
        return int((self.labels_BS != IGNORED_LABEL).sum())

    def take_rows(self, row_R: Tensor, *, told_stratum_B: Tensor | None = None) -> Batch:
        """The rows named by `row_R` (long), any number of times each, told these or their strata.

        The groups stay: however often a row is taken, its ECGs are read once. A layout, which
        was that of the old rows, does not.
        """
        names = ("group_B", "input_ids_BS", "mask_BS", "labels_BS", "stratum_B", "weight_B")
        taken: dict[str, Any] = {name: getattr(self, name)[row_R] for name in names}
        return dataclasses.replace(
            self,
            **taken,
            told_stratum_B=(
                self.told_stratum_B[row_R] if told_stratum_B is None else told_stratum_B
            ),
            uid_B=[self.uid_B[row] for row in row_R.tolist()],
            layout=None,
        )

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on `device`."""
        moved: dict[str, Any] = {
            field.name: value.to(device, non_blocking=True)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return dataclasses.replace(self, **moved, layout=self.layout and self.layout.to(device))


class AnswerLoss(NamedTuple):
    """Negative log-likelihood of the answers. A tuple, so that DeepSpeed's hooks see the tensors.

    Attributes:
        loss_B: sum over a row's answer tokens, in nats.
        tokens_B: how many answer tokens the row has.
    """

    loss_B: Tensor
    tokens_B: Tensor
