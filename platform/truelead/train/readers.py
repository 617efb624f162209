"""Read the arrays of named ECGs in any process of the cluster: a worker, or a task of Ray Data.

Shape suffixes: N ECGs, L leads (12), T samples, P patches, D encoder width.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from truelead.data.store import ShardStore
from truelead.errors import DataError
from truelead.train.features import FeatureCache


class Reader(Protocol):
    """Reads ECGs by record_id; small to send.

    Processes of Ray live longer than a stage: what they keep open is found by its digest too.
    """

    def __call__(self, record_ids: Sequence[str]) -> NDArray[Any]:
        """An array whose first axis follows `record_ids`."""


@dataclass(frozen=True)
class SignalReader:
    """Reads ecg_NLT from the shards: float32, standardised for the encoder.

    Attributes:
        folder: of the shards.
        digest: of the shards; a process that has earlier ones open opens them again.
        sampling_rate, seconds: what the encoder wants.
    """

    folder: Path
    digest: str
    sampling_rate: float
    seconds: float

    def __call__(self, record_ids: Sequence[str]) -> NDArray[np.float32]:
        # Imported here: tasks that read features need neither torch nor transformers.
        from truelead.model.feature_extraction import EcgFeatureExtractor

        store = _open_store(self.folder, self.digest)
        extractor = EcgFeatureExtractor(self.sampling_rate, self.seconds)
        return extractor.standardise_all(store.signals(record_ids), store.sampling_rate)


@dataclass(frozen=True)
class FeatureReader:
    """Reads features_NPD float16 from the cache of the frozen encoder.

    Attributes:
        folder: of the cache.
        digest: of the cache; a process that has an earlier one open opens it again.
    """

    folder: Path
    digest: str

    def __call__(self, record_ids: Sequence[str]) -> NDArray[np.float16]:
        return _open_features(self.folder, self.digest)[record_ids]


@functools.lru_cache(maxsize=2)
def _open_store(folder: Path, digest: str) -> ShardStore:
    store = ShardStore(folder)
    if store.digest != digest:
        raise DataError(f"{folder}: expected the shards {digest}, found {store.digest}")
    return store


@functools.lru_cache(maxsize=2)
def _open_features(folder: Path, digest: str) -> FeatureCache:
    cache = FeatureCache(folder)
    if cache.digest != digest:
        raise DataError(f"{folder}: expected the feature cache {digest}, found {cache.digest}")
    return cache
