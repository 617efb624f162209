"""The checkpoints of one stage, as its recipe wants them."""

from __future__ import annotations

from pathlib import Path

from truelead.config import TrainConfig
from truelead.train.checkpoint import Checkpoints
from truelead.train.checkpoint_store import CheckpointStore
from truelead.train.progress import note
from truelead.train.stage import CHECKPOINTS


def stage_store(folder: Path, key: str, train: TrainConfig) -> CheckpointStore:
    """Where the checkpoints lie: in the stage's `folder`, or below `train.checkpoints_url`.

    Args:
        key: digest of the stage; under the URL each has a folder of its own.
    """
    if train.checkpoints_url is None:
        return CheckpointStore(folder / CHECKPOINTS)
    return CheckpointStore(f"{train.checkpoints_url.rstrip('/')}/{key}")


def stage_checkpoints(folder: Path, key: str, train: TrainConfig) -> Checkpoints:
    """The checkpoints of the stage in `folder`; every worker calls it."""
    return Checkpoints(
        stage_store(folder, key, train),
        key,
        keep=train.keep_checkpoints,
        maximum_failed_saves=train.max_failed_saves,
        notice=lambda message: note(folder, message),
    )
