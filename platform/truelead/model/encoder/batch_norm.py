"""Batch normalisation (Ioffe and Szegedy 2015) of which only the statistics are in float32.

Shape suffixes: N ECGs in the batch, C channels, T samples.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class BatchNorm1d(nn.BatchNorm1d):
    """PyTorch's, also where weights and input are bfloat16.

    Training in bfloat16 leaves the running statistics in float32, as it should: an average that
    moves by a tenth of a difference loses it in eight bits. PyTorch's kernel on a CPU refuses the
    mixture; here it is computed in float32.
    """

    def forward(self, x_NCT: Tensor) -> Tensor:
        """As `nn.BatchNorm1d`, in the dtype of x_NCT."""
        statistics = self.running_mean
        if statistics is None or x_NCT.dtype == statistics.dtype:
            return super().forward(x_NCT)
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return functional.batch_norm(
            x_NCT.float(),
            self.running_mean,
            self.running_var,
            None if self.weight is None else self.weight.float(),
            None if self.bias is None else self.bias.float(),
            self.training,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        ).to(x_NCT.dtype)
