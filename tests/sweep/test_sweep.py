"""Whole sweeps on a small generated set: real trainings, in trials of Ray Tune.

What is trained here is far too small to learn anything; what is tested is that every training is
counted, found again, and judged by the right questions.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweep.conftest import small_recipe
from truelead.config import Recipe, load_recipe, parse_recipe
from truelead.errors import ConfigError
from truelead.sweep.driver import make_plan, run_sweep
from truelead.sweep.journal import Journal
from truelead.sweep.mirror import Mirror
from truelead.sweep.results import best_recipe
from truelead.sweep.space import SearchSpace, parse_space, with_values
from truelead.sweep.stages import StagePool

RUNGS = (2, 4)
SPACE: dict[str, Any] = {
    "name": "two",
    "fixed": {"pretrain.strategy": "ipw"},
    "cost": "parameters",
    "parameters": {
        "projector.name": {"choice": ["linear", "mlp"]},
        "pretrain.options.clip": {"loguniform": [2, 50]},
    },
    "trials": 2,
    "max_steps": RUNGS[-1],
    "deterministic": True,
    "seed": 4,
    "scheduler": {"name": "asha", "grace_steps": RUNGS[0], "reduction": 2},
}


def space(**changes: Any) -> SearchSpace:
    return parse_space({**SPACE, **changes})


class Outside(HTMLParser):
    """Collects what a page would load from elsewhere, and counts its drawings."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.drawings = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.drawings += tag == "svg"
        assert tag not in ("script", "link", "img", "iframe")
        for name, value in attributes:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
                self.found.append(str(value))


@pytest.mark.ray
@pytest.mark.slow
def test_two_trials_of_asha_and_the_winner_judged(swept_run: Recipe) -> None:
    final = {"seeds": [1, 2], "baselines": {"plain": {"pretrain.strategy": "none"}}}
    result = run_sweep(swept_run, space(final=final))
    sure = [trial.reports[0]["balanced_probability"] for trial in result.trials]
    better = int(sure[1] > sure[0])
    statuses = {better: ("finished", list(RUNGS)), 1 - better: ("stopped early", [RUNGS[0]])}
    for number, trial in enumerate(result.trials):
        assert (trial.status, [report["steps"] for report in trial.reports]) == statuses[number]
    assert result.best == better
    for trial in result.trials:
        for report in trial.reports:
            assert 0 <= report["balanced_low"] <= report["balanced"] <= report["balanced_high"] <= 1
            assert abs(report["reliance"]) <= 1
            folder = result.folder / trial.folder / f"steps-{int(report['steps']):06d}"
            assert (folder / "model.safetensors").is_file(), "found by the trial's name"
            assert not (folder / "checkpoints").exists()
        assert "process" in (result.folder / trial.folder / "log.txt").read_text()

    saved = json.loads((result.folder / "sweep.json").read_text())
    assert (saved["best"], saved["split"]) == (result.best, "development")
    assert saved["steps_trained"] == sum(r["steps"] for t in result.trials for r in t.reports)
    best = load_recipe(result.folder / "best.yaml")
    assert best.projector.name == result.winner.values["projector.name"]
    assert best.arm("best").pretrain.strategy == "ipw"

    assert result.final is not None
    assert result.final.seeds == (1, 2)
    assert set(result.final.values) == {"winner", "plain"}
    assert set(result.final.curses["balanced"].seeds) == {1, 2}
    (sentence,) = saved["final"]["sentences"]
    assert re.search(r"(beats|does not beat|is worse than) plain on the balanced test", sentence)
    page = (result.folder / "sweep.html").read_text()
    assert sentence in page
    assert sentence in (result.folder / "sweep.md").read_text()
    outside = Outside()
    outside.feed(page)
    assert (outside.found, outside.drawings) == ([], 2)

    # Once more: nothing is trained, scored or judged again, and nothing is found to differ.
    models = sorted((swept_run.output / "sweep" / "stages").rglob("*.safetensors"))
    answers = result.folder / "final" / "report" / "report.json"
    times = [path.stat().st_mtime_ns for path in (*models, answers)]
    again = run_sweep(swept_run, space(final=final))
    assert [path.stat().st_mtime_ns for path in (*models, answers)] == times
    assert again.trials == result.trials
    assert (
        Journal(result.folder, key_in(result.folder)).of("test opened")[0]["trial"] == result.best
    )

    # Another winner of the same sweep does not get to see the test set.
    from truelead.sweep.final import judge_winner

    other = next(trial for trial in result.trials if trial.trial != result.best)
    journal = Journal(result.folder, key_in(result.folder))
    refused = judge_winner(again.plan, other, journal, 1)
    assert refused is not None
    assert not refused.values
    assert f"opened for trial {result.best}" in refused.reason


def key_in(folder: Path) -> str:
    return str(json.loads((folder / "journal.jsonl").read_text().splitlines()[0])["key"])


@pytest.mark.ray
@pytest.mark.slow
def test_tunings_share_a_pretraining_and_failures_are_told(swept_run: Recipe) -> None:
    tuned = space(
        name="tuned",
        stages=["pretrain", "finetune"],
        fixed={},
        parameters={
            "finetune.strategy": {"choice": ["none", "inverse-bias"]},
            "finetune.learning_rate": {"choice": [1.0e-3, 1.0e20]},
        },
        search={"name": "grid"},
        trials=4,
        scheduler={"name": "none"},
    )
    result = run_sweep(swept_run, tuned)
    tries = StagePool(swept_run).tries()
    folders = [(result.folder / t.folder / "steps-000004").resolve() for t in result.trials]
    starts = {(folder.parent / "pretrain").resolve() for folder in folders}
    assert len(starts) == 1, "one pre-training for all"
    (start,) = starts
    begun = [one for one in tries if one["stage_folder"] == start.parents[1].name]
    assert [one["event"] for one in begun] == ["begin", "end"]
    assert len(set(folders)) == 4
    # A rate that no model survives either ends in an error of ours, told once, or in a model that
    # is scored like any other; nothing is lost.
    for trial in result.trials:
        assert trial.status in ("finished", "failed")
        assert (trial.status == "failed") == bool(trial.error)
    assert result.trials[0].status == "finished"


@pytest.mark.ray
@pytest.mark.slow
def test_a_population_goes_on_from_its_best(swept_run: Recipe) -> None:
    result = run_sweep(
        swept_run,
        space(
            name="people",
            deterministic=False,
            trials=2,
            scheduler={
                "name": "pbt",
                "interval_steps": 2,
                "quantile": 0.5,
                "resample": 0.0,
                "mutate": ["pretrain.options.clip"],
            },
        ),
    )
    journal = Journal(result.folder, key_in(result.folder))
    assert [trial.status for trial in result.trials] == ["finished", "finished"]
    (worse,) = [n for n, log in journal.trials.items() if log.donors[4] != n]
    donor = journal.trials[worse].donors[4]
    assert donor == 1 - worse
    log, other = journal.trials[worse], journal.trials[donor]
    assert other.reports[2]["balanced"] >= log.reports[2]["balanced"]
    # It took over the other's projector with its weights, and moved the clip.
    assert log.changes[4]["projector.name"] == other.values["projector.name"]
    before = float(str(other.values["pretrain.options.clip"]))
    moved = [min(50.0, max(2.0, factor * before)) for factor in (0.8, 1.2)]
    found = float(str(log.changes[4]["pretrain.options.clip"]))
    assert any(found == pytest.approx(value) for value in moved)
    again = run_sweep(swept_run, result.plan.space)
    assert again.trials == result.trials


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_driver_and_a_killed_worker(swept_run: Recipe, tmp_path: Path) -> None:
    undisturbed = run_sweep(swept_run, space())
    # The same sweep elsewhere, so that it must train by itself.
    recipe = swept_run.model_copy(update={"output": tmp_path / "run"})
    for name in ("records", "shards", "encoder", "features"):
        shutil.copytree(swept_run.output / name, recipe.output / name)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE, sort_keys=False))
    folder, pool = recipe.output / "sweep" / "two", StagePool(recipe)
    driver = subprocess.Popen(
        [
            *(sys.executable, "-m", "truelead.cli", "tune", str(tmp_path / "space.yaml")),
            *("--recipe", str(tmp_path / "recipe.yaml")),
        ],
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: pool.folder.is_dir() and bool(pool.tries()), driver)
        os.kill(pool.tries()[0]["process"], signal.SIGKILL)  # the trial's own process
        wait_for(lambda: '"report"' in text_of(folder / "journal.jsonl"), driver)
        with pytest.raises(ConfigError, match="no other process at work on this sweep"):
            run_sweep(recipe, space())
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    done = {path: path.stat().st_mtime_ns for path in pool.folder.glob("*/model/*/done.json")}
    assert done
    result = run_sweep(recipe, space())
    assert {path: path.stat().st_mtime_ns for path in done} == done, "done twice"
    ends = [one["stage_folder"] for one in pool.tries() if one["event"] == "end"]
    assert len(ends) == len(set(ends)), "a training was finished twice"
    assert result.trials[0].failures, "the killed process is told"
    assert (result.best, result.winner.values) == (undisturbed.best, undisturbed.winner.values)
    for one, other in zip(result.trials, undisturbed.trials, strict=True):
        assert [r["balanced"] for r in one.reports] == [r["balanced"] for r in other.reports]
        assert one.status == other.status


def text_of(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def wait_for(condition: Any, process: subprocess.Popen[bytes], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the sweep ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_best_recipe_is_the_runs_own_with_the_winners_values(tmp_path: Path) -> None:
    plan = make_plan(small_recipe(tmp_path), space())
    values = {"projector.name": "linear", "pretrain.options.clip": 3.5}
    recipe = best_recipe(plan, values)
    parsed = parse_recipe(yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json"))))
    assert parsed == recipe
    assert recipe.output == tmp_path
    assert recipe.pretrain.steps == 6
    assert recipe.pretrain.options["clip"] == 3.5


def test_a_copy_at_a_url_brings_a_sweep_to_another_machine(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    stage = run / "sweep" / "stages" / "abc"
    files = {
        run / "encoder" / "encoder.json": "{}",
        stage / "model" / "pretrain" / "model.safetensors": "weights",
        run / "sweep" / "two" / "journal.jsonl": "line\n",
        run / "sweep" / "three" / "journal.jsonl": "of another sweep",
        stage / "model" / "pretrain" / "checkpoints" / "state": "large",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (stage / "shards").symlink_to("nowhere")
    url = f"file://{tmp_path / 'bucket'}"
    mirror = Mirror(url, run)
    assert mirror.push(run / "sweep" / "two") == 3
    (run / "sweep" / "two" / "journal.jsonl").write_text("line\nline\n")
    assert mirror.push(run / "sweep" / "two") == 2, "the weights lie there; what may grow is sent"
    assert Mirror(url, other).pull() == 3
    assert (other / "sweep" / "two" / "journal.jsonl").read_text() == "line\nline\n"
    assert (
        other / "sweep" / "stages" / "abc" / "model" / "pretrain" / "model.safetensors"
    ).is_file()
    assert Mirror(url, other).pull() == 0


def test_another_encoder_is_told_from_the_runs_own(tmp_path: Path) -> None:
    from truelead.sweep.checking import varies_encoder

    recipe = small_recipe(tmp_path)
    wider = with_values(recipe, {"encoder.options.width": 32})
    pool = StagePool(recipe)
    assert pool.has_own_encoder(recipe.model_copy(update={"seed": 9}))
    assert not pool.has_own_encoder(wider)
    assert varies_encoder(space(fixed={"encoder.options.width": 32}))
    assert not varies_encoder(space())
