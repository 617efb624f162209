"""The feature cache: written once, found again, and made anew when its inputs change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from truelead.config import DataConfig, EncoderConfig
from truelead.data.store import ShardStore
from truelead.errors import DataError
from truelead.model.encoder import build_encoder, load_encoder
from truelead.train.features import (
    FEATURES,
    IDS,
    MANIFEST,
    FeatureCache,
    cache_digest,
    damaged_file,
    ensure_features,
    write_cache,
)
from truelead.train.readers import SignalReader

IDS_OF_TEST = ["a", "b", "c", "d"]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    values = np.arange(4 * 3 * 2, dtype=np.float16).reshape(4, 3, 2)
    blocks = [(["c", "d"], values[2:]), (["b"], values[1:2]), (["a"], values[:1])]
    write_cache(tmp_path, IDS_OF_TEST, blocks, "digest")
    return tmp_path


def test_rows_follow_the_ids_in_any_block_order(cache: Path) -> None:
    features = FeatureCache(cache)
    assert len(features) == 4
    assert "a" in features
    assert features.digest == "digest"
    assert features[["d", "a"]][:, 0, 0].tolist() == [18.0, 0.0]


def test_an_ecg_without_features_is_named(cache: Path) -> None:
    with pytest.raises(DataError, match="no features of ECG 'z'"):
        FeatureCache(cache)[["a", "z"]]


def test_missing_blocks_leave_no_cache(tmp_path: Path) -> None:
    block = (["a"], np.zeros((1, 3, 2), dtype=np.float16))
    with pytest.raises(DataError, match="features of 4 ECGs, found 1"):
        write_cache(tmp_path, IDS_OF_TEST, [block], "digest")
    with pytest.raises(DataError, match="finished feature cache"):
        FeatureCache(tmp_path)


@pytest.mark.parametrize("name", [FEATURES, IDS, MANIFEST])
def test_an_unfinished_cache_is_refused(cache: Path, name: str) -> None:
    (cache / name).unlink()
    with pytest.raises(DataError, match="finished feature cache"):
        FeatureCache(cache)


def test_a_cache_that_disagrees_with_itself_is_refused(cache: Path) -> None:
    (cache / IDS).write_text(json.dumps(["a"]))
    with pytest.raises(DataError, match=r"float16 \[1, P, D\]"):
        FeatureCache(cache)


def test_pickled_features_are_refused(cache: Path) -> None:
    np.save(cache / FEATURES, np.array([{"any": "object"}] * 4), allow_pickle=True)
    with pytest.raises(DataError, match="finished feature cache"):
        FeatureCache(cache)


def test_digest_follows_weights_and_shards(tmp_path: Path) -> None:
    encoder = build_encoder(EncoderConfig(options={"width": 16}), samples=1000)
    encoder.save(tmp_path)
    first = cache_digest(tmp_path, "shards")
    assert first == cache_digest(tmp_path, "shards")
    assert first != cache_digest(tmp_path, "other shards")
    with torch.no_grad():
        next(encoder.parameters()).add_(1e-3)
    encoder.save(tmp_path)
    assert first != cache_digest(tmp_path, "shards")
    with pytest.raises(DataError, match="encoder folder"):
        cache_digest(tmp_path / "none", "shards")


@pytest.fixture
def inputs(ray_cluster: Any, generated_set: Path, tmp_path: Path) -> tuple[Path, Path, DataConfig]:
    """Folders of an encoder and of shards, and how the ECGs are stored."""
    from truelead.data.ingest import ingest
    from truelead.data.sources import SOURCES

    data = DataConfig(root=generated_set, limit=12, records_per_shard=8)
    records = SOURCES["ptbxl"].load_records(generated_set, data)
    ingest(records, generated_set, tmp_path / "shards", data, progress=False)
    build_encoder(EncoderConfig(options={"width": 16}), samples=1000).save(tmp_path / "encoder")
    return tmp_path / "encoder", tmp_path / "shards", data


@pytest.mark.ray
def test_a_cache_is_built_once_and_anew_for_other_content(
    inputs: tuple[Path, Path, DataConfig], tmp_path: Path, generated_set: Path
) -> None:
    from truelead.data.ingest import ingest
    from truelead.data.sources import SOURCES

    encoder_folder, shards, data = inputs
    folder = tmp_path / "features"

    def ensured(place: Path = shards) -> tuple[FeatureCache, int]:
        cache = ensure_features(encoder_folder, place, folder, data)
        return cache, (folder / FEATURES).stat().st_ino

    first, file = ensured()
    store = ShardStore(shards)
    names = store.ids()
    with torch.no_grad():
        encoder = load_encoder(encoder_folder)
        ecg_NLT = SignalReader(shards, store.digest, 100.0, 10.0)(names)
        expected = encoder(torch.from_numpy(ecg_NLT)).numpy()
    np.testing.assert_allclose(first[names], expected, rtol=2e-3, atol=2e-3)
    assert ensured()[1] == file

    with torch.no_grad():
        next(encoder.parameters()).mul_(1.5)
    encoder.save(encoder_folder)
    second, other_file = ensured()
    assert second.digest != first.digest
    assert other_file != file
    assert np.abs(second[names] - first[names]).max() > 0.01

    fewer = data.model_copy(update={"limit": 10})
    records = SOURCES["ptbxl"].load_records(generated_set, fewer)
    ingest(records, generated_set, tmp_path / "other", fewer, progress=False)
    third, _ = ensured(tmp_path / "other")
    assert third.digest != second.digest
    assert len(third) == 10


@pytest.mark.ray
def test_a_killed_build_and_damaged_files_are_made_anew(
    inputs: tuple[Path, Path, DataConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder_folder, shards, data = inputs
    folder = tmp_path / "features"

    def stopped(*_: object) -> Any:
        yield [ShardStore(shards).ids()[0]], np.zeros((1, 63, 64), dtype=np.float16)
        raise KeyboardInterrupt

    whole = ensure_features(encoder_folder, shards, folder, data)
    names = ShardStore(shards).ids()
    expected = whole[names].copy()
    (folder / MANIFEST).unlink()  # as the start of a build does
    with pytest.raises(KeyboardInterrupt):
        write_cache(folder, names, stopped(), whole.digest)
    with pytest.raises(DataError, match="finished feature cache"):
        FeatureCache(folder)
    assert np.array_equal(ensure_features(encoder_folder, shards, folder, data)[names], expected)
    assert sorted(path.name for path in folder.iterdir()) == sorted([FEATURES, IDS, MANIFEST])

    for name, damage in ((FEATURES, b"\x07"), (IDS, b"Z")):
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[:-9] + damage + raw[-8:])
        assert damaged_file(folder) == name
        found = ensure_features(encoder_folder, shards, folder, data)
        assert np.array_equal(found[names], expected)
        assert damaged_file(folder) is None
        assert f"{name} is damaged" in capsys.readouterr().err
