"""Judge every arm of a recipe and write the report: python jobs/evaluate.py RECIPE [--set a.b=c]"""

from __future__ import annotations

import sys

from truelead import chain
from truelead.config import Recipe
from truelead.evaluate.console import print_report
from truelead.job import run_job


def evaluate(recipe: Recipe) -> None:
    """Print the table of the report."""
    folder = chain.evaluate(recipe)
    print_report(folder)
    print(f"report: {folder / 'report.html'}")


if __name__ == "__main__":
    sys.exit(run_job(__doc__, evaluate))
