"""Clusters are fitted on the train ECGs' features, once for an encoder and its shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelead.config import Recipe, parse_recipe
from truelead.data.store import ShardStore
from truelead.debias.severity.embedding_clusters import clusters_file, read_clusters
from truelead.errors import ConfigError
from truelead.train import severity_stage
from truelead.train.features import FeatureCache, write_cache
from truelead.types import Record

STRATA = 2


@dataclass
class Stored:
    """As much of a store as the stage reads."""

    records: list[Record]
    digest: str = "shards"


def make_records(count: int = 40) -> list[Record]:
    """Every second patient is ill; the last ten ECGs are not trained on."""
    return [
        Record(
            str(index),
            str(index),
            "hand",
            str(index),
            scp_codes={"IMI": 100.0, "LVH": 100.0} if index % 2 else {"NORM": 100.0},
            split="train" if index < count - 10 else "valid",
        )
        for index in range(count)
    ]


def make_features(folder: Path, records: list[Record], digest: str = "digest") -> FeatureCache:
    """Features [N, P=3, D=4] whose mean over the patches tells the ill from the well."""
    rng = np.random.default_rng(0)
    features_NPD = rng.normal(size=(len(records), 3, 4))
    features_NPD[1::2, :, 1:] += 10.0
    ids = [record.record_id for record in records]
    folder.mkdir(parents=True, exist_ok=True)
    write_cache(folder, ids, [(ids, features_NPD.astype(np.float16))], digest)
    return FeatureCache(folder)


def test_every_ecg_gets_a_stratum_from_the_train_ecgs_clusters(tmp_path: Path) -> None:
    records = make_records()
    features = make_features(tmp_path / "features", records)
    path = clusters_file(tmp_path, STRATA)
    severity_stage.fit_clusters(path, _store(records), features, STRATA, seed=0)
    found = read_clusters(path)
    assert found.stratum == {record.record_id: int(record.record_id) % 2 for record in records}
    assert found.clusters.abnormal_A.tolist() == [0.0, 2.0]
    assert found.digest == features.digest


def test_ecgs_held_out_do_not_move_the_clusters(tmp_path: Path) -> None:
    records = make_records()
    features = make_features(tmp_path / "features", records)
    centres = []
    for name, kept in (("all", records), ("train", records[:30])):
        path = clusters_file(tmp_path / name, STRATA)
        severity_stage.fit_clusters(path, _store(kept), features, STRATA, seed=0)
        centres.append(read_clusters(path).clusters.centre_AD)
    np.testing.assert_array_equal(*centres)


def test_too_few_train_ecgs_are_one_clear_line(tmp_path: Path) -> None:
    records = make_records(11)
    features = make_features(tmp_path / "features", records)
    with pytest.raises(ConfigError, match="expected at least 2 train ECGs, found 1"):
        severity_stage.fit_clusters(tmp_path / "c.json", _store(records), features, STRATA, 0)


def test_clusters_are_made_once_and_again_when_the_encoder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = make_records()
    digests = ["first"]
    fitted: list[str] = []

    def features_of(*_: Any) -> FeatureCache:
        fitted.append(digests[-1])
        return make_features(tmp_path / "features", records, digests[-1])

    monkeypatch.setattr(severity_stage, "ShardStore", lambda folder: Stored(records))
    monkeypatch.setattr(severity_stage, "cache_digest", lambda encoder, shards: digests[-1])
    monkeypatch.setattr(severity_stage, "ensure_features", features_of)
    recipe = _recipe(tmp_path, {"name": "embedding-clusters", "strata": STRATA})
    severity_stage.ensure_severity(recipe)
    severity_stage.ensure_severity(recipe)
    assert fitted == ["first"]
    digests.append("second")
    severity_stage.ensure_severity(recipe)
    assert fitted == ["first", "second"]
    assert read_clusters(clusters_file(tmp_path, STRATA)).digest == "second"


@pytest.mark.parametrize("severity", ["ptbxl", "random", {"name": "label-count", "strata": 4}])
def test_severities_of_labels_need_no_fit(tmp_path: Path, severity: Any) -> None:
    severity_stage.ensure_severity(_recipe(tmp_path, severity))
    assert list(tmp_path.iterdir()) == []


def _recipe(output: Path, severity: Any) -> Recipe:
    return parse_recipe({"name": "x", "output": str(output), "severity": severity})


def _store(records: list[Record]) -> ShardStore:
    stored: Any = Stored(records)
    return stored
