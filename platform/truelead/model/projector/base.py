"""What every projector is: encoder features in, tokens of the language model's width out.

Shape suffixes: N ECGs in the batch, P patches, K tokens an ECG, D encoder width, H LLM width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from truelead.errors import ModelError


class Projector(nn.Module):
    """Base of the projectors.

    A subclass implements `project`. The tokens pass a root-mean-square norm whose gain starts at
    the scale of the language model's own embeddings (`match_scale`): tokens fifty times larger
    than the words would drown what attention writes beside them.

    In training the features get white noise, which keeps the language model from leaning on what
    the encoder learned by heart about the train ECGs (Bishop 1995: training with noise is Tikhonov
    regularisation).

    Attributes:
        tokens: K, the number of tokens an ECG becomes.
        noise: its standard deviation, in units of a feature's own over the batch.
    """

    def __init__(self, tokens: int, hidden_size: int, noise: float = 0.0) -> None:
        super().__init__()
        assert tokens >= 1
        if noise < 0:
            raise ModelError(f"projector: noise: expected 0 or more, found {noise}")
        self.tokens = tokens
        self.noise = noise
        self.output_norm = nn.RMSNorm(hidden_size, eps=1e-6)

    def project(self, features_NPD: Tensor) -> Tensor:
        """tokens_NKH before the norm."""
        raise NotImplementedError

    def forward(self, features_NPD: Tensor) -> Tensor:
        """tokens_NKH of features_NPD."""
        if self.training and self.noise:
            scale_D = self.noise * features_NPD.detach().std(dim=(0, 1), correction=0)
            features_NPD = features_NPD + scale_D * torch.randn_like(features_NPD)
        tokens_NKH: Tensor = self.output_norm(self.project(features_NPD))
        return tokens_NKH

    @torch.no_grad()
    def match_scale(self, embedding: nn.Module) -> None:
        """Set the gain to the root mean square of the language model's embeddings."""
        weight: Any = embedding.weight
        self.output_norm.weight.fill_(weight.float().pow(2).mean().sqrt().clamp_min(1e-3).item())


def pool_patches(features_NPD: Tensor, tokens: int) -> Tensor:
    """The mean of adjacent patches, so that P become K.

    K > P repeats patches. Where K does not divide P, neighbouring windows share a patch.
    """
    if features_NPD.shape[1] == tokens:
        return features_NPD
    return functional.adaptive_avg_pool1d(features_NPD.transpose(1, 2), tokens).transpose(1, 2)
