"""An encoder that is never trained, as the control of what the encoder's training is worth.

The language model of an arm with `encoder: random` is trained on its features as the other arms are
on the trained encoder's.
"""

from __future__ import annotations

import json
from pathlib import Path

from truelead.config import Recipe
from truelead.train.stage import DONE, digest_of

FOLDER = "encoder-random"


def ensure_random_encoder(recipe: Recipe) -> Path:
    """`<output>/encoder-random/encoder`, drawn from the recipe's seed unless it is there already.

    It has a folder of its own, since the cache of its features is laid beside it.
    """
    import torch

    from truelead.model.encoder import build_encoder

    folder = recipe.output / FOLDER / "encoder"
    tree = recipe.model_dump(mode="json")
    samples = round(recipe.data.sampling_rate * recipe.data.duration_seconds)
    key = digest_of({"seed": recipe.seed, "encoder": tree["encoder"], "samples": samples})
    marker = folder / DONE
    if not marker.is_file() or json.loads(marker.read_text(encoding="utf-8"))["key"] != key:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            build_encoder(recipe.encoder, samples).save(folder)
        marker.write_text(json.dumps({"key": key}), encoding="utf-8")
    return folder
