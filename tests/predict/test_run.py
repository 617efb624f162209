"""A prediction through Ray Data: killed in the middle, it goes on; nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.predict.conftest import QUESTIONS
from truelead import cli
from truelead.errors import ConfigError, DataError, ModelError, ResourceError
from truelead.model.answering import Answerer, Ask
from truelead.predict import stream
from truelead.predict.jobs import PartJob
from truelead.predict.listing import list_files
from truelead.predict.manifest import (
    MANIFEST_NAME,
    PLAN_NAME,
    claim,
    make_plan,
    read_prediction_manifest,
)
from truelead.predict.part_answering import AnsweringRules, PartAnswerer
from truelead.predict.part_file import PartEntry
from truelead.predict.part_reading import ReadingRules, read_row
from truelead.predict.run import PredictOptions, predict
from truelead.predict.stream import check_resources
from truelead.signal.formats.base import NOTHING_STATED
from truelead.signal.formats.reading import read_ecg

OPTIONS = PredictOptions(ecgs_per_part=1, batch_size=4, progress=False)

# The command as a user starts it, killed by SIGKILL when its driver has seen three parts.
KILLED = """
import os, signal, sys
from truelead.predict import run
seen = 0
def read_part(*given, original=run.read_part):
    global seen
    found = original(*given)
    seen += found is not None
    if seen == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
run.read_part = read_part
from truelead.cli import main
main()
"""


def without_ray(
    jobs: Sequence[PartJob], reading: ReadingRules, answering: AnsweringRules, **_: Any
) -> Iterator[PartEntry]:
    """The same tasks one after another in this process."""
    answerer = PartAnswerer(answering)
    for job in jobs:
        yield stream.entry_of(answerer(read_row({"job": job.model_dump_json()}, reading)))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The questions as a file."""
    path = tmp_path_factory.mktemp("asked") / "questions.jsonl"
    lines = [json.dumps(question.model_dump(mode="json")) for question in QUESTIONS]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_prediction_goes_on_to_the_same_content(
    ray_cluster: Any,
    calibrated_folder: Path,
    ecg_folder: Path,
    asked: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(stream, "written_parts", without_ray)
        whole = predict(calibrated_folder, [ecg_folder], QUESTIONS, tmp_path / "whole", OPTIONS)
    assert whole.parts_kept == 0

    output = tmp_path / "killed"
    command = ["predict", str(calibrated_folder), str(ecg_folder), "--questions", str(asked)]
    dials = ["--output", str(output), "--part-size", "1", "--batch-size", "4"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *command, *dials],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (output / MANIFEST_NAME).exists()
    parts = sorted(output.glob("predictions-*.parquet"))
    assert len(parts) >= 3
    # What a kill or a bad disk leaves: one part missing, one damaged, one half written.
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:-100])
    (output / f".{parts[0].name}.0123456789ab.part").write_bytes(b"half")
    kept = {path.name: path.stat().st_mtime_ns for path in parts[2:]}

    options = PredictOptions(ecgs_per_part=1, batch_size=4, progress=False, actors=2)
    resumed = predict(calibrated_folder, [ecg_folder], QUESTIONS, output, options)
    assert resumed.parts_kept == len(kept)
    assert {name: (output / name).stat().st_mtime_ns for name in kept} == kept
    assert not list(output.glob(".*"))
    assert resumed.manifest.digest == whole.manifest.digest
    assert resumed.manifest == read_prediction_manifest(output)
    for part in whole.manifest.parts:
        here, there = (pq.read_table(folder / part.name) for folder in (output, tmp_path / "whole"))
        assert here.equals(there)

    # Everybody is there once, in order, with the Answerer's own answers.
    rows = [
        row
        for part in resumed.manifest.parts
        for row in pq.read_table(output / part.name).to_pylist()
    ]
    files = [file for file in list_files([ecg_folder]).files if file.record_id != "1/e07.hea"]
    assert [(row["record_id"], row["question_name"]) for row in rows] == [
        (file.record_id, question.name) for file in files for question in QUESTIONS
    ]
    asks = [
        Ask((ecg,), one.text, one.options)
        for ecg in (read_ecg(file.path) for file in files)
        for one in QUESTIONS
    ]
    answers = Answerer.from_pretrained(calibrated_folder).answer(asks)
    for row, answer in zip(rows, answers, strict=True):
        assert row["answer"] == answer.text
        assert dict(row["option_probabilities"]) == pytest.approx(
            answer.option_probabilities, abs=1e-5
        )
    rejected = pq.read_table(output / "rejected.parquet").to_pylist()
    assert [(row["record_id"], row["reason"]) for row in rejected] == [("1/e07.hea", "truncated")]
    assert resumed.manifest.rejected_by_reason == {"truncated": 1}

    # A finished one is verified and left alone; the terminal names no ECG.
    monkeypatch.setattr(sys, "argv", ["truelead", *command, *dials])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert "answered 3 question(s) about 11 ECGs: 33 rows in 12 part(s)" in shown.out
    assert "kept 12 finished parts" in shown.out
    assert resumed.manifest.digest in shown.out
    assert "1 x truncated" in shown.out
    assert "e07" not in shown.out + shown.err + killed.stdout + killed.stderr
    assert read_prediction_manifest(output) == resumed.manifest


def plan_of(model: Path, ecgs: Path, questions: Any = QUESTIONS) -> Any:
    listing = list_files([ecgs])
    return make_plan(model, questions, listing, ecgs_per_part=4, format=None, stated=NOTHING_STATED)


def test_a_folder_holds_one_prediction(
    model_folder: Path, calibrated_folder: Path, ecg_folder: Path, tmp_path: Path
) -> None:
    plan = plan_of(model_folder, ecg_folder)
    output = tmp_path / "out"
    claim(output, plan, overwrite=False)
    claim(output, plan, overwrite=False)
    others = {
        "questions": plan_of(model_folder, ecg_folder, QUESTIONS[:1]),
        "listing_sha256": plan_of(model_folder, ecg_folder / "0"),
        "model_files": plan_of(calibrated_folder, ecg_folder),
    }
    for name, other in others.items():
        with pytest.raises(DataError, match=f"{name}: expected that of the prediction"):
            claim(output, other, overwrite=False)
    (output / "predictions-00000.parquet").write_bytes(b"earlier")
    (output / "notes.txt").write_text("mine")
    claim(output, others["questions"], overwrite=True)
    assert {path.name for path in output.iterdir()} == {"notes.txt", PLAN_NAME}
    (output / PLAN_NAME).unlink()
    (output / "predictions-00000.parquet").write_bytes(b"of whom?")
    with pytest.raises(DataError, match="beside predictions, found none"):
        claim(output, plan, overwrite=False)
    with pytest.raises(DataError, match="run the same truelead predict again"):
        read_prediction_manifest(output)


def test_what_cannot_be_asked_is_refused_before_ray(
    model_folder: Path, ecg_folder: Path, shard_folder: Path, tmp_path: Path
) -> None:
    def refused(
        kind: type[Exception], message: str, model: Path, source: Path, **dials: Any
    ) -> None:
        with pytest.raises(kind, match=message):
            predict(model, [source], QUESTIONS, tmp_path / "out", PredictOptions(**dials))
        assert not (tmp_path / "out").exists()

    refused(ModelError, "expected a model folder", tmp_path, ecg_folder)
    refused(ConfigError, "--split: expected one folder", model_folder, ecg_folder, splits=("test",))
    refused(ConfigError, "nothing stated of stored", model_folder, shard_folder, format="csv")
    refused(ConfigError, "--part-size: expected 1 to", model_folder, ecg_folder, ecgs_per_part=5000)


@pytest.mark.parametrize(
    ("nodes", "dials", "message"),
    [
        ([{"CPU": 4.0}], (4, 1, 0.0), "leave 0 of 4 CPUs to read ECGs"),
        ([{"CPU": 8.0}], (1, 1, 1.0), "8 CPUs and 0 GPUs"),
        ([{"CPU": 8.0, "GPU": 1.0}], (3, 1, 0.5), "8 CPUs and 1 GPUs"),
        ([{"CPU": 2.0}, {"CPU": 2.0}], (1, 3, 0.0), "expected room for 1 actor"),
        ([{"CPU": 8.0, "GPU": 1.0}], (2, 1, 0.5), None),
        ([{"CPU": 2.0}], (1, 1, 0.0), None),
        ([{"CPU": 2.0, "memory": 99.0}], (1, 1, 0.0), "found 0 MiB at most: lower --part-size"),
    ],
)
def test_what_the_cluster_cannot_hold_is_refused(
    nodes: list[dict[str, float]], dials: tuple[int, int, float], message: str | None
) -> None:
    actors, cpus, gpus = dials
    nodes = [{"memory": 2.0**30, **node} for node in nodes]
    given: dict[str, Any] = {"actors": actors, "cpus_per_actor": cpus, "gpus_per_actor": gpus}
    given["reading_bytes"] = 2**30
    if message is None:
        check_resources(nodes, **given)
        return
    with pytest.raises(ResourceError, match=message):
        check_resources(nodes, **given)


def test_the_help_teaches() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "truelead.cli", "predict", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout
    for word in ("--gpus-per-actor", "--limit", "rejected.parquet", "goes on", "clinical use"):
        assert word in shown
