"""A one-dimensional residual network with squeeze-and-excitation.

Sources: He et al. 2016 (residual blocks), Hu et al. 2018 (squeeze-and-excitation), Strodthoff et
al. 2021 (residual networks lead the PTB-XL benchmark).

Shape suffixes: N ECGs in the batch, L leads (12), T samples, P patches, D encoder width,
C channels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from truelead.model.encoder.base import Encoder
from truelead.model.encoder.batch_norm import BatchNorm1d
from truelead.types import LEADS


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from its mean over time."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x_NCT: Tensor) -> Tensor:
        gate_NC = self.excite(functional.relu(self.squeeze(x_NCT.mean(dim=-1)))).sigmoid()
        return x_NCT * gate_NC[:, :, None]


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut; the first convolution has the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dropout: float) -> None:
        super().__init__()
        padding = kernel // 2
        self.convolution1 = nn.Conv1d(inputs, outputs, kernel, stride, padding, bias=False)
        self.norm1 = BatchNorm1d(outputs)
        self.convolution2 = nn.Conv1d(outputs, outputs, kernel, 1, padding, bias=False)
        self.norm2 = BatchNorm1d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.attention = SqueezeExcitation(outputs)
        # Average before the 1 x 1 projection, so that no sample is skipped (He et al. 2019).
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.AvgPool1d(stride, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv1d(inputs, outputs, 1, bias=False),
                BatchNorm1d(outputs),
            )

    def forward(self, x_NCT: Tensor) -> Tensor:
        y_NCT = functional.relu(self.norm1(self.convolution1(x_NCT)))
        y_NCT = self.attention(self.norm2(self.convolution2(self.dropout(y_NCT))))
        return functional.relu(y_NCT + self.shortcut(x_NCT))


class ResNet1d(Encoder):
    """ResNet with four residual stages; 10 s at 100 Hz become 63 patches of width 128.

    Args:
        samples: T the model is built for; other lengths also work.
        width: D, the channels of the last stage; the earlier ones have 1/4, 1/2 and 3/4 of it.
        kernel: samples a convolution sees, odd.
        blocks: residual blocks a stage.
        dropout: probability between the two convolutions of a block.
    """

    STRIDES = (2, 2, 2, 1)

    def __init__(
        self,
        samples: int,
        *,
        width: int = 128,
        kernel: int = 7,
        blocks: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(
            samples, {"width": width, "kernel": kernel, "blocks": blocks, "dropout": dropout}
        )
        self.width = width
        channels = [width // 4, width // 2, width * 3 // 4, width]
        self.stem = nn.Sequential(
            nn.Conv1d(len(LEADS), channels[0], 15, 2, 7, bias=False),
            BatchNorm1d(channels[0]),
            nn.ReLU(),
        )
        stages: list[nn.Module] = []
        inputs = channels[0]
        for outputs, stride in zip(channels, self.STRIDES, strict=True):
            for block in range(blocks):
                stages.append(
                    ResidualBlock(inputs, outputs, kernel, stride if block == 0 else 1, dropout)
                )
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        # Features of one scale: what comes after reads weak channels as well as strong ones.
        self.output_norm = BatchNorm1d(width, affine=False)

    def tokens(self, samples: int) -> int:
        """P: a patch is 16 samples."""
        for stride in (2, *self.STRIDES):
            samples = -(-samples // stride)
        return samples

    def forward(self, ecg_NLT: Tensor) -> Tensor:
        features_NDP = self.output_norm(self.stages(self.stem(ecg_NLT)))
        return features_NDP.transpose(1, 2)
