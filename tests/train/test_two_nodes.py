"""A node of two is lost in mid-step: training goes on with the other one, to the same end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.stand_in import train_once
from tests.train.two_nodes import ADDRESSES, DIES_IN, STEPS
from truelead.config import TrainConfig
from truelead.train.metrics import read_metrics

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.mark.usefixtures("one_worker")
def test_a_node_lost_in_mid_step_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "nodes"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.two_nodes", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "10"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    whole = train_once({"train": TrainConfig(), "folder": str(tmp_path), "steps": STEPS})
    at = {path.name: path.read_text() for path in folder.glob("address-*")}
    assert {at["address-2-0"], at["address-2-1"]} == set(ADDRESSES)
    assert at["address-1-0"] == ADDRESSES[0]
    assert found["first"] == DIES_IN
    losses = [[row["loss"] for row in read_metrics(f)] for f in (folder, tmp_path)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert found["squares"] == pytest.approx(whole["squares"], rel=1e-5)
