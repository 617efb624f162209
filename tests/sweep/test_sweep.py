"""A whole sweep on a small generated set: real trainings, scored on the development patients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from truelead.config import Recipe, load_recipe, parse_recipe
from truelead.errors import TrueLeadError
from truelead.sweep.driver import make_plan, one_line, run_sweep
from truelead.sweep.results import TrialResult, best_recipe, choose_best
from truelead.sweep.space import SearchSpace, parse_space

RUNGS = (2, 4)


def recipe_in(output: Path, root: Path) -> Recipe:
    return parse_recipe(
        {
            "name": "swept",
            "output": str(output),
            "data": {"root": str(root), "development_fraction": 0.3},
            "encoder": {"options": {"width": 16}},
            "encoder_training": {"epochs": 1, "batch_size": 16, "minimum_positives": 4},
            "language_model": {"hidden_size": 32, "layers": 1, "heads": 2},
            "questions": {"minimum_positives": 4},
            "pretrain": {"steps": 6, "ecgs_per_step": 4, "questions_per_ecg": 2},
            "train": {"workers": 1, "cpus_per_worker": 0.5, "log_every": 1},
            "evaluate": {"maximum_questions": 60},
        }
    )


def two_trials() -> SearchSpace:
    return parse_space(
        {
            "name": "two",
            "fixed": {"pretrain.strategy": "ipw"},
            "parameters": {
                "projector.name": {"choice": ["linear", "mlp"]},
                "pretrain.options.clip": {"loguniform": [2, 50]},
            },
            "trials": 2,
            "max_steps": RUNGS[-1],
            "concurrent": 1,
            "seed": 4,
            "scheduler": {"name": "asha", "grace_steps": RUNGS[0], "reduction": 2},
        }
    )


@pytest.mark.ray
@pytest.mark.slow
def test_two_trials_of_asha(generated_set: Path, tmp_path: Path) -> None:
    from truelead.data.ingest import ingest
    from truelead.data.sources import SOURCES
    from truelead.train import encoder_stage

    recipe, space = recipe_in(tmp_path, generated_set), two_trials()
    records = SOURCES["ptbxl"].load_records(generated_set, recipe.data)
    ingest(records, generated_set, recipe.output / "shards", recipe.data)
    encoder_stage.run(recipe)
    features = recipe.output / "features" / "features.npy"
    result = run_sweep(recipe, space)

    first, second = result.trials
    assert [report["steps"] for report in first.reports] == list(RUNGS), "nobody to fall behind"
    assert first.status == "finished"
    behind = second.reports[0]["balanced"] < first.reports[0]["balanced"]
    assert second.status == ("stopped early" if behind else "finished")
    for trial in result.trials:
        for report in trial.reports:
            assert 0 <= report["balanced"] <= 1
            folder = result.plan.model_folder(trial.trial, int(report["steps"]))
            assert (folder / "model.safetensors").is_file()
            assert not (folder / "checkpoints").exists()
        last = result.plan.model_folder(trial.trial, RUNGS[-1])
        assert (last / "model.safetensors").is_file() == (trial.status == "finished")
        assert (result.folder / trial.folder / "features").is_symlink()

    saved = json.loads((result.folder / "sweep.json").read_text())
    assert saved["best"] == result.best
    assert saved["split"] == "development"
    assert saved["steps_trained"] == sum(r["steps"] for t in result.trials for r in t.reports)
    best = load_recipe(result.folder / "best.yaml")
    assert best.projector.name == result.plan.values[result.best]["projector.name"]
    assert best.arm("best").pretrain.strategy == "ipw"
    assert (result.folder / "sweep.md").read_text().count("\n| ") == 4

    # Once more: the finished trainings and the shared features are found again.
    models = sorted(result.folder.rglob("model.safetensors"))
    times = [path.stat().st_mtime_ns for path in (features, *models)]
    again = run_sweep(recipe, space)
    assert [path.stat().st_mtime_ns for path in (features, *models)] == times
    scores = [[r["balanced"] for r in trial.reports] for trial in result.trials]
    assert [[r["balanced"] for r in trial.reports] for trial in again.trials] == scores


def test_the_winner_is_the_best_of_the_longest() -> None:
    def trial(number: int, *scores: float) -> TrialResult:
        reports = tuple({"steps": 10.0 * 2**k, "balanced": s} for k, s in enumerate(scores))
        return TrialResult(number, {}, "finished", reports, "")

    assert choose_best((trial(0, 0.9), trial(1, 0.6, 0.7), trial(2, 0.6, 0.8)), "balanced") == 2
    assert choose_best((trial(0, 0.6, 0.7), trial(1, 0.9, 0.7)), "balanced") == 0
    failed = TrialResult(0, {}, "failed", (), "", "loss not finite")
    assert choose_best((failed, trial(1, 0.5)), "balanced") == 1
    with pytest.raises(TrueLeadError, match="every trial failed: loss not finite"):
        choose_best((failed,), "balanced")


def test_the_best_recipe_is_the_runs_own_with_the_winners_values(tmp_path: Path) -> None:
    plan = make_plan(recipe_in(tmp_path, tmp_path), two_trials())
    recipe = best_recipe(plan, 1)
    parsed = parse_recipe(yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json"))))
    assert parsed == recipe
    assert recipe.output == tmp_path
    assert recipe.pretrain.steps == 6
    assert recipe.pretrain.options["clip"] == plan.values[1]["pretrain.options.clip"]


def test_an_error_from_another_process_is_one_line() -> None:
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("Traceback\n  a file\n") from TrueLeadError("a.b: expected c")
    assert one_line(caught.value) == "a.b: expected c"
    assert one_line(RuntimeError("Traceback\n  a file\nKeyError: 'x'\n")) == "KeyError: 'x'"
