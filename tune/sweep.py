"""Sweep a search space on a recipe: python tune/sweep.py --recipe RECIPE --space SPACE

The run's ECGs, shards and encoder are made first where they are not there; all trials share them.
"""

from __future__ import annotations

import argparse
import sys

from truelead import chain
from truelead.config import load_recipe
from truelead.errors import TrueLeadError
from truelead.sweep.console import print_result
from truelead.sweep.development import development_recipe
from truelead.sweep.driver import run_sweep, start_session
from truelead.sweep.space import check_space, load_space


def main() -> int:
    """Status 0, or 2 with one line on what the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--space", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    given = parser.parse_args()
    try:
        recipe = load_recipe(given.recipe, given.overrides)
        space = load_space(given.space)
        check_space(recipe, space)
        development_recipe(recipe)
        start_session()
        if recipe.data.root is None:
            chain.generate(recipe)
        chain.ingest(recipe)
        chain.pretrain_encoder(recipe)
        print_result(run_sweep(recipe, space))
    except TrueLeadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
