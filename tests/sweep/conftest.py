"""A run with shards and a small encoder, on which every sweep of these tests stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from truelead.config import Recipe, parse_recipe


def small_recipe(output: Path, **changes: Any) -> Recipe:
    """A recipe whose trainings take a second, in the asking process."""
    return parse_recipe(
        {
            "name": "swept",
            "output": str(output),
            "generate": {"patients": 60, "ecgs_per_patient": 1.5, "seed": 7},
            "data": {"development_fraction": 0.3},
            "encoder": {"options": {"width": 16}},
            "encoder_training": {"epochs": 1, "batch_size": 16, "minimum_positives": 4},
            "language_model": {"hidden_size": 32, "layers": 1, "heads": 2},
            "questions": {"minimum_positives": 4},
            "pretrain": {"steps": 6, "ecgs_per_step": 4, "questions_per_ecg": 2},
            "finetune": {"steps": 4, "ecgs_per_step": 4, "questions_per_ecg": 2},
            "train": {
                "in_process": True,
                "cpus_per_worker": 1,
                "checkpoint_every": 2,
                "log_every": 1,
            },
            "evaluate": {"maximum_questions": 40, "bootstrap_samples": 100, "reliance": False},
            **changes,
        }
    )


@pytest.fixture(scope="session")
def swept_run(tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any) -> Recipe:
    """The recipe of a run that is ingested and has its encoder."""
    from truelead import chain
    from truelead.train.features import ensure_features

    recipe = small_recipe(tmp_path_factory.mktemp("swept") / "run")
    chain.generate(recipe)
    chain.ingest(recipe)
    chain.pretrain_encoder(recipe)
    run = recipe.output
    ensure_features(run / "encoder", run / "shards", run / "features", recipe.data)
    return recipe
