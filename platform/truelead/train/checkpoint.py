"""Sharded checkpoints that know whether they are whole.

Every worker writes its DeepSpeed shard and reports it to Ray Train, which merges the shards in
`<stage>/checkpoints/step_<n>.<attempt>`. Rank 0 adds a manifest with the SHA-256 of every file of
every worker; a folder that lacks a file or holds another content is passed over for the one
before. DeepSpeed stores tensors with torch's serialization: it is read only from the stage's own
folder, only after the hashes match, and with `weights_only=True`, which runs no pickled code.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from truelead.data.durable import file_sha256
from truelead.errors import CheckpointError
from truelead.train.engine import Engine

MANIFEST = "manifest.json"
SCHEMA = 1
_NAME = re.compile(r"step_(\d{8})\.(\d{3})")
_TAG = "state"
_log = logging.getLogger(__name__)

Publish = Callable[[Path, str, Mapping[str, float]], None]


@dataclass(frozen=True, order=True)
class CheckpointName:
    """Folder name of a checkpoint; a step saved again after a resume is another attempt.

    Ray keeps its own list of folders to delete, so a name is never used twice.
    """

    step: int
    attempt: int

    def __str__(self) -> str:
        return f"step_{self.step:08d}.{self.attempt:03d}"


def list_checkpoints(folder: Path) -> list[CheckpointName]:
    """Checkpoints in `folder`, whole or not, newest first."""
    if not folder.is_dir():
        return []
    matches = (_NAME.fullmatch(path.name) for path in folder.iterdir() if path.is_dir())
    return sorted((CheckpointName(int(m[1]), int(m[2])) for m in matches if m), reverse=True)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the checkpoint at `path`, after every listed file's hash has matched.

    Raises:
        CheckpointError: the manifest is missing or malformed, or a file is missing or changed.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
        if manifest["schema"] != SCHEMA or not files:
            raise CheckpointError(f"{path}: schema: expected {SCHEMA} with files")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: {MANIFEST}: expected a readable manifest") from error
    root = path.resolve()
    for name, digest in files.items():
        file = (path / name).resolve()
        if not file.is_relative_to(root) or not file.is_file():
            raise CheckpointError(f"{path}: {name}: expected a file of this checkpoint")
        if file_sha256(file) != digest:
            raise CheckpointError(f"{path}: {name}: content does not match its SHA-256")
    checked: dict[str, Any] = manifest
    return checked


def newest_whole(folder: Path) -> tuple[CheckpointName, dict[str, Any]] | None:
    """The newest checkpoint that is whole, with its manifest; damaged ones are named in the log."""
    for name in list_checkpoints(folder):
        try:
            return name, read_manifest(folder / str(name))
        except CheckpointError as error:
            _log.warning("checkpoint passed over: %s", error)
    return None


class Checkpoints:
    """Saves and restores one stage's training state, in step with the other workers."""

    def __init__(self, folder: Path, key: str, publish: Publish | None = None) -> None:
        """Args:
        folder: Ray Train's folder of the run, seen by every worker.
        key: digest of the stage's configuration and inputs; other keys are not resumed.
        publish: puts a worker's files into the checkpoint of that name; by default a report
            to Ray Train.
        """
        self._folder = folder
        self._key = key
        self._publish = publish or _report
        found = list_checkpoints(folder)
        self._attempt = int(_from_first_rank(max((n.attempt for n in found), default=-1) + 1))

    def restore(self, engine: Engine) -> dict[str, Any] | None:
        """Load the newest whole checkpoint into `engine`.

        Returns:
            the state given to `save`, or None where there is no whole checkpoint.

        Raises:
            CheckpointError: it belongs to another configuration, or ZeRO stage and number of
                workers do not fit its shards.
        """
        name = self._choose()
        if name is None:
            return None
        path = self._folder / str(name)
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        _check_fits(path, manifest, engine, self._key)
        engine.deepspeed.checkpoint_engine = _restricted(engine.deepspeed.checkpoint_engine)
        # Frozen parameters are not in the shards: the model already holds them.
        loaded, _ = engine.deepspeed.load_checkpoint(str(path), tag=_TAG, load_module_strict=False)
        if loaded is None:
            raise CheckpointError(f"{path}: expected DeepSpeed's state under {_TAG!r}")
        state: dict[str, Any] = manifest["state"]
        return state

    def _choose(self) -> CheckpointName | None:
        # Rank 0 verifies and the others follow, so that all resume from the same step.
        found = newest_whole(self._folder) if _rank() == 0 else None
        step = int(_from_first_rank(found[0].step if found else -1))
        attempt = int(_from_first_rank(found[0].attempt if found else -1))
        return None if step < 0 else CheckpointName(step, attempt)

    def save(self, engine: Engine, state: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """Write this worker's shard and report it; returns when all workers have reported.

        Args:
            state: JSON values that the next run needs beside the tensors; `step` is the number
                of steps done.
        """
        name = CheckpointName(int(state["step"]), self._attempt)
        with tempfile.TemporaryDirectory() as scratch:
            engine.deepspeed.save_checkpoint(
                scratch, tag=_TAG, save_latest=False, exclude_frozen_parameters=True
            )
            local = Path(scratch)
            digests = _gather(
                {
                    path.relative_to(local).as_posix(): file_sha256(path)
                    for path in sorted(local.rglob("*"))
                    if path.is_file() and _is_mine(path, local)
                }
            )
            if _rank() == 0:
                manifest = {
                    "schema": SCHEMA,
                    "key": self._key,
                    "zero_stage": engine.zero_stage,
                    "world_size": _world_size(),
                    "state": dict(state),
                    "files": {k: v for part in digests for k, v in part.items()},
                }
                (local / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            self._publish(local, str(name), metrics)


def _report(files: Path, name: str, metrics: Mapping[str, float]) -> None:
    import ray.train

    checkpoint = ray.train.Checkpoint.from_directory(str(files))
    ray.train.report(dict(metrics), checkpoint=checkpoint, checkpoint_dir_name=name)


def adopt_checkpoint(source: Path, folder: Path, key: str) -> CheckpointName:
    """Copy the newest whole checkpoint of another training, to go on from it with this one.

    The tensors must be those of the same model; what differs is how it is trained from here on.

    Args:
        source, folder: of the checkpoints of the other and of this training.
        key: digest of this training.

    Raises:
        CheckpointError: the other training has no whole checkpoint.
    """
    import os
    import shutil

    found = newest_whole(source)
    if found is None:
        raise CheckpointError(f"{source}: expected a whole checkpoint to go on from, found none")
    name, manifest = found
    if (folder / str(name)).is_dir():
        return name
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source / str(name), unfinished)
    (unfinished / MANIFEST).write_text(
        json.dumps({**manifest, "key": key}, indent=1), encoding="utf-8"
    )
    os.replace(unfinished, folder / str(name))
    return name


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints, also those Ray has lost sight of."""
    import shutil

    for name in list_checkpoints(folder)[keep:]:
        shutil.rmtree(folder / str(name))


def _check_fits(path: Path, manifest: Mapping[str, Any], engine: Engine, key: str) -> None:
    if manifest["key"] != key:
        raise CheckpointError(
            f"{path}: expected a checkpoint of this configuration, found another's: "
            "remove the stage's checkpoints folder"
        )
    sharded = engine.zero_stage > 0 or manifest["zero_stage"] > 0
    if manifest["zero_stage"] != engine.zero_stage or (
        sharded and manifest["world_size"] != _world_size()
    ):
        raise CheckpointError(
            f"{path}: saved with ZeRO {manifest['zero_stage']} by {manifest['world_size']} "
            f"worker(s), expected ZeRO {engine.zero_stage} by {_world_size()}: set "
            f"train.zero_stage={manifest['zero_stage']} and "
            f"train.workers={manifest['world_size']}, or remove the checkpoints"
        )


def _is_mine(path: Path, local: Path) -> bool:
    # DeepSpeed drops a conversion script at the top: it is no part of the state.
    return path.parent != local


def _restricted(checkpoint_engine: Any) -> Any:
    """DeepSpeed's checkpoint engine, reading tensors and listed plain types only."""
    from deepspeed.runtime.checkpoint_engine import TorchCheckpointEngine

    class RestrictedCheckpointEngine(TorchCheckpointEngine):
        def load(self, path: str, map_location: Any = None) -> Any:
            with torch.serialization.safe_globals(_plain_types()):
                return torch.load(path, map_location=map_location, weights_only=True)

    checkpoint_engine.__class__ = RestrictedCheckpointEngine
    return checkpoint_engine


def _plain_types() -> list[Any]:
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [LossScaler, DynamicLossScaler, ZeroStageEnum, fragment_address]


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def _from_first_rank(value: int) -> int:
    if not dist.is_initialized():
        return value
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor([value], dtype=torch.int64, device=device)
    dist.broadcast(tensor, src=0)
    return int(tensor.item())


def _gather(value: dict[str, str]) -> list[dict[str, str]]:
    if not dist.is_initialized():
        return [value]
    parts: list[Any] = [None] * _world_size()
    dist.all_gather_object(parts, value)
    return parts
