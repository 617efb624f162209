"""Severity that a run must fit first: clusters of its frozen encoder's features.

Shape suffixes: N ECGs, P patches, D encoder width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truelead.config import Recipe
from truelead.data.store import ShardStore
from truelead.debias.severity import abnormal_count, severity_name, severity_provider
from truelead.debias.severity.embedding_clusters import (
    EmbeddingClusters,
    EmbeddingClusterSeverity,
    clusters_file,
    read_clusters,
    write_clusters,
)
from truelead.errors import ConfigError, DataError
from truelead.train.features import FeatureCache, cache_digest, ensure_features
from truelead.train.progress import say

_BLOCK = 1024


def ensure_severity(recipe: Recipe) -> None:
    """Fit the recipe's severity provider, unless it needs no fit or this run has fitted it.

    The clusters come from the run's own encoder as it was pre-trained, whatever a later stage
    makes of it: one run has one severity. They are fitted anew where the encoder or the shards
    have changed.

    Raises:
        ConfigError: no such provider, or fewer train ECGs than strata.
        DataError: there is no encoder, or there are no shards.
    """
    if severity_name(recipe.severity) != EmbeddingClusterSeverity.name:
        return
    strata = len(severity_provider(recipe.severity).strata)
    shards, encoder = recipe.output / "shards", recipe.output / "encoder"
    store = ShardStore(shards)
    path = clusters_file(recipe.output, strata)
    digest = cache_digest(encoder, store.digest)
    if _digest_in(path) == digest:
        return
    features = ensure_features(encoder, shards, recipe.output / "features", recipe.data)
    fit_clusters(path, store, features, strata, recipe.questions.seed)


def fit_clusters(
    path: Path, store: ShardStore, features: FeatureCache, strata: int, seed: int
) -> None:
    """Fit clusters on the train ECGs, give every ECG its stratum, and write both to `path`.

    Raises:
        ConfigError: fewer train ECGs than strata.
    """
    records = store.records
    embedding_ND = pooled(features, [record.record_id for record in records])
    train_N = np.array([record.split == "train" for record in records])
    if train_N.sum() < strata:
        raise ConfigError(
            f"severity: {EmbeddingClusterSeverity.name}: expected at least {strata} train ECGs, "
            f"found {int(train_N.sum())}"
        )
    abnormal_N = np.array([abnormal_count(record) for record in records])
    clusters = EmbeddingClusters.fit(embedding_ND[train_N], abnormal_N[train_N], strata, seed)
    stratum_N = clusters.assign(embedding_ND)
    ids = [record.record_id for record in records]
    write_clusters(path, clusters, ids, stratum_N, features.digest)
    counts = np.bincount(stratum_N[train_N], minlength=strata).tolist()
    shown = ", ".join(
        f"{count} ECGs with {mean:.1f} abnormal statements"
        for count, mean in zip(counts, clusters.abnormal_A.tolist(), strict=True)
    )
    say(f"severity: {strata} clusters of the train embeddings: {shown}")


def pooled(features: FeatureCache, record_ids: list[str]) -> NDArray[np.float32]:
    """embedding_ND: mean over the patches of each ECG's features, read a block at a time."""
    blocks = [
        features[record_ids[first : first + _BLOCK]].astype(np.float32).mean(axis=1)
        for first in range(0, len(record_ids), _BLOCK)
    ]
    return np.concatenate(blocks)


def _digest_in(path: Path) -> str | None:
    """The digest of the clusters in the file, None where there are none that can be read."""
    try:
        return read_clusters(path).digest
    except DataError:
        return None
