"""Floating-point work that a training step asks of the model, for the model FLOPs utilisation.

MFU is the model's FLOPs a second over the device's peak (Chowdhery et al. 2022, "PaLM: Scaling
Language Modeling with Pathways", appendix B). As there, work that an implementation adds is not
counted: recomputed activations, padding, pairs that a mask hides, and prefixes read again.

A token costs 2 W FLOPs forward, W being the weights of the matrices that it passes (Kaplan et al.
2020, "Scaling Laws for Neural Language Models", section 2.1); backward costs 2 W for what lies
before and 2 W' for the weights W' that learn, so 6 W where all do. A pair of tokens of which one
sees the other costs 4 L d FLOPs forward (scores and values; L layers, d = heads x head size) and
twice that backward. The output layer counts at the positions whose logits are computed. Embeddings
are looked up and cost nothing. PaLM counts all pairs of a sequence, 2 times the causal ones; this
count is the lower of the two.

Shape suffixes: G groups, B question rows, N ECGs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers.pytorch_utils import Conv1D

from truelead.model.batch import IGNORED_LABEL, Batch
from truelead.train.answer_rows import OptionBatch

if TYPE_CHECKING:
    from truelead.model.modeling import TrueLeadForConditionalGeneration

_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True)
class Reading:
    """What the language model reads in one pass.

    Attributes:
        tokens: read, without padding; a shared prefix once.
        pairs: of tokens of which the second sees the first, or itself.
        outputs: positions whose logits are computed.
        ecgs: projected, and encoded where the features are not given.
    """

    tokens: int
    pairs: int
    outputs: int
    ecgs: int

    def __add__(self, other: Reading) -> Reading:
        return Reading(
            self.tokens + other.tokens,
            self.pairs + other.pairs,
            self.outputs + other.outputs,
            self.ecgs + other.ecgs,
        )


@dataclass(frozen=True)
class ModelWork:
    """FLOPs of training one model, forward and backward.

    Attributes:
        token, pair, output: of a `Reading`'s tokens, pairs and outputs.
        ecg: of an ECG whose features are given.
        encoding: more where they are not.
    """

    token: float
    pair: float
    output: float
    ecg: float
    encoding: float

    def flops(self, content: Batch | OptionBatch) -> float:
        """FLOPs of a training step on this content."""
        read = reading_of(content)
        batch = content.batch if isinstance(content, OptionBatch) else content
        ecg = self.ecg + (self.encoding if batch.features_NPD is None else 0.0)
        return (
            self.token * read.tokens
            + self.pair * read.pairs
            + self.output * read.outputs
            + ecg * read.ecgs
        )


def work_of(model: TrueLeadForConditionalGeneration) -> ModelWork | None:
    """The work of a model as it will be trained; None where it is not known how to count it.

    Call it before the model is sharded. Encoder and projector are counted by running one ECG.
    """
    text = model.language_model
    config: Any = text.config.get_text_config()
    if any(getattr(config, name, 0) for name in _EXPERTS):
        return None  # of a mixture of experts a token passes some weights only
    base, head = text.base_model, text.get_output_embeddings()
    learns = any(p.requires_grad for p in model.parameters())
    layers = int(config.num_hidden_layers)
    width = int(getattr(config, "head_dim", 0) or 0) * int(config.num_attention_heads)
    encoding, ecg = _ecg_flops(model)
    return ModelWork(
        token=_matrix_flops(_matrices(base), learns),
        pair=4.0 * layers * (width or int(config.hidden_size)) * (3.0 if learns else 1.0),
        output=_matrix_flops([head.weight], learns),
        ecg=ecg * (3.0 if _learns(model.projector) else 1.0),
        encoding=encoding * (3.0 if _learns(model.encoder) else 1.0),
    )


def reading_of(content: Batch | OptionBatch) -> Reading:
    """What one training step on this content reads."""
    if isinstance(content, Batch):
        answers = int((content.labels_BS[:, 1:] != IGNORED_LABEL).sum())
        return _questions(content, answers)
    later = [[len(ids) - 1 for ids in choices] for choices in content.option_ids]
    total = _options(content.batch, later)
    if content.blind is not None:
        total += _options(content.blind, later)
    if content.foil is not None and bool(content.facts.foil_differs_B.any()):
        rows = content.facts.foil_differs_B.nonzero()[:, 0].tolist()
        total += _options(content.foil, [later[row] for row in rows])
    return total


def _questions(batch: Batch, outputs: int) -> Reading:
    prefix_G = batch.prefix_mask_GP.sum(dim=1)
    row_B = batch.mask_BS.sum(dim=1)
    pairs = _seen(prefix_G, torch.zeros_like(prefix_G)) + _seen(row_B, prefix_G[batch.group_B])
    return Reading(
        tokens=int(prefix_G.sum() + row_B.sum()),
        pairs=pairs,
        outputs=outputs,
        ecgs=int((batch.ecg_index_GE >= 0).sum()),
    )


def _options(batch: Batch, later: list[list[int]]) -> Reading:
    """The questions, and of each option the tokens behind its first, which are read on."""
    row_of = torch.tensor([row for row, lengths in enumerate(later) for _ in lengths])
    length_R = torch.tensor([length for lengths in later for length in lengths])
    before_B = batch.mask_BS.sum(dim=1) + batch.prefix_mask_GP.sum(dim=1)[batch.group_B]
    outputs = batch.rows + int(length_R.sum())
    options = Reading(int(length_R.sum()), _seen(length_R, before_B[row_of]), 0, 0)
    return _questions(batch, outputs) + options


def _seen(length: Tensor, before: Tensor) -> int:
    """Pairs of `length` tokens that see each other causally and `before` tokens before them."""
    return int((length * before + length * (length + 1) // 2).sum())


def _matrices(module: nn.Module) -> list[Any]:
    kinds = (nn.Linear, Conv1D)
    return [child.weight for child in module.modules() if isinstance(child, kinds)]


def _matrix_flops(weights: list[Any], learns: bool) -> float:
    every = sum(weight.numel() for weight in weights)
    learning = sum(weight.numel() for weight in weights if weight.requires_grad)
    return 2.0 * (every * (2 if learns else 1) + learning)


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


@torch.no_grad()
def _ecg_flops(model: TrueLeadForConditionalGeneration) -> tuple[float, float]:
    """Forward FLOPs of encoding and of projecting one ECG."""
    was_training = model.training
    model.eval()
    device = next(model.encoder.parameters()).device
    with FlopCounterMode(display=False) as encoding:
        features_NPD = model.encode(torch.zeros(1, 12, model.encoder.samples, device=device))
    with FlopCounterMode(display=False) as projecting:
        model.ecg_tokens(features_NPD=features_NPD)
    model.train(was_training)
    return float(encoding.get_total_flops()), float(projecting.get_total_flops())
