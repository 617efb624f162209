"""The perceiver resampler: K learned queries read the patches (Flamingo, Alayrac et al. 2022).

Shape suffixes: N ECGs in the batch, P patches, K tokens an ECG, D encoder width, H LLM width,
A attention heads, C channels of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from truelead.errors import ModelError
from truelead.model.projector.base import Projector


class ResamplerLayer(nn.Module):
    """Queries attend to the patches and to themselves, then pass a perceptron."""

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_queries = nn.LayerNorm(hidden_size)
        self.norm_patches = nn.LayerNorm(hidden_size)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.norm_perceptron = nn.LayerNorm(hidden_size)
        self.perceptron = nn.Sequential(
            nn.Linear(hidden_size, 2 * hidden_size),
            nn.GELU(),
            nn.Linear(2 * hidden_size, hidden_size),
        )

    def forward(self, queries_NKH: Tensor, patches_NPH: Tensor) -> Tensor:
        N, K, H = queries_NKH.shape
        normed_NKH = self.norm_queries(queries_NKH)
        # The queries stand among the keys too, as in Flamingo.
        sources = torch.cat([self.norm_patches(patches_NPH), normed_NKH], dim=1)
        query_NAKC = self.query(normed_NKH).view(N, K, self.heads, -1).transpose(1, 2)
        joint = self.key_value(sources).view(N, sources.shape[1], 2, self.heads, H // self.heads)
        key, value = joint.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query_NAKC, key, value)
        queries_NKH = queries_NKH + self.output(mixed.transpose(1, 2).reshape(N, K, H))
        result_NKH: Tensor = queries_NKH + self.perceptron(self.norm_perceptron(queries_NKH))
        return result_NKH


class PerceiverProjector(Projector):
    """K learned queries resample any number of patches.

    Args:
        width: D.
        hidden_size: H.
        tokens: K.
        noise: see `Projector`.
        layers: resampler layers.
        heads: attention heads, a divisor of H.
        maximum_patches: P up to which patches have an embedding of their place.

    Raises:
        ModelError: H is no multiple of the heads; more patches than `maximum_patches`.
    """

    def __init__(
        self,
        width: int,
        hidden_size: int,
        *,
        tokens: int = 16,
        layers: int = 2,
        heads: int = 4,
        maximum_patches: int = 1024,
        noise: float = 0.0,
    ) -> None:
        super().__init__(tokens, hidden_size, noise)
        if hidden_size % heads:
            raise ModelError(
                f"perceiver: heads: expected a divisor of {hidden_size}, found {heads}"
            )
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, hidden_size)
        self.place_PH = nn.Parameter(0.02 * torch.randn(maximum_patches, hidden_size))
        self.queries_KH = nn.Parameter(0.2 * torch.randn(tokens, hidden_size))
        self.layers = nn.ModuleList(ResamplerLayer(hidden_size, heads) for _ in range(layers))

    def project(self, features_NPD: Tensor) -> Tensor:
        patches = features_NPD.shape[1]
        if patches > self.place_PH.shape[0]:
            raise ModelError(
                f"perceiver: expected at most {self.place_PH.shape[0]} patches, found {patches}"
            )
        patches_NPH = self.linear(self.norm(features_NPD)) + self.place_PH[:patches]
        queries_NKH = self.queries_KH.expand(features_NPD.shape[0], -1, -1)
        for layer in self.layers:
            queries_NKH = layer(queries_NKH, patches_NPH)
        return queries_NKH
