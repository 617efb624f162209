"""A perceptron with one hidden layer over pooled patches (as in LLaVA-1.5, Liu et al. 2024).

Shape suffixes: N ECGs in the batch, P patches, K tokens an ECG, D encoder width, H LLM width.
"""

from __future__ import annotations

from torch import Tensor, nn

from truelead.model.projector.base import Projector, pool_patches


class MLPProjector(Projector):
    """Adjacent patches averaged to K tokens, normalised, and projected by a perceptron.

    Args:
        width: D.
        hidden_size: H.
        tokens: K.
        noise: see `Projector`.
        inner_size: width of the hidden layer; None: 2 H.
    """

    def __init__(
        self,
        width: int,
        hidden_size: int,
        *,
        tokens: int = 16,
        inner_size: int | None = None,
        noise: float = 0.0,
    ) -> None:
        super().__init__(tokens, hidden_size, noise)
        inner_size = inner_size or 2 * hidden_size
        self.norm = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, inner_size)
        self.activation = nn.GELU()
        self.linear2 = nn.Linear(inner_size, hidden_size)

    def project(self, features_NPD: Tensor) -> Tensor:
        x_NKD = self.norm(pool_patches(features_NPD, self.tokens))
        tokens_NKH: Tensor = self.linear2(self.activation(self.linear1(x_NKD)))
        return tokens_NKH
