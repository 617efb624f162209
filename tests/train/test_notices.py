"""What a worker leaves for the user reaches the user, once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from truelead.config import parse_recipe
from truelead.errors import ConfigError
from truelead.train.progress import Progress, note


def test_notices_are_said_once_and_old_ones_not_again(tmp_path: Path, capsys: Any) -> None:
    note(tmp_path, "of an earlier run")
    with Progress("stage", tmp_path, 3):
        note(tmp_path, "one\nline")
        time.sleep(0.7)
        note(tmp_path, "another")
    said = capsys.readouterr().err
    assert said.count("stage: one line\n") == said.count("stage: another\n") == 1
    assert "earlier" not in said


def test_a_notice_that_cannot_be_left_costs_nothing(tmp_path: Path) -> None:
    note(tmp_path / "nowhere", "lost")


def test_elastic_needs_room_to_grow() -> None:
    with pytest.raises(ConfigError, match="min_workers: expected at most workers = 2, found 3"):
        parse_recipe({"name": "two", "train": {"workers": 2, "min_workers": 3}})
