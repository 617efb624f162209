"""What the service says of its model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from truelead.data.manifest import Manifest, Part, PlanSummary, content_digest, write_manifest
from truelead.data.schema import SCHEMA_VERSION
from truelead.errors import ModelError
from truelead.model.provenance import data_digest, model_name, weights_sha256
from truelead.service.batch_answering import BatchAnswerer


@pytest.fixture(scope="module")
def run(calibrated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a model and the manifest of its shards."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copytree(calibrated_folder, folder / "debiased" / "finetune")
    plan = PlanSummary(
        schema_version=SCHEMA_VERSION,
        sampling_rate=100,
        duration_seconds=10,
        samples=1000,
        records_per_shard=8,
        listed=0,
        records_sha256="",
    )
    digest = content_digest(plan, ())
    part = Part(plan=plan, digest=digest, accepted=0, rejected=0, sources=(), shards=())
    (folder / "shards").mkdir()
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        digest=digest,
        parts=(part,),
        accepted=0,
        rejected=0,
        rejected_by_reason={},
        splits={},
        versions={},
    )
    write_manifest(folder / "shards", manifest)
    return folder


def test_a_runs_model_names_the_data_it_learned_from(run: Path) -> None:
    folder = run / "debiased" / "finetune"
    found = BatchAnswerer(folder).description
    assert found.name == "debiased/finetune"
    assert found.data_digest is not None
    assert found.data_digest in (run / "shards" / "manifest.json").read_text()
    assert found.reliance_calibrated
    assert found.false_alarm_rate == 0.05
    assert found.created == int((folder / "model.safetensors").stat().st_mtime)


def test_a_folder_elsewhere_has_no_data_digest(run: Path, tmp_path: Path) -> None:
    assert data_digest(run / "debiased") is None
    assert data_digest(tmp_path / "arm" / "finetune") is None
    assert model_name(tmp_path / "mine") == "mine"
    damaged = tmp_path / "shards"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{")
    assert data_digest(tmp_path / "arm" / "finetune") is None


def test_only_the_models_own_weights_are_hashed(run: Path, tmp_path: Path) -> None:
    folder = run / "debiased" / "finetune"
    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare" / "reference_features.safetensors").unlink()
    assert weights_sha256(folder) == weights_sha256(tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"expected model\.safetensors"):
        weights_sha256(tmp_path / "bare")
