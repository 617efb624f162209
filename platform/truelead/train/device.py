"""What is known of the device that a worker computes on: its peak speed and its memory."""

from __future__ import annotations

import torch

from truelead.config import TrainConfig

PEAK_FLOPS = {
    # NVIDIA's data sheets, dense bfloat16 with tensor cores, without sparsity.
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "A30": 165e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
}
"""Peak of a GPU in bfloat16, FLOP/s, by a part of its name; the first that fits counts."""


def peak_flops(train: TrainConfig, name: str | None = None) -> float | None:
    """Peak of one worker's device, FLOP/s.

    Args:
        name: of the GPU; None: of the one in this process.

    Returns:
        `train.peak_flops` where given; else the GPU's by its name, for bfloat16. None on a CPU,
        for float32, and for a GPU that is not listed: no MFU is better than a wrong one.
    """
    if train.peak_flops is not None:
        return train.peak_flops
    if not train.use_gpu or train.dtype != "bfloat16":
        return None
    if name is None:
        if not torch.cuda.is_available():
            return None
        name = torch.cuda.get_device_name()
    words = name.replace("-", " ").split()
    for known, peak in PEAK_FLOPS.items():
        if all(word in words for word in known.split()):
            return peak
    return None


def peak_device_memory_bytes() -> int | None:
    """Most GPU memory that this process's tensors held at once; None without a GPU."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
