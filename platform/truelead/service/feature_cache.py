"""What names an ECG by its content alone, and the caches of a replica that are keyed by it.

A second question about an ECG does not encode the ECG again, nor does the language model read its
tokens again.

Shape suffixes: P patches, D encoder width, L leads (12), T samples.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from truelead.model.prefix import ReadPrefix
from truelead.model.reference_ecgs import signal_digest
from truelead.service.byte_cache import ByteCache
from truelead.service.exchange import EcgKey
from truelead.types import Ecg

FeatureCache: TypeAlias = ByteCache[EcgKey, NDArray[np.float32]]
"""features_PD of ECGs."""

PrefixKey = tuple[EcgKey, ...]
"""The ECGs of a question, in its order."""

PrefixCache: TypeAlias = ByteCache[PrefixKey, ReadPrefix]
"""What reading the prefix of one or two ECGs left behind."""


def ecg_key(ecg: Ecg) -> EcgKey:
    """What names an ECG by its content alone."""
    return signal_digest(ecg.signal_LT), float(ecg.sampling_rate)
