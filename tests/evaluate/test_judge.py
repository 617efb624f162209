"""The judge on stored ECGs and models of the real kind (untrained: the paths are the same)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from truelead.config import Recipe, parse_recipe
from truelead.data.store import ShardStore, open_store
from truelead.errors import ConfigError, DataError, ModelError
from truelead.evaluate.judge import evaluate, evaluate_runs
from truelead.evaluate.predictions import Trial, read_predictions
from truelead.evaluate.predictor import ModelPredictor

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def recipe(generated_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Shards, and an untrained model for each of two arms."""
    from truelead.data.ingest import ingest
    from truelead.data.sources import SOURCES
    from truelead.debias.setup import build_setup
    from truelead.model.build import build_model, save_model

    recipe = parse_recipe(
        {
            "name": "judged",
            "output": str(tmp_path_factory.mktemp("run")),
            "data": {"root": str(generated_set), "split_by": "strat_fold"},
            "questions": {"minimum_positives": 4},
            "language_model": {
                "hidden_size": 32, "layers": 1, "heads": 2, "vocabulary_size": 256
            },
            "evaluate": {"split": "test", "bootstrap_samples": 100, "maximum_questions": 60},
        }
    )  # fmt: skip
    records = SOURCES["ptbxl"].load_records(generated_set, recipe.data)
    ingest(records, generated_set, recipe.output / "shards", recipe.data)
    setup = build_setup(recipe, open_store(recipe.output / "shards").records)
    for seed, arm in enumerate(recipe.arms):
        folder = recipe.output / arm.name / "finetune"
        model, processor = build_model(
            recipe.model_copy(update={"seed": seed}), None, setup.corpus()
        )
        save_model(folder, model, processor)
        (folder / "diagnostics.json").write_text('{"question_severity_bits": 0.25}')
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    return recipe


@pytest.fixture(scope="module")
def report(recipe: Recipe) -> Path:
    return evaluate(recipe)


def test_the_report_is_whole(recipe: Recipe, report: Path) -> None:
    assert report == recipe.output / "report"
    assert {path.name for path in report.iterdir()} == {
        "report.html",
        "report.json",
        "report.md",
        "predictions.parquet",
        "recipe.yaml",
    }
    tree = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert tree["examination"]["arms"] == ["erm", "debiased"]
    suites = {cell["suite"] for cell in tree["examination"]["cells"]}
    # Which statements are asked, and so whether a direction is known, is the generated set's.
    assert suites - {"directional"} == {
        "observed", "balanced-do-question", "random-ecg", "invariance", "wording"
    }  # fmt: skip
    assert tree["provenance"]["data digest"] == open_store(recipe.output / "shards").digest
    assert {found["arm"] for found in tree["reliance"]} == {"erm", "debiased"}
    assert tree["draws"]["debiased"] == {"finetune": {"question_severity_bits": 0.25}}
    assert parse_recipe(yaml.safe_load((report / "recipe.yaml").read_text())) == recipe


def test_every_answer_of_a_closed_question_is_one_of_its_options(report: Path) -> None:
    rows = read_predictions(report / "predictions.parquet").to_pylist()
    models = [row for row in rows if row["arm"] in ("erm", "debiased")]
    assert models
    for row in models:
        probabilities = dict(row["option_probabilities"])
        assert set(probabilities) == {"yes", "no"}
        assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-5)
        assert row["predicted"] == [max(probabilities, key=lambda option: probabilities[option])]


def test_judging_twice_gives_the_same_bytes(recipe: Recipe, report: Path, tmp_path: Path) -> None:
    runs = {arm.name: [recipe.output / arm.name / "finetune"] for arm in recipe.arms}
    again = evaluate_runs(recipe, runs, output=tmp_path)
    for name in ("report.html", "report.json"):
        assert (again / name).read_bytes() == (report / name).read_bytes()


def test_several_runs_of_an_arm_are_judged_together(recipe: Recipe, tmp_path: Path) -> None:
    folders = [recipe.output / arm.name / "finetune" for arm in recipe.arms]
    folder = evaluate_runs(recipe, {"erm": folders, "debiased": folders[::-1]}, output=tmp_path)
    cells = json.loads((folder / "report.json").read_text())["examination"]["cells"]
    both = {cell["arm"]: cell for cell in cells if cell["suite"] == "observed"}
    assert both["erm"]["seeds"] == both["debiased"]["seeds"] == 2
    assert both["erm"]["micro"]["estimate"] == pytest.approx(both["debiased"]["micro"]["estimate"])
    seeds = read_predictions(folder / "predictions.parquet").column("seed").to_pylist()
    assert set(seeds) == {0, 1}


@pytest.fixture(scope="module")
def store(recipe: Recipe) -> ShardStore:
    return open_store(recipe.output / "shards")


def test_the_predictor_answers_as_the_model_does_from_the_ecg(
    recipe: Recipe, store: ShardStore
) -> None:
    """Grouping, features and order change nothing: each trial against a single question."""
    from truelead.debias.setup import build_setup
    from truelead.model.answering import Answerer, Ask

    sets = build_setup(recipe, store.records).test_sets()
    questions = sets["confounded/test-wordings"][:12]
    trials = [Trial.of(question) for question in questions]
    trials += [Trial(question, questions[-1].ecg_ids) for question in questions[:3]]
    folder = recipe.output / "erm" / "finetune"
    predictor = ModelPredictor(folder, store, ecgs_per_batch=2)
    found = predictor.predict(trials)
    answerer = Answerer.from_pretrained(folder)
    for trial, prediction in zip(trials, found, strict=True):
        ecgs = tuple(store.signal(name) for name in trial.shown)
        question = trial.question
        alone = answerer.answer([Ask(ecgs, question.text, question.options)])[0]
        assert prediction.option_probabilities["yes"] == pytest.approx(
            alone.option_probabilities["yes"], abs=2e-3
        )
    backwards = predictor.predict(trials[::-1])[::-1]
    assert [p.option_probabilities["yes"] for p in backwards] == pytest.approx(
        [p.option_probabilities["yes"] for p in found], abs=1e-4
    )
    assert predictor.predict([]) == []


def test_the_predictor_shows_changed_ecgs_and_none(recipe: Recipe, store: ShardStore) -> None:
    from truelead.debias.setup import build_setup
    from truelead.evaluate.predictor import changed_ecgs
    from truelead.model.answering import Answerer, Ask

    questions = build_setup(recipe, store.records).test_sets()["confounded/test-wordings"][:4]
    folder = recipe.output / "erm" / "finetune"
    predictor = ModelPredictor(folder, store, ecgs_per_batch=2)
    answerer = Answerer.from_pretrained(folder)
    trials = [
        Trial.of_changed(question, change)
        for question in questions
        for change in ("none", "flat", "voltage-doubled")
    ] + [Trial.of(question) for question in questions]
    found = predictor.predict(trials)
    for trial, prediction in zip(trials, found, strict=True):
        ecgs = tuple(changed_ecgs(store, trial.shown, trial.change)) if trial.shown else ()
        alone = answerer.answer([Ask(ecgs, trial.question.text, trial.question.options)])[0]
        assert prediction.option_probabilities["yes"] == pytest.approx(
            alone.option_probabilities["yes"], abs=2e-3
        ), trial.change
    first = predictor.predict([trials[0]])[0]
    assert first.option_probabilities == pytest.approx(found[0].option_probabilities, abs=1e-5)


def test_a_model_of_another_fold_of_the_wordings_is_refused(recipe: Recipe) -> None:
    questions = recipe.questions.model_copy(update={"wording_fold": 1})
    with pytest.raises(ConfigError, match=r"questions\.wording_fold: expected 1"):
        evaluate(recipe.model_copy(update={"questions": questions}))


def test_with_an_encoder_the_baselines_that_see_the_ecg_stand_beside(
    recipe: Recipe, tmp_path: Path
) -> None:
    from truelead.evaluate.ecg_baselines import ECG_BASELINES
    from truelead.model.encoder import build_encoder

    samples = round(recipe.data.sampling_rate * recipe.data.duration_seconds)
    folder = build_encoder(recipe.encoder, samples).save(recipe.output / "encoder")
    try:
        found = evaluate_runs(
            recipe, {"erm": [recipe.output / "erm" / "finetune"]}, output=tmp_path
        )
    finally:
        shutil.rmtree(folder)
    examination = json.loads((found / "report.json").read_text())["examination"]
    assert set(ECG_BASELINES) < set(examination["baselines"])
    answered = {cell["arm"] for cell in examination["cells"] if cell["suite"] == "invariance"}
    # The classifiers leave out statements that the small set has too few ECGs of.
    assert "ecg-only" in answered


def test_the_training_set_is_no_test(recipe: Recipe) -> None:
    split = recipe.evaluate.model_copy(update={"split": "train"})
    with pytest.raises(DataError, match="expected no patient of the train split"):
        evaluate(recipe.model_copy(update={"evaluate": split}))


def test_missing_models_and_arms_are_named(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected one of erm, debiased, found 'best'"):
        evaluate(recipe, ["best"])
    with pytest.raises(ModelError, match="expected a trained model"):
        evaluate_runs(recipe, {"erm": [tmp_path]})
    with pytest.raises(ConfigError, match="at least one arm"):
        evaluate_runs(recipe, {})


def test_a_model_of_another_split_is_refused(recipe: Recipe) -> None:
    other = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"split_by": "ecg_qa"})}
    )
    with pytest.raises(ConfigError, match=r"data\.split_by"):
        evaluate(other)
