"""What the measurements of sweeps stand on: small runs on generated ECGs, made once and copied.

The models are small so that a trial takes seconds; they learn enough for configurations to differ.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from truelead import chain
from truelead.config import Recipe, TrainConfig, parse_recipe
from truelead.sweep.driver import start_session
from truelead.train.features import ensure_features

SHARED = ("records", "shards", "encoder", "features")
SHORT, LONG = "make bench SECTION=sweep", "make soak SECTION=sweep"


def small_recipe(output: Path) -> Recipe:
    """400 generated patients, a small encoder, a language model of one layer of width 48."""
    return parse_recipe(
        {
            "name": "swept",
            "output": str(output),
            "generate": {"patients": 400, "ecgs_per_patient": 1.2, "seed": 11},
            "data": {"development_fraction": 0.25, "split_by": "strat_fold"},
            "encoder": {"options": {"width": 32}},
            "encoder_training": {"epochs": 4, "minimum_positives": 8},
            "language_model": {"hidden_size": 48, "layers": 1, "heads": 4},
            "questions": {"minimum_positives": 20},
            "pretrain": {
                "optimizer": "muon",
                "steps": 120,
                "ecgs_per_step": 6,
                "questions_per_ecg": 4,
            },
            "train": {"in_process": True, "cpus_per_worker": 1, "checkpoint_every": 20},
            "evaluate": {
                "maximum_questions": 300,
                "bootstrap_samples": 200,
                "reliance": False,
                "further_questions": 20,
            },
        }
    )


def prepare(recipe: Recipe) -> Recipe:
    """Records, shards, encoder and features of a run, where they are not there."""
    start_session(TrainConfig())  # one cluster for all sections, with room for workers' trials
    chain.generate(recipe)
    chain.ingest(recipe)
    chain.pretrain_encoder(recipe)
    run = recipe.output
    ensure_features(run / "encoder", run / "shards", run / "features", recipe.data)
    return recipe


@cache
def base_run() -> Recipe:
    """The small run of this process, prepared once; it goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="sweeps_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return prepare(small_recipe(folder / "run"))


def copied(recipe: Recipe, output: Path) -> Recipe:
    """The same run in another folder, without anything that a sweep has trained."""
    output.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        if (recipe.output / name).is_dir() and not (output / name).exists():
            shutil.copytree(recipe.output / name, output / name)
    return recipe.model_copy(update={"output": output})
