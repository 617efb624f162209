"""Planted truth: a structural causal model whose P(A | do(Q), E) is known exactly."""

from truelead.debias.planted.drawing import draw_set, model_of, planted_in
from truelead.debias.planted.error import InterventionalError, divergence, interventional_error
from truelead.debias.planted.model import PlantedEcgs, PlantedModel, planted_model
from truelead.debias.planted.truth import (
    condition_posterior,
    interventional,
    observational,
    severity_posterior,
)

__all__ = [
    "InterventionalError",
    "PlantedEcgs",
    "PlantedModel",
    "condition_posterior",
    "divergence",
    "draw_set",
    "interventional",
    "interventional_error",
    "model_of",
    "observational",
    "planted_in",
    "planted_model",
    "severity_posterior",
]
