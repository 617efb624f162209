"""A stage trained in the asking process: its checkpoints, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from tests.train.stand_in import train_once
from truelead.config import TrainConfig, parse_recipe
from truelead.errors import ConfigError
from truelead.train.checkpoint_store import CheckpointStore
from truelead.train.in_process import run_in_process
from truelead.train.stage import CHECKPOINTS

TRAIN = TrainConfig(in_process=True, checkpoint_every=2, keep_checkpoints=2)


@pytest.mark.usefixtures("one_worker")
def test_checkpoints_are_kept_and_resumed_from(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"train": TRAIN, "folder": str(tmp_path), "steps": 6}
    store = CheckpointStore(tmp_path / CHECKPOINTS)
    leftover = tmp_path / CHECKPOINTS / "step_00000002.000"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("written", encoding="utf-8")

    whole = run_in_process(train_once, arguments, TRAIN)
    assert [name.step for name in store.marked()] == [6, 4]
    assert store.marked() == store.names(), "nothing unfinished is left"
    resumed = run_in_process(train_once, arguments, TRAIN)
    assert resumed["first"] == 6
    assert resumed["squares"] == whole["squares"]


@pytest.mark.usefixtures("process_group")
def test_an_existing_process_group_is_used() -> None:
    found = run_in_process(
        lambda told: {**told, "size": dist.get_world_size()}, {"asked": 1}, TRAIN
    )
    assert found == {"asked": 1, "size": 1}


def test_it_is_one_worker() -> None:
    with pytest.raises(ConfigError, match="workers: expected 1 with in_process, found 2"):
        parse_recipe({"name": "two", "train": {"in_process": True, "workers": 2}})
