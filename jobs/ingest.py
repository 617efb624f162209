"""Records to Parquet shards: python jobs/ingest.py RECIPE [--set a.b=c]"""

from __future__ import annotations

import sys

from truelead import chain
from truelead.config import Recipe
from truelead.job import run_job


def ingest(recipe: Recipe) -> None:
    """Print how many ECGs were stored, and how many set aside for which reason."""
    manifest = chain.ingest(recipe)
    reasons = ", ".join(f"{n} {reason}" for reason, n in manifest.rejected_by_reason.items())
    print(f"stored {manifest.accepted} ECGs, set aside {manifest.rejected} ({reasons or 'none'})")
    print(f"data digest {manifest.digest}")


if __name__ == "__main__":
    sys.exit(run_job(__doc__, ingest))
