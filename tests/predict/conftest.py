"""A tiny saved model, also with a calibrated reliance, and ECGs in files and in shards."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from truelead.config import DataConfig, parse_recipe
from truelead.data.closing import build_manifest, write_tables
from truelead.data.manifest import Part, content_digest, write_manifest
from truelead.data.plan import make_plan
from truelead.data.shards import write_shard
from truelead.data.storage import open_folder
from truelead.model.build import build_model, save_model
from truelead.model.reference_ecgs import ReferenceEcgs, model_digest
from truelead.model.reliance_threshold import RelianceThreshold
from truelead.predict.questions import AskedQuestion
from truelead.signal.formats.reading import write_ecg
from truelead.types import Ecg, Record

QUESTIONS = (
    AskedQuestion(text="Is there any infarction?", options=("yes", "no"), name="infarction"),
    AskedQuestion(text="What is the rhythm?", name="rhythm"),
    AskedQuestion(text="Which is it?", options=("sinus rhythm", "flutter", "none"), name="which"),
)
WORDS = [word for one in QUESTIONS for word in (one.text, *one.options)]


def noise(seed: int, seconds: float = 10.0, rate: float = 100.0) -> Ecg:
    """An ECG of noise in whole microvolts."""
    rng = np.random.default_rng(seed)
    signal_LT = (rng.normal(0, 300, (12, round(seconds * rate))).round() / 1000).astype(np.float32)
    return Ecg(signal_LT, rate, record_id=f"e{seed}")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised model of the built-in kind."""
    recipe = parse_recipe(
        {
            "name": "tiny",
            "encoder": {"name": "resnet1d", "options": {"width": 8}},
            "projector": {"name": "mlp", "options": {"tokens": 4}},
            "language_model": {
                "hidden_size": 32,
                "layers": 2,
                "heads": 2,
                "vocabulary_size": 300,
            },
        }
    )
    model, processor = build_model(recipe, None, WORDS)
    return save_model(tmp_path_factory.mktemp("run") / "arm" / "finetune", model.eval(), processor)


@pytest.fixture(scope="session")
def calibrated_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with reference ECGs and a threshold for closed answers alone."""
    from truelead.model.answering import Answerer

    folder = tmp_path_factory.mktemp("calibrated") / "finetune"
    shutil.copytree(model_folder, folder)
    answerer = Answerer.from_pretrained(folder)
    ecgs = [noise(1000 + number) for number in range(3)]
    import torch

    ecg_NLT = torch.from_numpy(np.stack([answerer.processor.standardise(ecg) for ecg in ecgs]))
    with torch.inference_mode():
        features_NPD = answerer.model.encode(ecg_NLT).numpy().astype(np.float16)
    references = ReferenceEcgs(features_NPD, ("a", "b", "c"))
    references.save(folder)
    RelianceThreshold(
        closed=0.0,
        free=None,
        false_alarm_rate=0.05,
        answers=100,
        patients=50,
        model=model_digest(folder),
        references=references.digest,
    ).save(folder)
    return folder


@pytest.fixture(scope="session")
def ecg_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve ECGs in two formats and two folders, one short, one without V3, and one damaged."""
    folder = tmp_path_factory.mktemp("ecgs")
    for number in range(12):
        ecg = noise(number, seconds=4.0 if number == 5 else 10.0)
        if number == 6:
            ecg.signal_LT[8] = np.nan
        suffix = ".edf" if number in (3, 4) else ".hea"
        write_ecg(ecg, folder / f"{number % 2}" / f"e{number:02d}{suffix}")
    damaged = folder / "1" / "e07.dat"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    return folder


@pytest.fixture(scope="session")
def shard_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of 3, 3 and 1 train ECGs and of 2 test ECGs, as an ingest leaves them."""
    root, folder = tmp_path_factory.mktemp("records"), tmp_path_factory.mktemp("shards")
    records = []
    for number in range(9):
        write_ecg(noise(number), root / f"r{number}.hea")
        records.append(
            Record(
                record_id=f"r{number}",
                patient_id=f"p{number}",
                source="noise",
                path=f"r{number}",
                split="test" if number in (2, 5) else "train",
            )
        )
    data = DataConfig(sampling_rate=100, duration_seconds=10.0, records_per_shard=3)
    plan = make_plan(records, data)
    entries = tuple(write_shard(job, root, folder) for job in plan.jobs)
    part = Part(
        plan=plan.summary,
        digest=content_digest(plan.summary, entries),
        accepted=9,
        rejected=0,
        sources=("noise",),
        shards=entries,
    )
    target = open_folder(folder)
    write_manifest(target, build_manifest((part,), write_tables(target, (part,))))
    return folder
