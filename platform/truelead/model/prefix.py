"""Prefixes that have been read, apart from any batch: where a question about a known ECG starts.

A prefix is a prompt up to its question, with the tokens of its one or two ECGs. It does not depend
on the question, so its keys and values are read once and kept; a question stands behind them as it
stands behind a prefix of its own batch (`grouped`), to float tolerance, which a test proves.

Shape suffixes: G groups, P tokens of a prefix, H LLM width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from truelead.model.batch import Batch
from truelead.model.grouped import prefix_embeddings, read_prefix_embeddings
from truelead.model.severity_slot import masked_mean

if TYPE_CHECKING:
    from truelead.model.modeling import TrueLeadForConditionalGeneration


@dataclass(frozen=True, eq=False)
class ReadPrefix:
    """Keys and values of one prefix, on the model's device.

    Attributes:
        layers: keys and values of each layer, [heads, P, head width] each.
        ecg_H: float32, mean of its ECG tokens, which a severity slot reads; 0 without an ECG.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    ecg_H: Tensor

    @property
    def tokens(self) -> int:
        """P."""
        return self.layers[0][0].shape[1]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.ecg_H.nbytes + sum(key.nbytes + value.nbytes for key, value in self.layers)


Prefixes = Mapping[tuple[int, ...], ReadPrefix]
"""Read prefixes by what `GroupInput.ecgs` says."""


def can_be_kept(model: TrueLeadForConditionalGeneration) -> bool:
    """Whether the keys and values of every layer hold all that was read.

    Layers with a sliding window drop tokens, and recurrent ones keep a state instead.
    """
    cache = DynamicCache(config=model.config.get_text_config())
    return all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers)


@torch.inference_mode()
def read_each_prefix(model: TrueLeadForConditionalGeneration, batch: Batch) -> list[ReadPrefix]:
    """The prefix of each group of the batch, in one pass; each in memory of its own.

    Raises:
        SpliceError: placeholders and ECGs of a group disagree.
    """
    prefix_GPH = prefix_embeddings(model, batch)
    ecg_GH = masked_mean(prefix_GPH, batch.prefix_ids_GP == model.config.ecg_token_id)
    read = read_prefix_embeddings(model, batch, prefix_GPH)
    lengths = batch.prefix_mask_GP.sum(dim=1).tolist()
    layers: list[Any] = list(read.cache.layers)
    return [
        ReadPrefix(
            tuple(
                (layer.keys[group, :, :length].clone(), layer.values[group, :, :length].clone())
                for layer in layers
            ),
            ecg_GH[group].clone(),
        )
        for group, length in enumerate(lengths)
    ]
