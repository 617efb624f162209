"""Features of ECGs by their content: a second question about an ECG does not encode it again.

Shape suffixes: P patches, D encoder width, L leads (12), T samples.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from truelead.model.reference_ecgs import signal_digest
from truelead.types import Ecg

EcgKey = tuple[str, float]
"""SHA-256 of the millivolts, and the sampling rate in Hz."""


def ecg_key(ecg: Ecg) -> EcgKey:
    """What names an ECG by its content alone."""
    return signal_digest(ecg.signal_LT), float(ecg.sampling_rate)


class FeatureCache:
    """The features that were used last, within a bound of memory.

    Args:
        maximum_bytes: of all features together; 0 keeps none.

    Attributes:
        hits: how often an ECG was found. misses: how often it was not.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._bytes = 0
        self._features: OrderedDict[EcgKey, NDArray[np.float32]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._features)

    def get(self, key: EcgKey) -> NDArray[np.float32] | None:
        """features_PD of an ECG, None where they are not kept."""
        features_PD = self._features.get(key)
        if features_PD is None:
            self.misses += 1
            return None
        self.hits += 1
        self._features.move_to_end(key)
        return features_PD

    def put(self, key: EcgKey, features_PD: NDArray[np.float32]) -> None:
        """Keep the features; those that were not used for longest make room."""
        if features_PD.nbytes > self._maximum_bytes or key in self._features:
            return
        self._features[key] = features_PD
        self._bytes += features_PD.nbytes
        while self._bytes > self._maximum_bytes:
            _, dropped_PD = self._features.popitem(last=False)
            self._bytes -= dropped_PD.nbytes

    def clear(self) -> None:
        """Forget everything, counts too."""
        self._features.clear()
        self._bytes = self.hits = self.misses = 0
