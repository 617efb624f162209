"""A vision transformer over patches of one lead and one stretch of time.

Sources: Dosovitskiy et al. 2021 (vision transformer), Na et al. 2024 (ST-MEM: patches of lead x
time with separate lead and time embeddings).

Shape suffixes: N ECGs in the batch, L leads (12), T samples, W stretches of time, P = W x L
patches, D encoder width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from truelead.errors import ModelError
from truelead.model.encoder.base import Encoder
from truelead.model.encoder.transformer import TransformerBlock
from truelead.types import LEADS


class ViT1d(Encoder):
    """Transformer encoder; 10 s at 100 Hz become 20 x 12 = 240 patches of width 128.

    The patches of one stretch of time stand together, in the order of the leads, so that pooling
    adjacent patches pools over leads before it pools over time.

    Args:
        samples: T the model is built for; shorter ECGs also work.
        width: D.
        depth: transformer blocks.
        heads: attention heads, a divisor of the width.
        patch_samples: samples of one lead in a patch; the last patch is filled with zeros.
        dropout: probability inside the blocks.

    Raises:
        ModelError: the width is no multiple of the heads; an ECG is longer than `samples`.
    """

    def __init__(
        self,
        samples: int,
        *,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        patch_samples: int = 50,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(
            samples,
            {
                "width": width,
                "depth": depth,
                "heads": heads,
                "patch_samples": patch_samples,
                "dropout": dropout,
            },
        )
        if width % heads:
            raise ModelError(f"vit1d: width: expected a multiple of {heads} heads, found {width}")
        self.width = width
        self.patch_samples = patch_samples
        stretches = self._stretches(samples)
        self.patch_embedding = nn.Linear(patch_samples, width)
        self.lead_embedding_LD = nn.Parameter(0.02 * torch.randn(len(LEADS), width))
        self.time_embedding_WD = nn.Parameter(0.02 * torch.randn(stretches, width))
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def _stretches(self, samples: int) -> int:
        return -(-samples // self.patch_samples)

    def tokens(self, samples: int) -> int:
        """P: stretches of time x leads."""
        return self._stretches(samples) * len(LEADS)

    def forward(self, ecg_NLT: Tensor) -> Tensor:
        N, L, T = ecg_NLT.shape
        stretches = self._stretches(T)
        if stretches > self.time_embedding_WD.shape[0]:
            raise ModelError(f"vit1d: ecg: expected at most {self.samples} samples, found {T}")
        padded = functional.pad(ecg_NLT, (0, stretches * self.patch_samples - T))
        patches = padded.view(N, L, stretches, self.patch_samples).transpose(1, 2)
        x_NWLD = self.patch_embedding(patches)
        x_NWLD = x_NWLD + self.lead_embedding_LD + self.time_embedding_WD[:stretches, None]
        x_NPD = x_NWLD.reshape(N, stretches * L, self.width)
        for block in self.blocks:
            x_NPD = block(x_NPD)
        return self.norm(x_NPD)
