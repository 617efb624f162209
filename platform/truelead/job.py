"""What the scripts in jobs/ share: their arguments, and one line for what the user can mend."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from truelead.config import Recipe, load_recipe
from truelead.errors import TrueLeadError


def run_job(description: str | None, work: Callable[[Recipe], None]) -> int:
    """Parse RECIPE and --set, and do `work` with the recipe.

    Returns:
        The exit status: 0, or 2 after one line on what the user can mend.
    """
    return _run(_parser(description), lambda recipe, given: work(recipe))


def run_arm_job(description: str | None, work: Callable[[Recipe, str], None]) -> int:
    """As `run_job`, with --arm: `work` is done with one arm, by default with each of the recipe."""
    parser = _parser(description)
    parser.add_argument("--arm", metavar="NAME", help="default: every arm of the recipe")

    def each(recipe: Recipe, given: argparse.Namespace) -> None:
        for arm in [given.arm] if given.arm else [arm.name for arm in recipe.arms]:
            work(recipe, arm)

    return _run(parser, each)


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    return parser


def _run(
    parser: argparse.ArgumentParser, work: Callable[[Recipe, argparse.Namespace], None]
) -> int:
    given = parser.parse_args()
    try:
        work(load_recipe(given.recipe, given.overrides), given)
    except TrueLeadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
