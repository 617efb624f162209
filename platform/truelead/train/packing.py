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
        """The batch to train on, in the form that pays for it."""
        groups = len(batch.prefix_ids_GP)
        return (
            self.laid_out(batch) if self.pays(batch.rows, groups, longest_group(batch)) else batch
        )

    def pays(self, rows: int, groups: int, longest: int) -> bool:
        """Whether a step of so many question rows and groups is packed.

        Workers of one step must agree, since ZeRO's workers meet in every layer: ask about the
        step, not about a worker's share of it.
        """
        return self.always or (
            longest <= LONGEST_PACKED_GROUP and rows >= FEWEST_QUESTIONS * groups
        )

    def laid_out(self, batch: Batch) -> Batch:
        """The batch in packed sequences."""
        bound = self.tokens_per_sequence or max(longest_group(batch), SHORTEST_BOUND)
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
        model: before DeepSpeed has it. Its attention is set to FlexAttention where that packs.
        reads_options: the objective reads options behind questions already read, which needs the
            cache: `packed` falls back to it there.

    Raises:
        ConfigError: `packed` is asked of a language model that cannot be trained so, or gradient
            checkpointing of a training that cannot be packed.
    """
    checkpointing = train.gradient_checkpointing
    if train.packing == "cache" or (
        train.packing == "auto" and train.use_gpu and not checkpointing
    ):
        return None
    if reads_options:
        if checkpointing:
            raise ConfigError(
                "train.gradient_checkpointing: expected false: this strategy's objective reads "
                "options, which needs the key-value cache that recomputation would drop"
            )
        if train.packing == "packed":
            _log.warning("train.packing: packed: this objective reads options: cache is used")
        return None
    refusal = refusal_of(model.language_model)
    if refusal is not None:
        if checkpointing:
            raise ConfigError(f"train.gradient_checkpointing: language model: {refusal}")
        if train.packing == "packed":
            raise ConfigError(f"train.packing: packed: language model: {refusal}: use cache")
        return None
    attention = train.packed_attention
    flex = attention == "flex_attention" or (attention == "auto" and train.use_gpu)
    if flex:
        model.language_model.set_attn_implementation("flex_attention")
    return Packer(
        always=train.packing == "packed" or checkpointing,
        tokens_per_sequence=train.tokens_per_sequence,
        multiple=FLEX_BLOCK if flex else 1,
    )
