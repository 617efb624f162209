"""A stage trained in the asking process: its checkpoints, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from tests.train.stand_in import train_once
from truelead.config import TrainConfig, parse_recipe
from truelead.errors import ConfigError
from truelead.train.checkpoint import list_checkpoints, newest_whole
from truelead.train.in_process import run_in_process, stage_checkpoints
from truelead.train.stage import CHECKPOINTS

TRAIN = TrainConfig(in_process=True, checkpoint_every=2, keep_checkpoints=2)


@pytest.mark.usefixtures("one_worker")
def test_checkpoints_are_kept_and_resumed_from(tmp_path: Path) -> None:
    publish = stage_checkpoints(tmp_path, "key", TRAIN)._publish
    arguments: dict[str, Any] = {"train": TRAIN, "folder": str(tmp_path), "steps": 6}
    leftover = tmp_path / CHECKPOINTS / ".step_00000002.000.unfinished"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("written", encoding="utf-8")

    whole = run_in_process(lambda told: train_once(told, publish=publish), arguments, TRAIN)
    kept = list_checkpoints(tmp_path / CHECKPOINTS)
    assert [name.step for name in kept] == [6, 4]
    assert not list((tmp_path / CHECKPOINTS).glob(".*")), "nothing unfinished is left"

    # The newest is damaged: the one before is gone on from, to the same weights.
    newest = tmp_path / CHECKPOINTS / str(kept[0])
    victim = max(
        (path for path in newest.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    victim.write_bytes(victim.read_bytes()[:-1])
    found = newest_whole(tmp_path / CHECKPOINTS)
    assert found is not None
    assert found[0].step == 4
    resumed = run_in_process(lambda told: train_once(told, publish=publish), arguments, TRAIN)
    assert resumed["first"] == 4
    assert resumed["squares"] == pytest.approx(whole["squares"], rel=1e-6)


@pytest.mark.usefixtures("process_group")
def test_an_existing_process_group_is_used() -> None:
    found = run_in_process(
        lambda told: {**told, "size": dist.get_world_size()}, {"asked": 1}, TRAIN
    )
    assert found == {"asked": 1, "size": 1}


def test_it_is_one_worker() -> None:
    with pytest.raises(ConfigError, match="workers: expected 1 with in_process, found 2"):
        parse_recipe({"name": "two", "train": {"in_process": True, "workers": 2}})
