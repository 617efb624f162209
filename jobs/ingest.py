"""Records to Parquet shards: python jobs/ingest.py RECIPE [--set a.b=c]"""

from __future__ import annotations

import argparse
import sys

from truelead import chain
from truelead.config import load_recipe
from truelead.errors import TrueLeadError


def main() -> int:
    """Status 0, or 2 with one line on what the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    given = parser.parse_args()
    try:
        manifest = chain.ingest(load_recipe(given.recipe, given.overrides))
    except TrueLeadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    reasons = ", ".join(f"{n} {reason}" for reason, n in manifest.rejected_by_reason.items())
    print(f"stored {manifest.accepted} ECGs, set aside {manifest.rejected} ({reasons or 'none'})")
    print(f"data digest {manifest.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
