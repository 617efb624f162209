"""The transformer block that the vision-transformer encoder and the report tower share.

Shape suffixes: N items in the batch, S tokens, D width, H heads, C channels of a head.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017) over one sequence, in both directions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        assert width % heads == 0, "heads must divide the width"
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x_NSD: Tensor, mask_NS: Tensor | None = None) -> Tensor:
        N, S, D = x_NSD.shape
        joint = self.query_key_value(x_NSD).view(N, S, 3, self.heads, D // self.heads)
        query_NHSC, key_NHSC, value_NHSC = joint.permute(2, 0, 3, 1, 4)
        mask = None if mask_NS is None else mask_NS[:, None, None, :]
        mixed_NHSC = functional.scaled_dot_product_attention(
            query_NHSC, key_NHSC, value_NHSC, attn_mask=mask
        )
        return self.output(mixed_NHSC.transpose(1, 2).reshape(N, S, D))


class TransformerBlock(nn.Module):
    """Pre-norm attention and perceptron, each with a residual path.

    Args:
        width: D.
        heads: attention heads, a divisor of the width.
        dropout: probability after each of the two parts.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_NSD: Tensor, mask_NS: Tensor | None = None) -> Tensor:
        x_NSD = x_NSD + self.dropout(self.attention(self.norm1(x_NSD), mask_NS))
        return x_NSD + self.dropout(self.perceptron(self.norm2(x_NSD)))
