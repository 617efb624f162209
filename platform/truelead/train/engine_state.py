"""What a DeepSpeed engine holds of parameters and optimizer, stretch by stretch, both ways.

Five layouts, one for each optimizer that DeepSpeed may put around ours: none (ZeRO 0, float32),
its 16-bit ones with a master copy each or one flat copy (ZeRO 0, bfloat16), flat partitions
(ZeRO 1 and 2), and partitions of every parameter (ZeRO 3). Each is listed as `Piece`s; taking a
snapshot and loading one are the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from truelead.errors import CheckpointError
from truelead.train.checkpoint_shard import (
    BUFFER,
    STATE,
    WEIGHT,
    Fragment,
    ShardReader,
    Snapshot,
    optimizer_scalars,
    scalar_value,
)


@dataclass(frozen=True)
class Piece:
    """Elements of one parameter, and where they lie in what the optimizer updates.

    Attributes:
        name: of the parameter; numel: of the whole parameter.
        start, length: the elements of the parameter.
        owner: the tensor that the optimizer updates and keys its state by; float32.
        owner_start: where in the flat owner the elements begin.
        replicated: every worker holds the same.
        matrix_start: where the whole parameter begins in a state that is laid out by whole
            matrices (Muon's momentum under ZeRO 1 and 2); None where there is no such state.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    length: int
    owner: Tensor
    owner_start: int
    replicated: bool = False
    matrix_start: int | None = None

    @property
    def numel(self) -> int:
        """Elements of the whole parameter."""
        return math.prod(self.shape)

    def part_of(self, values: Tensor, *, start: int, length: int) -> Tensor:
        """Elements of the parameter, counted from its own first, in an owner or its state."""
        flat = values.detach().view(-1)
        if flat.numel() != self.owner.numel() and self.matrix_start is not None:
            return flat.narrow(0, self.matrix_start + start, length)
        return flat.narrow(0, self.owner_start + start - self.start, length)


class EngineState:
    """The trainable parameters, their optimizer's state and the buffers of one engine."""

    def __init__(self, deepspeed: Any) -> None:
        """Args:
        deepspeed: the engine that `deepspeed.initialize` gave.
        """
        self._engine = deepspeed
        self._wrapper = deepspeed.optimizer
        self._optimizer = getattr(deepspeed.optimizer, "optimizer", deepspeed.optimizer)
        self._rank = dist.get_rank() if dist.is_initialized() else 0
        self._workers = dist.get_world_size() if dist.is_initialized() else 1

    def snapshot(self) -> Snapshot:
        """This worker's part, in host memory; the parts of all workers are the whole, once."""
        fragments, shapes, scalars = [], {}, {}
        for piece in self._pieces():
            start, length = self._own(piece)
            if not length:
                continue
            state = self._optimizer.state.get(piece.owner, {})
            tensors = {WEIGHT: piece.owner}
            tensors |= {
                STATE + key: value
                for key, value in state.items()
                if isinstance(value, Tensor) and value.ndim > 0
            }
            for kind, values in tensors.items():
                part = piece.part_of(values, start=start, length=length)
                fragments.append(Fragment(piece.name, kind, start, part))
            shapes[piece.name] = piece.shape
            if found := dict(optimizer_scalars(state)):
                scalars[piece.name] = found
        if self._rank == 0:
            for name, buffer in self._buffers():
                fragments.append(Fragment(name, BUFFER, 0, buffer.detach().reshape(-1)))
                shapes[name] = tuple(buffer.shape)
        return Snapshot(fragments, shapes, scalars).to_host()

    def load(self, reader: ShardReader) -> None:
        """Take over weights, optimizer state and buffers; every worker calls it.

        Raises:
            CheckpointError: the checkpoint holds other parameters, or other shapes.
        """
        owners: dict[int, list[Piece]] = {}
        for piece in self._pieces():
            if reader.shapes.get(piece.name) != piece.shape:
                raise CheckpointError(
                    f"checkpoint: {piece.name}: expected shape {list(piece.shape)}, "
                    f"found {list(reader.shapes.get(piece.name, ())) or 'none'}"
                )
            owners.setdefault(id(piece.owner), []).append(piece)
        with torch.no_grad():
            for pieces in owners.values():
                self._load_owner(reader, pieces)
            for name, buffer in self._buffers():
                buffer.copy_(reader.whole(name, BUFFER))
            self._spread()

    def _load_owner(self, reader: ShardReader, pieces: Sequence[Piece]) -> None:
        owner = pieces[0].owner
        state: dict[str, Any] = {}
        for piece in pieces:
            target = piece.part_of(owner, start=piece.start, length=piece.length)
            target.copy_(reader.read(piece.name, WEIGHT, piece.start, piece.length))
            for key in reader.states(piece.name):
                if key not in state:
                    dtype = reader.dtype(piece.name, STATE + key)
                    state[key] = self._empty_state(key, pieces, dtype)
                start, length = piece.start, piece.length
                if state[key].numel() != owner.numel():
                    start, length = 0, piece.numel
                values = reader.read(piece.name, STATE + key, start, length)
                piece.part_of(state[key], start=start, length=length).copy_(values)
            for key, scalar in reader.scalars(piece.name).items():
                value = scalar_value(scalar)
                # Parameters that share a flat partition share its counters.
                if state.setdefault(key, value) != value:
                    raise CheckpointError(
                        f"checkpoint: {piece.name}: {key}: expected {state[key]} as of its "
                        f"neighbours in the partition, found {value}"
                    )
        if state:
            self._optimizer.state[owner] = state
        else:
            self._optimizer.state.pop(owner, None)

    def _empty_state(self, key: str, pieces: Sequence[Piece], dtype: torch.dtype) -> Tensor:
        owner = pieces[0].owner
        by_matrix = key == "momentum_buffer" and pieces[0].matrix_start is not None
        if by_matrix:
            return torch.zeros(sum(p.numel for p in pieces), dtype=dtype, device=owner.device)
        return torch.zeros_like(owner, dtype=dtype, requires_grad=False)

    def _own(self, piece: Piece) -> tuple[int, int]:
        """The elements of a piece that this worker stores: what all hold is shared out."""
        if not piece.replicated:
            return piece.start, piece.length
        first = self._rank * piece.numel // self._workers
        return first, (self._rank + 1) * piece.numel // self._workers - first

    def _buffers(self) -> Iterator[tuple[str, Tensor]]:
        module: nn.Module = self._engine.module
        kept = set(module.state_dict())
        return ((name, b) for name, b in module.named_buffers() if name in kept)

    def _pieces(self) -> Iterator[Piece]:
        names: dict[Any, str] = self._engine.param_names
        if hasattr(self._wrapper, "fp32_partitioned_groups_flat"):
            return self._zero3(names)
        if hasattr(self._wrapper, "single_partition_of_fp32_groups"):
            return self._flat(
                names, self._wrapper.bit16_groups, self._wrapper.single_partition_of_fp32_groups
            )
        if hasattr(self._wrapper, "fp32_groups_flat_partition"):
            return self._flat(
                names, self._wrapper.bf16_groups, self._wrapper.fp32_groups_flat_partition
            )
        if hasattr(self._wrapper, "fp32_groups_flat"):
            return self._one_copy(names)
        if hasattr(self._wrapper, "fp32_groups"):
            return self._copies(names, self._wrapper.fp16_groups, self._wrapper.fp32_groups)
        groups = [group["params"] for group in self._optimizer.param_groups]
        return self._copies(names, groups, groups)

    def _copies(self, names: Any, groups: Any, masters: Any) -> Iterator[Piece]:
        """ZeRO 0: every worker has every parameter, and a master copy of each or none."""
        for group, copies in zip(groups, masters, strict=True):
            for parameter, copy in zip(group, copies, strict=True):
                numel = parameter.numel()
                yield Piece(names[parameter], tuple(parameter.shape), 0, numel, copy, 0, True)

    def _one_copy(self, names: Any) -> Iterator[Piece]:
        """ZeRO 0 in bfloat16 with a fused optimizer: one flat master copy a group."""
        groups = zip(self._wrapper.fp16_groups, self._wrapper.fp32_groups_flat, strict=True)
        for group, flat in groups:
            at = 0
            for parameter in group:
                numel = parameter.numel()
                yield Piece(names[parameter], tuple(parameter.shape), 0, numel, flat, at, True)
                at += numel

    def _flat(self, names: Any, groups: Any, partitions: Any) -> Iterator[Piece]:
        """ZeRO 1 and 2: a group is one flat tensor, of which each worker has a stretch."""
        for number, (group, flat) in enumerate(zip(groups, partitions, strict=True)):
            by_matrix = self._lays_out_by_matrix(number)
            at = 0
            for parameter in group:
                mapping = parameter._hp_mapping
                if mapping is None:
                    continue
                inside, outside = mapping.lp_fragment_address, mapping.hp_fragment_address
                yield Piece(
                    names[parameter],
                    tuple(parameter.shape),
                    inside.start,
                    inside.numel,
                    flat,
                    outside.start,
                    matrix_start=at if by_matrix else None,
                )
                at += parameter.numel()

    def _lays_out_by_matrix(self, number: int) -> bool:
        # Muon works on whole matrices; a worker keeps the momentum of those it has a part of.
        group = self._optimizer.param_groups[number]
        return (
            bool(group.get("use_muon", False))
            and hasattr(self._wrapper, "params_in_partition")
            and not self._wrapper.cpu_offload
        )

    def _zero3(self, names: Any) -> Iterator[Piece]:
        """ZeRO 3: each worker has an equal stretch of every parameter, the last one padded."""
        flats = self._wrapper.fp32_partitioned_groups_flat
        for group, flat in zip(self._wrapper.fp16_groups, flats, strict=True):
            at = 0
            for parameter in group:
                length = parameter.partition_numel()
                start = min(self._rank * length, parameter.ds_numel)
                shape = tuple(parameter.ds_shape)
                inside = min(length, parameter.ds_numel - start)
                yield Piece(names[parameter], shape, start, inside, flat, at)
                at += length

    def _spread(self) -> None:
        """Put the master copies into the parameters that the model computes with."""
        wrapper = self._wrapper
        if hasattr(wrapper, "fp32_partitioned_groups_flat"):
            _spread_zero3(wrapper)
        elif hasattr(wrapper, "update_lp_params"):
            wrapper.update_lp_params()
            wrapper._hp_optimizer_states_linked = False  # the state is made of new tensors
        elif hasattr(wrapper, "fp32_groups_flat"):
            for group, flat in zip(wrapper.fp16_groups, wrapper.fp32_groups_flat, strict=True):
                at = 0
                for parameter in group:
                    part = flat.narrow(0, at, parameter.numel())
                    parameter.data.copy_(part.view_as(parameter))
                    at += parameter.numel()
        elif hasattr(wrapper, "fp32_groups"):
            for group, copies in zip(wrapper.fp16_groups, wrapper.fp32_groups, strict=True):
                for parameter, copy in zip(group, copies, strict=True):
                    parameter.data.copy_(copy.data)


def _spread_zero3(wrapper: Any) -> None:
    wrapper.checkpoint_event_prologue()
    groups = zip(
        wrapper.fp32_partitioned_groups_flat,
        wrapper.fp16_partitioned_groups_flat,
        wrapper.fp16_partitioned_groups,
        strict=True,
    )
    for master, flat, partitions in groups:
        flat.data.copy_(master.data)
        for partition, values in zip(partitions, wrapper.unflatten(flat, partitions), strict=True):
            partition.data = values.data
    if wrapper.persistent_parameters:
        wrapper.persistent_parameters[0].partition(wrapper.persistent_parameters)
    wrapper.checkpoint_event_epilogue()
