"""A DeepSpeed engine derived from the typed configuration."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from truelead.config import TrainConfig
from truelead.train.deepspeed_config import check_compiler, deepspeed_config
from truelead.train.optimizer import Optimization, build_optimizer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Engine:
    """DeepSpeed around one model: forward, backward, and the update at a scheduled rate."""

    def __init__(self, model: nn.Module, train: TrainConfig, optimization: Optimization) -> None:
        """Wrap `model`; the process group must exist (Ray Train makes it).

        Args:
            model: its `forward` is what `__call__` runs; frozen parameters stay frozen.
        """
        import deepspeed

        # Otherwise initialising on CPU compiles a shared-memory kernel for half a minute.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        for parameter in model.parameters():
            # DeepSpeed cannot broadcast a scalar; loading takes one value for a scalar again.
            if parameter.ndim == 0:
                parameter.data = parameter.data.reshape(1)
        self.optimization = optimization
        self.dtype = _DTYPES[train.dtype]
        self.zero_stage = train.zero_stage
        self._plain_norm = math.nan
        if train.offload_adam == "deepspeed":
            check_compiler()
        self._optimizer = build_optimizer(
            model, optimization, cpu_adam=train.offload_adam == "deepspeed"
        )
        self._peak_rates = [group["lr"] for group in self._optimizer.param_groups]
        # DeepSpeed makes the optimizer's state by an update with zero gradients. At rate 0 the
        # decay of that update changes no weight.
        for group in self._optimizer.param_groups:
            group["lr"] = 0.0
        self.deepspeed, *_ = deepspeed.initialize(
            model=model,
            model_parameters=[p for p in model.parameters() if p.requires_grad],
            optimizer=self._optimizer,
            config=deepspeed_config(train, optimization),
        )
        if self.zero_stage == 0:
            # Else that update would count as the first, and Adam correct its bias for the second.
            self._optimizer.state.clear()

    @property
    def module(self) -> nn.Module:
        """The wrapped model."""
        module: nn.Module = self.deepspeed.module
        return module

    @property
    def device(self) -> torch.device:
        """Where batches must lie."""
        return torch.device(self.deepspeed.device)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the model's forward."""
        return self.deepspeed(*arguments, **named)

    def expect(self, *, last: bool) -> None:
        """Say, before the forward, whether the coming backward pass is the last of its step.

        Every worker runs the same number of passes a step: ZeRO reduces gradients in each.
        """
        self.deepspeed.set_gradient_accumulation_boundary(last)

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a scalar, on top of the step's earlier passes; averaged over the workers."""
        self.deepspeed.backward(loss)

    def update(self, step: int) -> bool:
        """Clip and apply the gradients at the rate of `step`.

        Returns:
            False if a gradient was not finite: then no parameter has changed.
        """
        if self._plain:
            gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
            self._plain_norm = float(torch.nn.utils.get_total_norm(gradients))
            if not math.isfinite(self._plain_norm):
                self.deepspeed.zero_grad()
                return False
        factor = self.optimization.factor(step)
        for group, peak in zip(self._optimizer.param_groups, self._peak_rates, strict=True):
            group["lr"] = peak * factor
        self.deepspeed.step()
        # The sharded and bfloat16 optimizers leave a non-finite update out by themselves.
        return bool(self.deepspeed.was_step_applied())

    @property
    def learning_rate(self) -> float:
        """The stage's rate at the last update; where each part has its own, that of the first."""
        pairs = zip(self._optimizer.param_groups, self._peak_rates, strict=True)
        rates = [g["lr"] for g, peak in pairs if peak == self.optimization.learning_rate]
        return float(rates[0] if rates else self._optimizer.param_groups[0]["lr"])

    @property
    def gradient_norm(self) -> float:
        """Norm of the last gradients before clipping, NaN before the first update."""
        norm = self._plain_norm if self._plain else self.deepspeed.get_global_grad_norm()
        return math.nan if norm is None else float(norm)

    @property
    def _plain(self) -> bool:
        return self.zero_stage == 0 and self.dtype == torch.float32

    def full_state(self) -> dict[str, torch.Tensor]:
        """All parameters and buffers whole, on the CPU, in rank 0; empty in the other ranks.

        Every worker must call it: with ZeRO 3 it gathers the parameters one by one.
        """
        import deepspeed

        first = self.deepspeed.global_rank == 0
        if self.zero_stage < 3:
            if not first:
                return {}
            return {n: t.detach().cpu().clone() for n, t in self.module.state_dict().items()}
        state: dict[str, torch.Tensor] = {}
        for name, parameter in self.module.named_parameters(remove_duplicate=False):
            with deepspeed.zero.GatheredParameters([parameter]):
                if first:
                    state[name] = parameter.detach().cpu().clone()
        if first:
            known = set(self.module.state_dict())
            buffers = self.module.named_buffers()
            state.update({n: b.detach().cpu().clone() for n, b in buffers if n in known})
        return state
