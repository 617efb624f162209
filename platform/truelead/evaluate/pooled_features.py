"""What a frozen encoder sees of stored ECGs, one vector an ECG, for the baselines that look.

Shape suffixes: N ECGs, L leads (12), T samples, F pooled features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from truelead.config import Recipe
from truelead.data.store import ShardStore
from truelead.evaluate.predictor import changed_ecgs
from truelead.model.encoder import Encoder, build_encoder, load_encoder, pooled
from truelead.model.feature_extraction import EcgFeatureExtractor

_LOT = 64


class PooledFeatures:
    """Mean and largest value of an encoder's features over the patches; kept once computed.

    Args:
        encoder: put in evaluation mode here.
        extractor: how the encoder wants its ECGs.
    """

    def __init__(self, store: ShardStore, encoder: Encoder, extractor: EcgFeatureExtractor) -> None:
        self._store = store
        self._encoder = encoder.eval()
        self._extractor = extractor
        self._known: dict[tuple[str, str], NDArray[np.float32]] = {}

    @torch.inference_mode()
    def __call__(self, record_ids: Sequence[str], change: str = "") -> NDArray[np.float32]:
        """features_NF of the ECGs after a change of `changes.CHANGES`."""
        new = [name for name in dict.fromkeys(record_ids) if (name, change) not in self._known]
        for start in range(0, len(new), _LOT):
            names = new[start : start + _LOT]
            ecg_NLT = np.stack(
                [
                    self._extractor.standardise(ecg)
                    for ecg in changed_ecgs(self._store, names, change)
                ]
            )
            rows_NF = pooled(self._encoder(torch.from_numpy(ecg_NLT))).float().numpy()
            self._known.update(
                ((name, change), row) for name, row in zip(names, rows_NF, strict=True)
            )
        return np.stack([self._known[name, change] for name in record_ids])


def trained_features(recipe: Recipe, store: ShardStore) -> PooledFeatures:
    """Of the run's pre-trained encoder.

    Raises:
        ModelError: there is none.
    """
    return PooledFeatures(store, load_encoder(recipe.output / "encoder"), _extractor(recipe))


def random_features(recipe: Recipe, store: ShardStore) -> PooledFeatures:
    """Of an encoder of the same make that was never trained, drawn from the recipe's seed."""
    extractor = _extractor(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        encoder = build_encoder(recipe.encoder, extractor.samples)
    return PooledFeatures(store, encoder, extractor)


def _extractor(recipe: Recipe) -> EcgFeatureExtractor:
    return EcgFeatureExtractor(
        sampling_rate=float(recipe.data.sampling_rate), seconds=recipe.data.duration_seconds
    )
