"""Tune the language model of an arm (default: of every arm): python jobs/finetune.py RECIPE"""

from __future__ import annotations

import sys

from truelead import chain
from truelead.job import run_arm_job

if __name__ == "__main__":
    sys.exit(
        run_arm_job(__doc__, lambda recipe, arm: print(f"{arm}: {chain.finetune(recipe, arm)}"))
    )
