"""A condition as it shows in one recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from truelead.signal.generator.heart import Heart
from truelead.signal.generator.rhythm import Rhythm

STAGES = ("Stadium I", "Stadium II", "Stadium II-III", "Stadium III", "unknown")
"""PTB-XL's infarction stages: acute, subacute, between, old, of unknown age."""


@dataclass(frozen=True)
class Finding:
    """A condition as it is in one recording.

    Attributes:
        strength: how plainly it shows, 0 (not at all) to 1; below about 0.7 readers are unsure.
        stage: of an infarction, one of `STAGES`.
    """

    strength: float = 1.0
    stage: str = ""


Apply = Callable[[Heart, Rhythm, Finding, np.random.Generator], None]
