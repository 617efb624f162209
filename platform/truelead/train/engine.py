"""A DeepSpeed engine derived from the typed configuration.

Parameter groups follow decoupled weight decay as is usual for Transformers (Loshchilov and Hutter,
ICLR 2019): matrices decay; norms, biases and embeddings do not; the encoder has its own rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from truelead.config import TrainConfig

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Optimization:
    """Rates of one stage.

    Attributes:
        learning_rate: peak rate of everything but the encoder.
        encoder_learning_rate: peak rate of the parameters under `encoder_prefix`.
        warmup_steps, steps: the schedule rises linearly over the first and follows a half cosine
            down to 0 at the second.
    """

    learning_rate: float
    weight_decay: float
    warmup_steps: int
    steps: int
    encoder_learning_rate: float | None = None
    encoder_prefix: str = "encoder."

    def factor(self, step: int) -> float:
        """Share of the peak rate at `step` (from 0): linear warm-up, then cosine to 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        span = max(1, self.steps - self.warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - self.warmup_steps) / span)))


def parameter_groups(model: nn.Module, optimization: Optimization) -> list[dict[str, Any]]:
    """Trainable parameters by (rate, decay), in a fixed order; no group is empty."""
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    grouped: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = optimization.learning_rate
        if optimization.encoder_learning_rate is not None and name.startswith(
            optimization.encoder_prefix
        ):
            rate = optimization.encoder_learning_rate
        decays = parameter.ndim >= 2 and id(parameter) not in embeddings
        decay = optimization.weight_decay if decays else 0.0
        grouped.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in grouped.items()
    ]


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
        groups = parameter_groups(model, optimization)
        self.optimization = optimization
        self.dtype = _DTYPES[train.dtype]
        self.zero_stage = train.zero_stage
        self._plain_norm = math.nan
        self._peak_rates = [group["lr"] for group in groups]
        self._optimizer = torch.optim.AdamW(groups)
        self.deepspeed, *_ = deepspeed.initialize(
            model=model,
            model_parameters=[p for p in model.parameters() if p.requires_grad],
            optimizer=self._optimizer,
            config=deepspeed_config(train),
        )

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

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of a scalar; DeepSpeed averages them over the workers."""
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
        """Rate of the last update, of everything but the encoder."""
        pairs = zip(self._optimizer.param_groups, self._peak_rates, strict=True)
        rates = [g["lr"] for g, peak in pairs if peak == self.optimization.learning_rate]
        return float(rates[0]) if rates else 0.0

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


def deepspeed_config(train: TrainConfig) -> dict[str, Any]:
    """DeepSpeed's own configuration for the typed one."""
    return {
        # The loss is divided by the global count in the loop, so this only satisfies DeepSpeed.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": train.gradient_clipping,
        "zero_optimization": {"stage": train.zero_stage},
        "bf16": {"enabled": train.dtype == "bfloat16"},
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
