"""Which parameters get which update, at which rate.

Two optimizers: AdamW for everything (Loshchilov and Hutter, ICLR 2019), or Muon for the hidden
matrices and AdamW for the rest (Jordan 2024, "Muon: an optimizer for hidden layers in neural
networks"; DeepSpeed's implementation, which also knows ZeRO's partitions). Parameter groups follow
decoupled weight decay as is usual for Transformers: matrices decay; norms, biases and embeddings
do not; the encoder has its own rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from truelead.errors import ConfigError


@dataclass(frozen=True)
class Optimization:
    """Rates of one stage.

    Attributes:
        learning_rate: peak rate of what AdamW updates, but for the encoder.
        encoder_learning_rate: peak rate of the parameters under `encoder_prefix`.
        part_learning_rates: peak rates of what AdamW updates of the parameters under other
            prefixes.
        warmup_steps, steps: the schedule rises linearly over the first and follows a half cosine
            down to 0 at the second.
        optimizer: "adamw", or "muon" for the hidden matrices.
        matrix_learning_rate: peak rate of what Muon updates.
    """

    learning_rate: float
    weight_decay: float
    warmup_steps: int
    steps: int
    encoder_learning_rate: float | None = None
    encoder_prefix: str = "encoder."
    part_learning_rates: tuple[tuple[str, float], ...] = ()
    optimizer: Literal["adamw", "muon"] = "adamw"
    matrix_learning_rate: float = 0.02

    def factor(self, step: int) -> float:
        """Share of the peak rate at `step` (from 0): linear warm-up, then cosine to 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        span = max(1, self.steps - self.warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - self.warmup_steps) / span)))


def parameter_groups(model: nn.Module, optimization: Optimization) -> list[dict[str, Any]]:
    """Trainable parameters by (matrix or not, rate, decay), in a fixed order; none is empty.

    With Muon each group tells by `use_muon` whether it holds hidden matrices: two dimensions, no
    embedding, not the language model's output layer, not in the encoder.
    """
    muon = optimization.optimizer == "muon"
    outer = _outer_matrices(model)
    embeddings = {id(p) for p in _embeddings(model)}
    grouped: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim >= 2 and id(parameter) not in embeddings
        decay = optimization.weight_decay if decays else 0.0
        rate, hidden = optimization.learning_rate, False
        for prefix, own in optimization.part_learning_rates:
            if name.startswith(prefix):
                rate = own
        if optimization.encoder_learning_rate is not None and name.startswith(
            optimization.encoder_prefix
        ):
            rate = optimization.encoder_learning_rate
        elif muon and parameter.ndim == 2 and id(parameter) not in outer:
            rate, hidden = optimization.matrix_learning_rate, True
        grouped.setdefault((hidden, rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        | ({"use_muon": hidden} if muon else {})
        for (hidden, rate, decay), parameters in grouped.items()
    ]


def build_optimizer(
    model: nn.Module, optimization: Optimization, *, cpu_adam: bool = False
) -> torch.optim.Optimizer:
    """The optimizer over `parameter_groups`.

    Args:
        cpu_adam: DeepSpeed's AdamW for state in CPU memory, which is compiled when first used.

    Raises:
        ConfigError: Muon was asked for with it.
    """
    groups = parameter_groups(model, optimization)
    if cpu_adam:
        if optimization.optimizer != "adamw":
            raise ConfigError("train.offload_adam: deepspeed: expected optimizer adamw, found muon")
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        # The epsilon and betas of torch's AdamW.
        adam: torch.optim.Optimizer = DeepSpeedCPUAdam(groups, adamw_mode=True, eps=1e-8)
        return adam
    if optimization.optimizer == "adamw":
        return torch.optim.AdamW(groups)
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam

    if not torch.cuda.is_available():
        # DeepSpeed compiles Muon's iteration; on CPU that takes longer than many a whole stage.
        torch.compiler.set_stance("force_eager")
    for group in groups:
        if not group["use_muon"]:
            # The defaults of torch's AdamW, so that the two optimizers differ in the matrices only.
            group |= {"betas": (0.9, 0.999), "eps": 1e-8}
        for parameter in group["params"]:
            parameter.use_muon = group["use_muon"]  # what ZeRO reads
    optimizer: torch.optim.Optimizer = MuonWithAuxAdam(groups)
    return optimizer


def _embeddings(model: nn.Module) -> list[nn.Parameter]:
    return [
        parameter
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    ]


def _outer_matrices(model: nn.Module) -> set[int]:
    """Embeddings and the output layers of language models: one row a token, not a hidden map."""
    found = {id(parameter) for parameter in _embeddings(model)}
    for module in model.modules():
        output = getattr(module, "get_output_embeddings", lambda: None)()
        if output is not None:
            found |= {id(parameter) for parameter in output.parameters()}
    return found
