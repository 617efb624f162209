"""One worker's file of a checkpoint: stretches of parameters and of their optimizer's state.

A checkpoint names no worker and no ZeRO stage: every tensor is stored flat, in one or more
stretches, each under the parameter's name with its first element. Any number of workers of any
stage can so read the stretches that they hold: the idea of DeepSpeed's universal checkpoints
(Lian et al. 2024, arXiv:2406.18820), written in that form at once instead of converted into it.
The files are safetensors: data alone, which no reader executes.

Kinds of tensors: "weight" (the float32 master copy), "buffer", or "state.<key>" of the optimizer.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from truelead.errors import CheckpointError

WEIGHT = "weight"
BUFFER = "buffer"
STATE = "state."

_SCALAR_DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64}

Scalar = dict[str, Any]
"""A number of the optimizer's state: {"value": 3}, with "dtype" where it was a tensor."""


@dataclass(frozen=True)
class Fragment:
    """Elements `start` to `start + numel` of one tensor, flat."""

    name: str
    kind: str
    start: int
    values: Tensor


@dataclass(frozen=True)
class Snapshot:
    """What one worker stores.

    Attributes:
        fragments: the stretches that this worker holds.
        shapes: of every tensor named in `fragments`.
        scalars: numbers of the optimizer's state, by parameter and key.
    """

    fragments: Sequence[Fragment]
    shapes: Mapping[str, Sequence[int]]
    scalars: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)

    def to_host(self) -> Snapshot:
        """A copy in host memory, which training cannot change any more."""
        copied = [
            Fragment(f.name, f.kind, f.start, f.values.detach().to("cpu", copy=True))
            for f in self.fragments
        ]
        return Snapshot(copied, dict(self.shapes), {n: dict(s) for n, s in self.scalars.items()})


def write_shard(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot that lies in host memory.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    tensors = {f"{f.kind}|{f.start}|{f.name}": f.values.contiguous() for f in snapshot.fragments}
    facts = {"shapes": {n: list(s) for n, s in snapshot.shapes.items()}}
    metadata = {"truelead": json.dumps({**facts, "scalars": snapshot.scalars})}
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:  # which does not say it by type
        full = f"os error {errno.ENOSPC}" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path)) from error


class ShardReader:
    """Reads any stretch of any tensor out of the files of all workers."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Open the files; use as a context manager.

        Raises:
            CheckpointError: a file is no shard, or a tensor's stretches leave a gap or overlap.
        """
        self._files = contextlib.ExitStack()
        self._where: dict[tuple[str, str], list[tuple[int, int, Any, str]]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._scalars: dict[str, dict[str, Scalar]] = {}
        try:
            for path in paths:
                self._open(path)
            self._check()
        except BaseException:
            self._files.close()
            raise

    def __enter__(self) -> ShardReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.close()

    def names(self, kind: str) -> list[str]:
        """Names of the tensors of that kind."""
        return [name for name, found in self._where if found == kind]

    def states(self, name: str) -> list[str]:
        """Keys of a parameter's state in the optimizer that are tensors."""
        return sorted(
            kind.removeprefix(STATE)
            for found, kind in self._where
            if found == name and kind.startswith(STATE)
        )

    def scalars(self, name: str) -> dict[str, Scalar]:
        """Numbers of a parameter's state in the optimizer."""
        return self._scalars.get(name, {})

    def dtype(self, name: str, kind: str) -> torch.dtype:
        """In which a tensor is stored."""
        _, _, file, key = self._where[name, kind][0]
        dtype: torch.dtype = file.get_slice(key)[:0].dtype
        return dtype

    def read(self, name: str, kind: str, start: int, numel: int) -> Tensor:
        """Elements `start` to `start + numel`, flat, on the CPU.

        Raises:
            CheckpointError: there is no such tensor, or it ends before.
        """
        stretches = self._where.get((name, kind), [])
        parts, at, end = [], start, start + numel
        for first, length, file, key in stretches:
            if first + length <= at or first >= end:
                continue
            upto = min(end, first + length)
            parts.append(file.get_slice(key)[at - first : upto - first])
            at = upto
        if at != end:
            raise CheckpointError(
                f"checkpoint: {name}: expected {kind} up to element {end}, found {at}"
            )
        return torch.cat(parts) if len(parts) != 1 else parts[0]

    def whole(self, name: str, kind: str) -> Tensor:
        """A tensor in its shape, on the CPU."""
        shape = self.shapes[name]
        return self.read(name, kind, 0, math.prod(shape)).reshape(shape)

    def _open(self, path: Path) -> None:
        try:
            file = self._files.enter_context(safe_open(path, framework="pt"))
            facts = json.loads((file.metadata() or {})["truelead"])
            for key in file.keys():  # noqa: SIM118  # no mapping
                kind, start, name = key.split("|", 2)
                (numel,) = file.get_slice(key).get_shape()
                self._where.setdefault((name, kind), []).append((int(start), numel, file, key))
            for name, shape in facts["shapes"].items():
                if self.shapes.setdefault(name, tuple(shape)) != tuple(shape):
                    raise CheckpointError(f"{path}: {name}: expected one shape in all shards")
            for name, scalars in facts["scalars"].items():
                if self._scalars.setdefault(name, scalars) != scalars:
                    raise CheckpointError(f"{path}: {name}: expected one state in all shards")
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: expected a shard of a checkpoint: {error}") from error

    def _check(self) -> None:
        for (name, kind), stretches in self._where.items():
            stretches.sort(key=lambda stretch: stretch[0])
            at = 0
            for first, length, _, _ in stretches:
                if first != at:
                    raise CheckpointError(
                        f"checkpoint: {name}: {kind}: expected element {at} next, found {first}"
                    )
                at += length
            if at != math.prod(self.shapes[name]):
                raise CheckpointError(
                    f"checkpoint: {name}: {kind}: expected {math.prod(self.shapes[name])} "
                    f"elements, found {at}"
                )


def optimizer_scalars(state: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    """The numbers among a parameter's state, each as a JSON value."""
    for key, value in state.items():
        if isinstance(value, Tensor):
            if value.ndim == 0:
                dtype = next(name for name, one in _SCALAR_DTYPES.items() if one == value.dtype)
                yield key, {"value": value.item(), "dtype": dtype}
        elif isinstance(value, bool | int | float):
            yield key, {"value": value}


def scalar_value(scalar: Scalar) -> Any:
    """What `optimizer_scalars` took from the state."""
    if "dtype" in scalar:
        return torch.tensor(scalar["value"], dtype=_SCALAR_DTYPES[scalar["dtype"]])
    return scalar["value"]
