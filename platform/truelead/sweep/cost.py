"""What a trial costs: seconds of training, numbers in its model, or operations of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from truelead.evaluate.predictions import Predictor, Trial

if TYPE_CHECKING:
    from truelead.sweep.space import SearchSpace

COST_UNITS = {"seconds": "s of training", "parameters": "parameters", "flops": "FLOPs an answer"}
_MODEL = "model.safetensors"
_PROBE = 32


def parameter_count(model_folder: Path) -> int:
    """Numbers in the model's file: encoder, projector and language model."""
    from safetensors import safe_open

    with safe_open(model_folder / _MODEL, framework="numpy") as stored:
        return sum(prod(stored.get_slice(name).get_shape()) for name in stored.keys())  # noqa: SIM118


def answer_flops(predictor: Predictor, trials: Sequence[Trial]) -> float:
    """Mean floating-point operations of an answer, as PyTorch counts them (matrix products,
    convolutions, attention), over the first questions."""
    from torch.utils.flop_counter import FlopCounterMode

    asked = list(trials[:_PROBE])
    with FlopCounterMode(display=False) as counter:
        predictor.predict(asked)
    return counter.get_total_flops() / len(asked)


def cost_of(space: SearchSpace, report: dict[str, float]) -> float:
    """The cost that the space names, of one of a trial's reports."""
    return report["train_seconds" if space.cost == "seconds" else space.cost]
