"""A stage trained in the process that asks for it, without workers of Ray Train.

Starting Ray Train's controller and workers takes ten seconds and more, which is most of a small
run's time. Here the worker's function runs at once, in a process group of one. A dead process is
not restarted, but the stage, started again, goes on from its newest whole checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from truelead.config import TrainConfig

_GROUP_OF_ONE = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
"""What DeepSpeed reads beside the process group."""


def run_in_process(
    worker: Callable[[dict[str, Any]], dict[str, Any]],
    arguments: dict[str, Any],
    train: TrainConfig,
) -> dict[str, Any]:
    """What `worker(arguments)` returns, as the only worker."""
    with _group_of_one("nccl" if train.use_gpu else "gloo"):
        return worker(arguments)


@contextmanager
def _group_of_one(backend: str) -> Iterator[None]:
    import torch.distributed as dist

    for name, value in _GROUP_OF_ONE.items():
        os.environ.setdefault(name, value)
    if dist.is_initialized():  # by an earlier stage in this process; DeepSpeed keeps hold of it
        yield
        return
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    yield
