"""What trades memory, time and generality: recomputed layers, compiled layers, micro-batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from truelead.config import TrainConfig
from truelead.debias.adjustment.objective import Objective, RowObjective
from truelead.errors import ConfigError

if TYPE_CHECKING:
    from truelead.model.modeling import TrueLeadForConditionalGeneration


def speed_up(
    model: TrueLeadForConditionalGeneration, train: TrainConfig, *, optimizer: str
) -> None:
    """Have the language model's layers recomputed and compiled as the recipe says, in place.

    Raises:
        ConfigError: the language model's layers cannot be recomputed, or compiled with Muon on a
            CPU, where its iteration is run eagerly and with it everything else.
    """
    language_model = model.language_model
    if train.gradient_checkpointing:
        try:
            # ZeRO 3 gathers a layer's parameters anew when it is run again, in either form; the
            # one without re-entry also works where nothing before the layers learns.
            enable = getattr(
                language_model,
                "activation_checkpointing_enable",  # its name since transformers 5.23
                language_model.gradient_checkpointing_enable,
            )
            enable({"use_reentrant": False})
        except ValueError as error:
            raise ConfigError(
                f"train.gradient_checkpointing: language model: {' '.join(str(error).split())}"
            ) from error
    if train.compile:
        if optimizer == "muon" and not torch.cuda.is_available():
            raise ConfigError("train.compile: expected false with optimizer muon on a CPU")
        layers = getattr(language_model.base_model, "layers", None)
        if layers is None:
            raise ConfigError("train.compile: expected a language model with a list of layers")
        for layer in layers:
            # Steps differ in their number of tokens; without `dynamic` each would be compiled.
            layer.compile(dynamic=True)


def check_separable(train: TrainConfig, objective: Objective | None) -> None:
    """Check that a share may be run in parts.

    Raises:
        ConfigError: the objective compares the rows of a step with each other.
    """
    if (
        train.tokens_per_micro_batch is not None
        and objective is not None
        and not isinstance(objective, RowObjective)
    ):
        raise ConfigError(
            "train.tokens_per_micro_batch: expected none: this strategy's objective compares the "
            "questions of a whole step with each other"
        )
