from __future__ import annotations

import sys

from truelead import chain
from truelead.job import run_job

if __name__ == "__main__":
    sys.exit(run_job(__doc__, lambda recipe: print(f"encoder: {chain.pretrain_encoder(recipe)}")))
