"""A whole study on a small generated set: killed, started again, and nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from truelead import chain
from truelead.errors import ConfigError
from truelead.evaluate.console import read_report
from truelead.study import driver

RECIPE: dict[str, Any] = {
    "name": "small",
    "data": {"development_fraction": 0.0},
    "encoder": {"options": {"width": 16}},
    "encoder_training": {"epochs": 1, "batch_size": 16, "minimum_positives": 4},
    "language_model": {"hidden_size": 32, "layers": 1, "heads": 2},
    "questions": {"minimum_positives": 4},
    "pretrain": {"steps": 4, "ecgs_per_step": 4, "questions_per_ecg": 2},
    "finetune": {"steps": 3, "ecgs_per_step": 4, "questions_per_ecg": 2},
    "train": {"in_process": True, "cpus_per_worker": 0.5, "checkpoint_every": 2, "log_every": 1},
    "evaluate": {"bootstrap_samples": 100, "maximum_questions": 40},
}
STUDY: dict[str, Any] = {
    "name": "killed",
    "recipe": "recipe.yaml",
    "seeds": [0],
    "parallel": 2,
    "arms": [
        {"name": "erm"},
        # Of the same pre-training, which it copies.
        {"name": "tuned", "finetune": "inverse-bias"},
        # Its draw refuses the option: it fails before it trains.
        {"name": "broken", "pretrain": "do-question-balanced", "pretrain_options": {
            "maximum_repeats": "many"
        }},
    ],
}  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 480) -> None:
    deadline = time.monotonic() + seconds
    while not path.is_file():
        assert process.poll() is None, "the study ended before it was killed"
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.05)


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_study_goes_on_where_it_was(generated_set: Path, tmp_path: Path) -> None:
    recipe = {**RECIPE, "output": str(tmp_path / "run")}
    recipe["data"] = {**recipe["data"], "root": str(generated_set)}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    seed = tmp_path / "run/study/killed/as-the-recipe-says/seed-0"

    started = subprocess.Popen(
        [sys.executable, "-m", "truelead.cli", "study", str(study)],
        env=dict(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        pretrained = seed / "erm/pretrain/done.json"
        wait_for(pretrained, started)
        with pytest.raises(ConfigError, match="no other process at work on this study"):
            chain.study(study)
    finally:
        started.send_signal(signal.SIGKILL)
        started.wait()
    assert not (seed / "erm/run.json").exists(), "killed within the first run"
    once = {
        path: path.stat().st_mtime_ns
        for path in (pretrained, *(tmp_path / "run").glob("*/*.safetensors"))
    }
    assert len(once) == 2

    result = chain.study(study)
    assert {path: path.stat().st_mtime_ns for path in once} == once, "done twice"
    assert result.counts == {"finished": 2, "failed": 1, "left": 0}
    (table,) = result.tables
    rows = {row.arm: row for row in table.rows}
    assert "maximum_repeats: expected" in rows["broken"].reasons[0]
    assert (seed / "broken/failure.txt").is_file()
    assert rows["broken"].verdict == "left out: runs are missing"
    assert set(rows["tuned"].values) >= {"confounded", "balanced", "random ECG"}
    assert rows["tuned"].training_seconds
    for stage in ("pretrain", "finetune"):
        assert not (seed / "tuned" / stage / "checkpoints").exists()
    weights = [(seed / arm / "pretrain/model.safetensors").read_bytes() for arm in ("erm", "tuned")]
    assert weights[0] == weights[1], "one pre-training for both"
    examination = read_report(result.folder / table.report)["examination"]
    assert examination["arms"] == ["erm", "tuned"]
    assert json.loads((result.folder / "study.json").read_text())["counts"] == result.counts

    kept = [
        path
        for path in result.folder.rglob("*")
        if path.name in {"model.safetensors", "answers.json", "report.json", "run.json"}
        and "broken" not in path.parts
    ]
    assert len(kept) == 4 + 2 + 1 + 2
    times = [path.stat().st_mtime_ns for path in kept]
    again = chain.study(study)
    assert [path.stat().st_mtime_ns for path in kept] == times, "done twice"
    assert again.counts == result.counts
    assert again.tables == result.tables


def test_only_one_process_works_on_a_study(tmp_path: Path) -> None:
    with (
        driver.only_driver(tmp_path, "study"),
        pytest.raises(ConfigError, match="expected no other process"),
        driver.only_driver(tmp_path, "study"),
    ):
        pytest.fail("held twice")
    with driver.only_driver(tmp_path, "study"):
        pass
