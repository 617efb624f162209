"""Write the generated ECGs of a recipe: python jobs/generate.py RECIPE [--set a.b=c]"""

from __future__ import annotations

import sys

from truelead import chain
from truelead.config import Recipe
from truelead.errors import ConfigError
from truelead.job import run_job


def generate(recipe: Recipe) -> None:
    """Print the folder of the set.

    Raises:
        ConfigError: the recipe names a set of its own.
    """
    if recipe.data.root is not None:
        raise ConfigError("data.root: expected null to generate ECGs, found a folder")
    print(f"generated ECGs: {chain.generate(recipe)}")


if __name__ == "__main__":
    sys.exit(run_job(__doc__, generate))
