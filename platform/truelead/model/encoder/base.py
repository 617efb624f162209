"""What every ECG encoder is: standardised ECGs in, one feature vector a patch out.

Shape suffixes: N ECGs in the batch, L leads (12), T samples, P patches, D encoder width.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

CONFIGURATION_FILE = "encoder.json"
WEIGHTS_FILE = "encoder.safetensors"
FORMAT_VERSION = 1


class Encoder(nn.Module):
    """Base of the ECG encoders.

    A subclass sets `width` and implements `tokens` and `forward`. Its constructor takes `samples`
    (T, the length it is built for) and its own options as keyword arguments, all JSON scalars.

    Attributes:
        name: key in `ENCODERS`, set by `build_encoder`.
        options: keyword arguments it was built with.
        samples: T it was built for.
        width: D of the features.
    """

    name: str = ""
    width: int

    def __init__(self, samples: int, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.samples = samples
        self.options = dict(options)

    def tokens(self, samples: int) -> int:
        """P, the number of patches for an ECG of T samples."""
        raise NotImplementedError

    def forward(self, ecg_NLT: Tensor) -> Tensor:
        """features_NPD of standardised ECGs ecg_NLT (float32, [N, 12, T], no NaN)."""
        raise NotImplementedError

    def save(self, folder: str | Path) -> Path:
        """Write the configuration (JSON) and the weights (safetensors) into `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous().cpu() for name, value in self.state_dict().items()}
        save_file(state, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        description = {
            "format": FORMAT_VERSION,
            "name": self.name,
            "options": self.options,
            "samples": self.samples,
        }
        # The configuration is written last: a folder with one holds whole weights.
        (folder / CONFIGURATION_FILE).write_text(json.dumps(description, indent=2) + "\n")
        return folder


def parameter_count(module: nn.Module) -> int:
    """Number of trainable and frozen values in `module`."""
    return sum(parameter.numel() for parameter in module.parameters())


def pooled(features_NPD: Tensor) -> Tensor:
    """pooled_NF, F = 2 D: the mean and the largest value over the patches.

    The mean tells what every beat shows, the largest value what one beat shows.
    """
    return torch.cat([features_NPD.mean(dim=1), features_NPD.amax(dim=1)], dim=-1)
