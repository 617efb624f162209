"""Projectors: encoder features in, tokens of the language model's width out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from truelead.errors import ModelError
from truelead.model.projector.base import Projector, pool_patches
from truelead.model.projector.linear import LinearProjector
from truelead.model.projector.mlp import MLPProjector
from truelead.model.projector.perceiver import PerceiverProjector

__all__ = ["PROJECTORS", "Projector", "make_projector", "pool_patches"]

PROJECTORS: dict[str, Any] = {
    "linear": LinearProjector,
    "mlp": MLPProjector,
    "perceiver": PerceiverProjector,
}


def make_projector(
    name: str, options: Mapping[str, Any], width: int, hidden_size: int
) -> Projector:
    """A freshly initialised projector from encoder width D to language-model width H.

    Raises:
        ModelError: the name is not in `PROJECTORS`, or an option is not one of its arguments.
    """
    if name not in PROJECTORS:
        raise ModelError(f"projector.name: expected one of {', '.join(PROJECTORS)}, found {name!r}")
    try:
        projector: Projector = PROJECTORS[name](width, hidden_size, **options)
    except TypeError as error:
        raise ModelError(f"projector.options: {error}") from error
    return projector
