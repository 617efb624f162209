"""Process environment of training: set before Ray Train and DeepSpeed are imported."""

from __future__ import annotations

import os

_DRIVER_DEFAULTS = {
    # The controller registers a reported checkpoint only when it polls; at the default of 2 s a
    # worker killed right after a report loses that checkpoint.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Workers without GPUs keep the CUDA_VISIBLE_DEVICES they inherit.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TOKENIZERS_PARALLELISM": "false",
}

WORKER_VARIABLES = {
    # Idle OpenMP threads otherwise spin on cores that Ray Data and other workers want: on two
    # crowded cores a step of the encoder took 4 times the CPU time and 3 to 6 times as long.
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""What a worker's process must start with, before it imports torch."""


def prepare_driver() -> None:
    """Set what Ray Train reads at import; values the user has set stay."""
    for name, value in _DRIVER_DEFAULTS.items():
        os.environ.setdefault(name, value)
    _choose_accelerator()


def prepare_worker(threads: int, *, deterministic: bool = False) -> None:
    """Set a training worker's threads and accelerator; call before importing deepspeed.

    Args:
        threads: torch threads of this process.
        deterministic: use only operations that give the same bits again; others raise. It holds
            for the process until the next call.
    """
    import logging

    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _choose_accelerator()
    quieten_hub()
    torch.set_num_threads(threads)
    if deterministic:
        # cuBLAS reads it when it starts; without it matrix products may differ from run to run.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(deterministic)
    for name in ("DeepSpeed", "ray.data"):
        logging.getLogger(name).setLevel(logging.WARNING)


def quieten_hub() -> None:
    """Leave out the progress bars of transformers, which saves models of one file here."""
    from transformers.utils import logging as hub_logging

    hub_logging.disable_progress_bar()


def _choose_accelerator() -> None:
    """Tell DeepSpeed to use the CPU where there is no GPU; it warns when it must guess."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
