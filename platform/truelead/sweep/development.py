"""How a trial is scored: right answers about the development ECGs, never about the test's.

The questions come in their training wordings: the test wordings are kept for the last judgement.
Besides the two kinds of questions a trial is asked the balanced ones with another patient's ECG:
what that costs in right answers is its reliance on the ECG.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from truelead.config import Recipe
from truelead.data.durable import write_durable_text
from truelead.data.store import open_store
from truelead.debias.setup import Setup, build_setup
from truelead.errors import ConfigError
from truelead.evaluate.asked import at_most, refuse_known_patients
from truelead.evaluate.bootstrap import Clusters, Interval, interval, paired_difference
from truelead.evaluate.metrics import correct_rows, right_probability_rows
from truelead.evaluate.predictions import Predictor, Trial
from truelead.evaluate.suites.random_ecg import substitutes
from truelead.sweep.cost import answer_flops, parameter_count
from truelead.train.stage import digest_of

DEVELOPMENT = "development"
TEST_SETS = {"balanced": "balanced/train-wordings", "confounded": "confounded/train-wordings"}
"""Metric -> the set-up's test set that it is taken on."""

RELIANCE = "reliance"
METRICS = (*TEST_SETS, RELIANCE)
PROBABILITY = "_probability"
"""End of the name of a metric's probability: the mean that the model gives to what is right, where
the metric counts what it says. Rungs are compared by it, and equal metrics told apart."""

_SCHEMA = 2


@dataclass(frozen=True)
class Score:
    """What a model does on the development questions.

    Attributes:
        metrics: metric -> its value, a share of right answers or the difference of two, with its
            95 % interval over patients.
        probabilities: metric -> the same of the probabilities of the right answers, which tell
            apart models that say the same.
        parameters: numbers in the model's file.
        flops: floating-point operations of an answer, 0 where they were not counted.
    """

    metrics: Mapping[str, Interval]
    probabilities: Mapping[str, float]
    parameters: int
    flops: float = 0.0

    @property
    def estimates(self) -> dict[str, float]:
        """Metric -> value."""
        return {name: one.estimate for name, one in self.metrics.items()}


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
        count_flops: whether a score tells the operations of an answer.

    Raises:
        ConfigError: there are no development ECGs, or no questions about them.
        DataError: there are no shards.
    """

    def __init__(self, recipe: Recipe, *, count_flops: bool = False) -> None:
        recipe = development_recipe(recipe)
        folder = recipe.output / "shards"
        self.store = open_store(folder)
        if not self.store.ids(DEVELOPMENT):
            raise ConfigError(
                f"{folder}: expected ECGs of the split development, found none: ingest them with "
                "data.development_fraction above 0, or raise it"
            )
        self._recipe = recipe
        self._count_flops = count_flops
        self.setup: Setup = build_setup(recipe, self.store.records)
        found = self.setup.test_sets()
        sets = {metric: found.get(name, ()) for metric, name in TEST_SETS.items()}
        for metric, questions in sets.items():
            if not questions:
                raise ConfigError(
                    f"{metric}: expected questions about the {len(self.store.ids(DEVELOPMENT))} "
                    "development ECGs, found none: raise data.development_fraction"
                )
        sets = at_most(sets, recipe.evaluate.maximum_questions, recipe.questions.seed)
        refuse_known_patients(sets, self.setup.records)
        self.trials: Mapping[str, tuple[Trial, ...]] = {
            metric: tuple(Trial.of(question) for question in questions)
            for metric, questions in sets.items()
        }
        balanced = sets["balanced"]
        shown = substitutes(balanced, self.setup.records, [recipe.questions.seed, 0])
        self._substituted = tuple(
            Trial(question, shown[question.ecg_ids])
            for question in balanced
            if question.ecg_ids in shown
        )

    @cached_property
    def digest(self) -> str:
        """Of the questions, their answers, and the ECGs shown with them."""
        asked = [
            (trial.question.text, trial.question.answers, trial.question.ecg_ids, trial.shown)
            for trials in (*self.trials.values(), self._substituted)
            for trial in trials
        ]
        return digest_of(
            {
                "scores": _SCHEMA,
                "asked": asked,
                "shards": self.store.digest,
                "samples": self._recipe.evaluate.bootstrap_samples,
                "flops": self._count_flops,
            }
        )

    def score(self, model_folder: Path) -> Score:
        """Score the model in the folder, or find the score that was left there.

        Raises:
            ModelError: the folder holds no whole model.
        """
        from truelead.evaluate.predictor import ModelPredictor

        kept = model_folder / f"development-{self.digest[:16]}.json"
        found = _read(kept)
        if found is None:
            predictor = ModelPredictor(
                model_folder, self.store, ecgs_per_batch=self._recipe.evaluate.batch_ecgs
            )
            metrics, probabilities = self.score_of(predictor)
            flops = 0.0
            if self._count_flops:
                flops = answer_flops(predictor, self.trials["balanced"])
            found = Score(metrics, probabilities, parameter_count(model_folder), flops)
            write_durable_text(kept, json.dumps(asdict(found)))
            found = _read(kept)  # as a later start reads it
            assert found is not None, "just written"
        return found

    def score_of(self, predictor: Predictor) -> tuple[dict[str, Interval], dict[str, float]]:
        """The metrics of anything that answers, with their intervals, and their tie-breaks."""
        samples = self._recipe.evaluate.bootstrap_samples
        found, right, sure = {}, {}, {}
        for metric, trials in self.trials.items():
            predictions = predictor.predict(trials)
            right[metric] = correct_rows(trials, predictions).astype(np.float64)
            sure[metric] = right_probability_rows(trials, predictions)
            found[metric] = interval(right[metric], self._clusters(trials), samples=samples)
        if self._substituted:
            place = {trial.question: row for row, trial in enumerate(self.trials["balanced"])}
            places = [place[trial.question] for trial in self._substituted]
            own = right["balanced"][places]
            predictions = predictor.predict(self._substituted)
            other = correct_rows(self._substituted, predictions)
            found[RELIANCE] = paired_difference(
                own,
                other.astype(np.float64),
                self._clusters(self._substituted),
                samples=samples,
            )
            unsure = right_probability_rows(self._substituted, predictions)
            sure[RELIANCE] = sure["balanced"][places] - unsure
        return found, {metric: float(rows.mean()) for metric, rows in sure.items()}

    def _clusters(self, trials: tuple[Trial, ...]) -> Clusters:
        records = self.setup.records
        return Clusters.of(
            [tuple(records[name].patient_id for name in trial.question.ecg_ids) for trial in trials]
        )


def _read(path: Path) -> Score | None:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    metrics = {name: Interval(**one) for name, one in tree["metrics"].items()}
    return Score(metrics, tree["probabilities"], int(tree["parameters"]), float(tree["flops"]))
