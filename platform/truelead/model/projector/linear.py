"""One linear layer over pooled patches (as in LLaVA, Liu et al. 2023).

Shape suffixes: N ECGs in the batch, P patches, K tokens an ECG, D encoder width, H LLM width.
"""

from __future__ import annotations

from torch import Tensor, nn

from truelead.model.projector.base import Projector, pool_patches


class LinearProjector(Projector):
    """Adjacent patches averaged to K tokens, normalised, and projected by one matrix.

    Args:
        width: D.
        hidden_size: H.
        tokens: K.
        noise: see `Projector`.
    """

    def __init__(
        self, width: int, hidden_size: int, *, tokens: int = 16, noise: float = 0.0
    ) -> None:
        super().__init__(tokens, hidden_size, noise)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, hidden_size)

    def project(self, features_NPD: Tensor) -> Tensor:
        tokens_NKH: Tensor = self.linear(self.norm(pool_patches(features_NPD, self.tokens)))
        return tokens_NKH
