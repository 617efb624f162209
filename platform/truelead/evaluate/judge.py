"""Judge trained models: load them, ask every suite's questions, write the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from truelead.config import Recipe
from truelead.data.store import ShardStore, open_store
from truelead.debias.setup import build_setup
from truelead.errors import ConfigError, ModelError
from truelead.evaluate.asked import (
    answers_by_labels,
    at_most,
    observed_training,
    refuse_known_patients,
)
from truelead.evaluate.examination import PredictorFactory, examine
from truelead.evaluate.predictions import PredictionWriter
from truelead.evaluate.provenance import provenance
from truelead.evaluate.reliance import reliance
from truelead.evaluate.report import ArmDescription, Report, write_report
from truelead.evaluate.suites import SuiteContext

Progress = Callable[[str], None]


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
    progress: Progress = lambda message: None,
) -> Path:
    """Judge several trainings (seeds) of each arm on the same questions.

    Args:
        recipe: of any of the runs; its shards, questions and `evaluate` settings are used. The
            runs may differ from it in their seed and strategies, not in their split.
        runs: arm -> model folders. Run i of one arm is compared with run i of the others.
        output: where the report goes, `<recipe.output>/report` by default.

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
    context = SuiteContext(sets, setup.records, answers_by_labels(setup), recipe.questions.seed)
    report_folder = output or recipe.output / "report"
    report_folder.mkdir(parents=True, exist_ok=True)
    with PredictionWriter(report_folder / "predictions.parquet") as writer:
        examination = examine(
            context,
            {
                arm: [_loader(folder, store, recipe) for folder in folders]
                for arm, folders in runs.items()
            },
            observed_training(setup),
            samples=recipe.evaluate.bootstrap_samples,
            writer=writer,
            progress=progress,
        )
    tested = {ecg_id for questions in sets.values() for q in questions for ecg_id in q.ecg_ids}
    recipe_text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    report = Report(
        name=recipe.name,
        provenance=provenance(recipe, store, [setup.records[name] for name in sorted(tested)]),
        recipe=recipe_text,
        arms=tuple(_description(recipe, arm, len(folders)) for arm, folders in runs.items()),
        examination=examination,
        reliance=reliance(examination),
        encoder=_encoder_metrics(recipe.output / "encoder" / "metrics.json"),
        draws=_draws(runs),
    )
    write_report(report, report_folder)
    (report_folder / "recipe.yaml").write_text(recipe_text, encoding="utf-8")
    return report_folder


def _loader(folder: Path, store: ShardStore, recipe: Recipe) -> PredictorFactory:
    def load() -> Any:
        from truelead.evaluate.predictor import ModelPredictor

        return ModelPredictor(folder, store, ecgs_per_batch=recipe.evaluate.batch_ecgs)

    return load


def _check_trained_alike(folder: Path, recipe: Recipe) -> None:
    """A model trained on another split may know the patients of this test."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: expected a trained model, found none: run its training first")
    path = folder / "recipe.yaml"
    if not path.is_file():
        raise ModelError(f"{folder}: expected the recipe.yaml of its training, found none")
    data = yaml.safe_load(path.read_text(encoding="utf-8")).get("data", {})
    for key in ("source", "split_by"):
        if data.get(key) != getattr(recipe.data, key):
            raise ConfigError(
                f"{folder}: data.{key}: expected {getattr(recipe.data, key)!r} as in the recipe, "
                f"found {data.get(key)!r}"
            )


def _description(recipe: Recipe, arm: str, runs: int) -> ArmDescription:
    for known in recipe.arms:
        if known.name == arm:
            return ArmDescription(arm, known.pretrain, known.finetune, runs)
    return ArmDescription(arm, "not in the recipe", "not in the recipe", runs)


def _encoder_metrics(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else None


def _draws(runs: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, dict[str, float]]]:
    """Causal diagnostics that each arm's first run wrote of its draws, stage by stage."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for arm, folders in runs.items():
        for stage in ("pretrain", "finetune"):
            path = folders[0].parent / stage / "diagnostics.json"
            if path.is_file():
                values = json.loads(path.read_text(encoding="utf-8"))
                found.setdefault(arm, {})[stage] = {
                    name: float(value)
                    for name, value in values.items()
                    if isinstance(value, int | float)
                }
    return found
