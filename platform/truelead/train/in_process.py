"""A stage trained in the process that asks for it, without workers of Ray Train.

Starting Ray Train's controller and workers takes ten seconds and more, which is most of a small
run's time. Here the worker's function runs at once, in a process group of one. A dead process is
not restarted, but the stage, started again, goes on from its newest whole checkpoint.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from truelead.config import TrainConfig
from truelead.data.durable import flush_file, flush_folder
from truelead.train.checkpoint import Checkpoints, prune_checkpoints
from truelead.train.stage import CHECKPOINTS

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


def stage_checkpoints(folder: Path, key: str, train: TrainConfig) -> Checkpoints:
    """The checkpoints of the stage in `folder`: reported to Ray Train, or kept by this process."""
    kept = folder / CHECKPOINTS
    publish = _publisher(kept, train.keep_checkpoints) if train.in_process else None
    return Checkpoints(kept, key, publish)


def _publisher(folder: Path, keep: int) -> Callable[[Path, str, Mapping[str, float]], None]:
    """Puts a checkpoint into `folder`: it is whole and on disk before it has its name."""

    def publish(files: Path, name: str, metrics: Mapping[str, float]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(files, unfinished)
        for path in unfinished.rglob("*"):
            if path.is_file():
                flush_file(path)
        for path in (*(path for path in unfinished.rglob("*") if path.is_dir()), unfinished):
            flush_folder(path)
        os.replace(unfinished, folder / name)
        flush_folder(folder)
        prune_checkpoints(folder, keep)

    return publish


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
