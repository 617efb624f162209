"""Does the winner of `confounder-weighting` beat the default strategy? On generated ECGs, small.

The space is the shipped one, with fewer and shorter trials.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.sweep_run import SHORT, base_run, copied
from bench.sweep_soak import SPACE, weighting
from truelead.sweep.driver import run_sweep
from truelead.sweep.space import load_space


def rows() -> list[dict[str, Any]]:
    """The winner against both baselines, and how much of its score was luck."""
    shipped = load_space(SPACE)
    space = shipped.model_copy(
        update={
            "trials": 12,
            "max_steps": 480,
            "scheduler": shipped.scheduler.model_copy(update={"grace_steps": 60, "reduction": 4}),
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        recipe = copied(base_run(), Path(scratch) / "run")
        return weighting(run_sweep(recipe, space), "generated ECGs", SHORT)
