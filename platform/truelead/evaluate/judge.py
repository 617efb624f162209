"""Judge trained models: load them, ask every suite's questions, write the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from truelead.config import Recipe
from truelead.data.store import ShardStore, open_store
from truelead.debias.setup import Setup, build_setup
from truelead.debias.setup.planted import PlantedSetup
from truelead.errors import ConfigError, ModelError
from truelead.evaluate.asked import (
    answers_by_labels,
    at_most,
    observed_training,
    refuse_known_patients,
)
from truelead.evaluate.ecg_baselines import ECG_BASELINES, EcgBaseline, Evidence
from truelead.evaluate.examination import PredictorFactory, examine
from truelead.evaluate.failures import draw_failure, worst_failures
from truelead.evaluate.predictions import PredictionWriter, Predictor
from truelead.evaluate.provenance import provenance
from truelead.evaluate.reliance import reliance
from truelead.evaluate.reliance_calibration import CALIBRATION_SPLITS, calibrate_reliance
from truelead.evaluate.reliance_detection import measure_reliance
from truelead.evaluate.report import Report, write_report
from truelead.evaluate.suites import SuiteContext
from truelead.evaluate.trained import (
    arm_description,
    draw_diagnostics,
    encoder_metrics,
    training_facts,
)
from truelead.model.encoder.base import CONFIGURATION_FILE
from truelead.types import Question

_SAME_SPLIT = {
    "data": ("source", "split_by"),
    "questions": ("wording_fold", "wording_folds", "held_out_codes"),
}
"""What decides which patients, words and statements are tested: alike in training and here."""

Progress = Callable[[str], None]
Keep = Callable[[Path, PredictorFactory], Predictor]
"""Makes a predictor from a model's folder and what loads the model."""


def evaluate(
    recipe: Recipe, arms: Sequence[str] | None = None, *, progress: Progress = lambda message: None
) -> Path:
    """Judge the arms of one run (all by default) and write `<output>/report`.

    Returns:
        The report's folder: report.html, report.json, report.md, predictions.parquet, recipe.yaml.

    Raises:
        ConfigError: an arm is not in the recipe.
        ModelError: an arm was not trained.
        DataError: there are no shards; the test asks about patients of the training.
    """
    names = [arm.name for arm in recipe.arms] if arms is None else list(arms)
    for name in names:
        recipe.arm(name)
    return evaluate_runs(
        recipe, {name: [recipe.output / name / "finetune"] for name in names}, progress=progress
    )


def evaluate_runs(
    recipe: Recipe,
    runs: Mapping[str, Sequence[Path]],
    *,
    output: Path | None = None,
    keep: Keep | None = None,
    progress: Progress = lambda message: None,
) -> Path:
    """Judge several trainings (seeds) of each arm on the same questions.

    Args:
        recipe: of any of the runs; its shards, questions and `evaluate` settings are used. The
            runs may differ from it in their seed and strategies, not in their split.
        runs: arm -> model folders. Run i of one arm is compared with run i of the others.
        output: where the report goes, `<recipe.output>/report` by default.
        keep: wraps each model's predictor, so that a long judging can be resumed.

    Raises: as `evaluate`; ConfigError also where a model was trained on another split.
    """
    if not runs or not all(runs.values()):
        raise ConfigError("evaluate: expected at least one arm, and one model of each")
    for folders in runs.values():
        for folder in folders:
            _check_trained_alike(folder, recipe)
    store = open_store(recipe.output / "shards")
    setup = build_setup(recipe, store.records)
    sets = at_most(setup.test_sets(), recipe.evaluate.maximum_questions, recipe.questions.seed)
    refuse_known_patients(sets, setup.records)
    context = SuiteContext(
        sets,
        setup.records,
        answers_by_labels(setup),
        recipe.questions.seed,
        truth=setup.truth if isinstance(setup, PlantedSetup) else None,
        strata={name: setup.stratum((name,)) for name in setup.records},
        further_questions=recipe.evaluate.further_questions,
    )
    train = observed_training(setup)
    calibrated = recipe.evaluate.reliance and _calibrate(recipe, store, runs, progress)
    report_folder = output or recipe.output / "report"
    report_folder.mkdir(parents=True, exist_ok=True)
    with PredictionWriter(report_folder / "predictions.parquet") as writer:
        examination = examine(
            context,
            {
                arm: [_loader(folder, store, recipe, keep) for folder in folders]
                for arm, folders in runs.items()
            },
            train,
            ecg_baselines=_ecg_baselines(recipe, store, setup, train),
            samples=recipe.evaluate.bootstrap_samples,
            writer=writer,
            progress=progress,
        )
    tested = {ecg_id for questions in sets.values() for q in questions for ecg_id in q.ecg_ids}
    failures = worst_failures(
        report_folder / "predictions.parquet",
        tuple(runs),
        {name: record.patient_id for name, record in setup.records.items()},
    )
    recipe_text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    report = Report(
        name=recipe.name,
        provenance=provenance(recipe, store, [setup.records[name] for name in sorted(tested)]),
        recipe=recipe_text,
        arms=tuple(arm_description(recipe, arm, folders) for arm, folders in runs.items()),
        examination=examination,
        reliance=reliance(examination),
        encoder=encoder_metrics(recipe.output / "encoder" / "metrics.json"),
        draws=draw_diagnostics(runs),
        training=training_facts(recipe),
        reliance_calibration=(
            measure_reliance(recipe, runs, context, store) if calibrated else None
        ),
        failures=failures,
        drawings=tuple(
            draw_failure([store.signal(name) for name in failure.ecg_ids]) for failure in failures
        ),
    )
    write_report(report, report_folder)
    (report_folder / "recipe.yaml").write_text(recipe_text, encoding="utf-8")
    return report_folder


def _calibrate(
    recipe: Recipe, store: ShardStore, runs: Mapping[str, Sequence[Path]], progress: Progress
) -> bool:
    """Calibrate the reliance of each model; False where there are no patients for it."""
    splits = {record.split for record in store.records}
    if not splits & set(CALIBRATION_SPLITS) - {recipe.evaluate.split}:
        progress("reliance: no development patients to calibrate on (data.development_fraction)")
        return False
    for arm, folders in runs.items():
        for number, folder in enumerate(folders, start=1):
            progress(f"reliance of {arm}, run {number} of {len(folders)}")
            calibrate_reliance(recipe, folder)
    return True


def _loader(folder: Path, store: ShardStore, recipe: Recipe, keep: Keep | None) -> PredictorFactory:
    def load() -> Any:
        from truelead.evaluate.predictor import ModelPredictor

        return ModelPredictor(folder, store, ecgs_per_batch=recipe.evaluate.batch_ecgs)

    return load if keep is None else partial(keep, folder, load)


def _ecg_baselines(
    recipe: Recipe, store: ShardStore, setup: Setup, train: Sequence[Question]
) -> dict[str, Callable[[], EcgBaseline]]:
    """The baselines that see the ECG; none where the run has no encoder of its own."""
    from truelead.evaluate.pooled_features import random_features, trained_features

    if not train or not (recipe.output / "encoder" / CONFIGURATION_FILE).is_file():
        return {}
    evidence = Evidence(
        trained_features(recipe, store), random_features(recipe, store), train, setup.records
    )
    return {name: partial(fit, evidence) for name, fit in ECG_BASELINES.items()}


def _check_trained_alike(folder: Path, recipe: Recipe) -> None:
    """A model trained on another split may know the patients or the words of this test."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: expected a trained model, found none: run its training first")
    path = folder / "recipe.yaml"
    if not path.is_file():
        raise ModelError(f"{folder}: expected the recipe.yaml of its training, found none")
    trained = yaml.safe_load(path.read_text(encoding="utf-8"))
    usual = Recipe.model_validate({"name": recipe.name}).model_dump(mode="json")
    expected = recipe.model_dump(mode="json")
    for room, keys in _SAME_SPLIT.items():
        for key in keys:
            found = trained.get(room, {}).get(key, usual[room][key])
            if found != expected[room][key]:
                raise ConfigError(
                    f"{folder}: {room}.{key}: expected {expected[room][key]!r} as in the recipe, "
                    f"found {found!r}"
                )
