"""The feature cache: written once, found again, and made anew when its inputs change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from truelead.config import EncoderConfig
from truelead.errors import DataError
from truelead.model.encoder import build_encoder
from truelead.train.features import (
    FEATURES,
    IDS,
    MANIFEST,
    FeatureCache,
    cache_digest,
    write_cache,
)

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
