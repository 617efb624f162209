"""A stage's folder: what it was made from, and whether it is finished.

`done.json` is written last and holds the digest of everything that shapes the result; a stage
whose digest matches is skipped, another one is made again from the start.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from truelead.config import Recipe
from truelead.data.durable import write_durable_text
from truelead.errors import ConfigError
from truelead.train.progress import say

DONE = "done.json"
CHECKPOINTS = "checkpoints"
START = "start"
"""Of a stage under way: the model it starts from, where that is no other stage's."""
ADAPTER = "adapter"
"""Of a stage trained with LoRA: its adapters, before they were merged."""
SHARED = ("shards", "encoder", "features")
"""Folders of a run that trainings of its language model only read."""
_STARTED = "started.json"
_SCHEMA = 1


def digest_of(parts: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, as hexadecimal text."""
    text = json.dumps({"schema": _SCHEMA, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Stage:
    """One stage's folder and its digest."""

    def __init__(self, folder: Path, parts: Mapping[str, Any]) -> None:
        """Args:
        parts: everything that shapes the result: configuration and digests of the inputs.
        """
        self.folder = folder
        self.key = digest_of(parts)

    @property
    def checkpoints(self) -> Path:
        """Folder of the stage's training checkpoints."""
        return self.folder / CHECKPOINTS

    def is_finished(self) -> bool:
        """Whether the folder holds this very stage, finished."""
        return _key_in(self.folder / DONE) == self.key

    def begin(self, recipe: Recipe) -> None:
        """Make the folder ready; what another configuration left in it is removed, and said."""
        started = _key_in(self.folder / _STARTED) or _key_in(self.folder / DONE)
        if started is not None and started != self.key:
            say(f"{self.folder}: configuration or input changed, the stage is run again")
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / _STARTED).write_text(json.dumps({"key": self.key}), encoding="utf-8")
        (self.folder / "recipe.yaml").write_text(
            yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
        )

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the marker, whole or not at all."""
        marker = {"key": self.key, "summary": dict(summary)}
        write_durable_text(self.folder / DONE, json.dumps(marker, indent=1))

    def reuse(self, other: Path) -> bool:
        """Copy the results of the same stage from another folder, if it is finished there."""
        if _key_in(other / DONE) != self.key:
            return False
        say(f"{self.folder}: same stage as {other}, copied")
        ignored = shutil.ignore_patterns(CHECKPOINTS, "recipe.yaml", _STARTED, DONE)
        shutil.copytree(other, self.folder, ignore=ignored, dirs_exist_ok=True)
        return True


def stage_key(folder: Path) -> str:
    """The digest of the stage in `folder`, finished or under way.

    Raises:
        ConfigError: there is none.
    """
    key = _key_in(folder / DONE) or _key_in(folder / _STARTED)
    if key is None:
        raise ConfigError(f"{folder}: expected a stage, with {_STARTED} or {DONE}")
    return key


def link_shared(run: Path, output: Path) -> None:
    """Let `output` show the run's shards, encoder and features; nothing is copied."""
    output.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        link = output / name
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(run / name, output), target_is_directory=True)


def _key_in(path: Path) -> str | None:
    """The digest in a marker, None where there is none or it cannot be read."""
    try:
        key = json.loads(path.read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(key)
