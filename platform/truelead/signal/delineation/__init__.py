"""Waves and intervals of an ECG: onsets, peaks and offsets of P, QRS and T, and their quality."""

from truelead.signal.delineation.beats import require_neurokit
from truelead.signal.delineation.intervals import (
    FEATURES,
    METHOD_VERSION,
    Delineation,
    delineate,
)
from truelead.signal.delineation.waves import Marks, Wave

__all__ = [
    "FEATURES",
    "METHOD_VERSION",
    "Delineation",
    "Marks",
    "Wave",
    "delineate",
    "require_neurokit",
]
