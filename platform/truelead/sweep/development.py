"""How a trial is scored: right answers about the development ECGs, never about the test's.

The questions come in their training wordings: the test wordings are kept for the last judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from truelead.config import Recipe
from truelead.data.store import open_store
from truelead.debias.setup import build_setup
from truelead.errors import ConfigError
from truelead.evaluate.asked import at_most, refuse_known_patients
from truelead.evaluate.metrics import score
from truelead.evaluate.predictions import Predictor, Trial

DEVELOPMENT = "development"
TEST_SETS = {"balanced": "balanced/train-wordings", "confounded": "confounded/train-wordings"}
"""Metric -> the set-up's test set that it is taken on."""


def development_recipe(recipe: Recipe) -> Recipe:
    """The recipe, asking its held-out questions of the development ECGs.

    Raises:
        ConfigError: the recipe keeps no development patients.
    """
    if recipe.data.development_fraction == 0:
        raise ConfigError(
            "data.development_fraction: expected above 0 for a sweep, found 0: trials are chosen "
            "by the development patients of the train split, never by the test"
        )
    return recipe.model_copy(
        update={"evaluate": recipe.evaluate.model_copy(update={"split": DEVELOPMENT})}
    )


class DevelopmentQuestions:
    """The questions that every trial of a sweep answers; the same for all of them.

    Args:
        recipe: of the sweep, without any trial's values; at most
            `recipe.evaluate.maximum_questions` of each metric are asked.

    Raises:
        ConfigError: there are no development ECGs, or no questions about them.
        DataError: there are no shards.
    """

    def __init__(self, recipe: Recipe) -> None:
        recipe = development_recipe(recipe)
        folder = recipe.output / "shards"
        self.store = open_store(folder)
        if not self.store.ids(DEVELOPMENT):
            raise ConfigError(
                f"{folder}: expected ECGs of the split development, found none: ingest them with "
                "data.development_fraction above 0, or raise it"
            )
        self._ecgs_per_batch = recipe.evaluate.batch_ecgs
        setup = build_setup(recipe, self.store.records)
        found = setup.test_sets()
        sets = {metric: found.get(name, ()) for metric, name in TEST_SETS.items()}
        for metric, questions in sets.items():
            if not questions:
                raise ConfigError(
                    f"{metric}: expected questions about the {len(self.store.ids(DEVELOPMENT))} "
                    "development ECGs, found none: raise data.development_fraction"
                )
        sets = at_most(sets, recipe.evaluate.maximum_questions, recipe.questions.seed)
        refuse_known_patients(sets, setup.records)
        self.trials: Mapping[str, tuple[Trial, ...]] = {
            metric: tuple(Trial.of(question) for question in questions)
            for metric, questions in sets.items()
        }

    def score(self, model_folder: Path) -> dict[str, float]:
        """Share of right answers by metric, of the model in the folder.

        Raises:
            ModelError: the folder holds no whole model.
        """
        from truelead.evaluate.predictor import ModelPredictor

        return self.score_of(
            ModelPredictor(model_folder, self.store, ecgs_per_batch=self._ecgs_per_batch)
        )

    def score_of(self, predictor: Predictor) -> dict[str, float]:
        """Share of right answers by metric."""
        return {
            metric: score(trials, predictor.predict(trials)).micro
            for metric, trials in self.trials.items()
        }
