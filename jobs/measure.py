"""Intervals of the stored ECGs, beside the shards: python jobs/measure.py RECIPE [--set a.b=c]"""

from __future__ import annotations

import sys

from truelead import chain
from truelead.config import Recipe
from truelead.job import run_job


def measure(recipe: Recipe) -> None:
    """Print how many ECGs have a value of each feature, and how many carry which flag."""
    found = chain.measure(recipe)
    for title, counts in (("measured", found.measured), ("flagged", found.flags)):
        shown = ", ".join(f"{number} {name}" for name, number in counts.items())
        print(f"{title}, of {found.records} ECGs: {shown or 'none'}")


if __name__ == "__main__":
    sys.exit(run_job(__doc__, measure))
