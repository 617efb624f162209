"""Random changes of standardised ECGs that keep their meaning, for encoder pre-training.

Shape suffixes: N ECGs, L leads (12), T samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Strengths; all draws come from torch's global generator, which the loop seeds each step.

    Attributes:
        shift: largest shift in time, as a share of T; what is shifted in is 0.
        scale: largest relative change of amplitude, one for all leads (their ratios matter).
        noise: standard deviation of white noise, in units of a lead's usual amplitude.
        lead_dropout: probability that a lead is set to 0, as if it were not recorded.
    """

    shift: float = 0.1
    scale: float = 0.15
    noise: float = 0.03
    lead_dropout: float = 0.02

    def __call__(self, ecg_NLT: Tensor) -> Tensor:
        """Changed copies of ecg_NLT."""
        n, leads, samples = ecg_NLT.shape
        ecg_NLT = self._shifted(ecg_NLT)
        scale_N11 = 1 + self.scale * (2 * torch.rand(n, 1, 1) - 1)
        kept_NL1 = (torch.rand(n, leads, 1) >= self.lead_dropout).float()
        noise_NLT = self.noise * torch.randn(n, leads, samples)
        return (ecg_NLT * scale_N11 + noise_NLT) * kept_NL1

    def _shifted(self, ecg_NLT: Tensor) -> Tensor:
        samples = ecg_NLT.shape[2]
        most = int(self.shift * samples)
        padded = torch.nn.functional.pad(ecg_NLT, (most, most))
        starts = torch.randint(0, 2 * most + 1, (len(ecg_NLT),)).tolist()
        rows = zip(padded, starts, strict=True)
        return torch.stack([row[:, start : start + samples] for row, start in rows])
