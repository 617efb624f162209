"""Pre-train the language model of an arm (default: of every arm): python jobs/pretrain.py RECIPE"""

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
    parser.add_argument("--arm", metavar="NAME", help="default: every arm of the recipe")
    given = parser.parse_args()
    try:
        recipe = load_recipe(given.recipe, given.overrides)
        for arm in [given.arm] if given.arm else [arm.name for arm in recipe.arms]:
            print(f"{arm}: {chain.pretrain(recipe, arm)}")
    except TrueLeadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
