"""Sweep a search space on a recipe: python tune/sweep.py --recipe RECIPE --space SPACE

The run's ECGs, shards and encoder are made first where they are not there; all trials share them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from truelead import chain
from truelead.config import load_recipe
from truelead.errors import TrueLeadError
from truelead.sweep.console import print_result


def main() -> int:
    """Status 0, or 2 with one line on what the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--space", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    given = parser.parse_args()
    try:
        recipe = load_recipe(given.recipe, given.overrides)
        print_result(chain.sweep(recipe, Path(given.space)))
    except TrueLeadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
