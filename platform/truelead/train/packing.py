"""Which of the two exact forms of the shared prefix a step is trained in.

`cache` reads the prefix once into a key-value cache (`model.grouped`); `packed` lays groups out in
packed sequences (`model.packed`). Both give the same loss and gradients, so `auto` may choose by
speed, for every step alike in every run: its rule is measured on CPUs, see docs/adr/0010. On a
GPU, where it was not measured, it stays with the cache.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from truelead.config import TrainConfig
from truelead.errors import ConfigError
from truelead.model.batch import Batch
from truelead.model.packed import FLEX_BLOCK, refusal_of
from truelead.model.packing import pack

if TYPE_CHECKING:
    from truelead.model.modeling import TrueLeadForConditionalGeneration

_log = logging.getLogger(__name__)

SHORTEST_BOUND = 256
"""Tokens that a sequence may hold where groups are shorter: fewer, longer sequences pay there."""

LONGEST_PACKED_GROUP = 640
FEWEST_QUESTIONS = 4.0
"""What `auto` packs on a CPU: groups of at most so many tokens with so many questions in the mean.

Beyond, masked-away attention costs more than the cache saves; below, there is nothing to share.
"""


@dataclass(frozen=True)
class Packer:
    """Gives batches their layout, or leaves them to the cache.

    Attributes:
        always: every batch; else those of which the measured rule says that it pays.
        tokens_per_sequence: bound of a sequence; None: a batch's longest group, at least
            `SHORTEST_BOUND`.
        multiple: the width of the sequences is a multiple of this.
    """

    always: bool
    tokens_per_sequence: int | None = None
    multiple: int = 1

    def __call__(self, batch: Batch) -> Batch:
        """The batch to train on."""
        longest = longest_group(batch)
        if not self.always and (
            longest > LONGEST_PACKED_GROUP
            or batch.rows < FEWEST_QUESTIONS * len(batch.prefix_ids_GP)
        ):
            return batch
        bound = self.tokens_per_sequence or max(longest, SHORTEST_BOUND)
        return pack(batch, bound, multiple=self.multiple)


def longest_group(batch: Batch) -> int:
    """Tokens of the longest group: its prefix once, and all its questions."""
    tokens_G = batch.prefix_mask_GP.sum(dim=1)
    return int(tokens_G.index_add(0, batch.group_B, batch.mask_BS.sum(dim=1)).max())


def make_packer(
    train: TrainConfig, model: TrueLeadForConditionalGeneration, *, reads_options: bool
) -> Packer | None:
    """The packer of a training; None where every step reads its prefixes into a cache.

    Args:
        model: before DeepSpeed has it. To pack on a GPU its attention is set to FlexAttention.
        reads_options: the objective reads options behind questions already read, which needs the
            cache: `packed` falls back to it there.

    Raises:
        ConfigError: `packed` is asked of a language model that cannot be trained so.
    """
    if train.packing == "cache" or (train.packing == "auto" and train.use_gpu):
        return None
    if reads_options:
        if train.packing == "packed":
            _log.warning("train.packing: packed: this objective reads options: cache is used")
        return None
    refusal = refusal_of(model.language_model)
    if refusal is not None:
        if train.packing == "packed":
            raise ConfigError(f"train.packing: packed: language model: {refusal}: use cache")
        return None
    if train.use_gpu:
        model.language_model.set_attn_implementation("flex_attention")
    return Packer(
        always=train.packing == "packed",
        tokens_per_sequence=train.tokens_per_sequence,
        multiple=FLEX_BLOCK if train.use_gpu else 1,
    )
