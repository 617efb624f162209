"""A stage's folder: finished stages are found, changed ones made again, equal ones shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from truelead.config import Recipe
from truelead.train.stage import DONE, Stage

RECIPE = Recipe(name="test")


def test_finished_stage_is_found(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "stage", {"steps": 1})
    assert not stage.is_finished()
    stage.begin(RECIPE)
    assert not stage.is_finished()
    stage.finish({"steps": 1})
    assert Stage(tmp_path / "stage", {"steps": 1}).is_finished()
    assert not Stage(tmp_path / "stage", {"steps": 2}).is_finished()
    assert (tmp_path / "stage" / "recipe.yaml").is_file()


def test_changed_stage_starts_from_nothing_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Stage(tmp_path / "stage", {"steps": 1})
    first.begin(RECIPE)
    (first.folder / "model.safetensors").touch()
    first.begin(RECIPE)
    assert (first.folder / "model.safetensors").exists(), "a resumed stage keeps its files"
    Stage(tmp_path / "stage", {"steps": 2}).begin(RECIPE)
    assert not (first.folder / "model.safetensors").exists()


def test_equal_stage_is_copied_without_checkpoints(tmp_path: Path) -> None:
    one = Stage(tmp_path / "one", {"steps": 1})
    one.begin(RECIPE)
    (one.folder / "model.safetensors").write_text("weights")
    one.checkpoints.mkdir()
    two = Stage(tmp_path / "two", {"steps": 1})
    two.begin(RECIPE)
    assert not two.reuse(one.folder), "unfinished"
    one.finish({})
    assert two.reuse(one.folder)
    assert (two.folder / "model.safetensors").read_text() == "weights"
    assert not two.checkpoints.exists()
    assert not two.is_finished()
    other = Stage(tmp_path / "other", {"steps": 2})
    assert not other.reuse(one.folder)


def test_damaged_marker_is_not_finished(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"steps": 1})
    stage.finish({})
    (tmp_path / DONE).write_text('{"key": ')
    assert not stage.is_finished()
