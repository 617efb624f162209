"""The cache of features keeps what was used last, within its bound, by content alone."""

from __future__ import annotations

import numpy as np

from truelead.service.feature_cache import FeatureCache, ecg_key
from truelead.types import Ecg


def features(value: float) -> np.ndarray:
    return np.full((4, 8), value, np.float32)  # 128 bytes


def test_the_least_recently_used_make_room() -> None:
    cache = FeatureCache(3 * 128)
    for number in range(3):
        cache.put((str(number), 100.0), features(number))
    assert cache.get(("0", 100.0)) is not None  # used again: no longer the oldest
    cache.put(("3", 100.0), features(3))
    assert len(cache) == 3
    assert cache.get(("1", 100.0)) is None
    for number in (0, 2, 3):
        found = cache.get((str(number), 100.0))
        assert found is not None
        assert found[0, 0] == number
    assert (cache.hits, cache.misses) == (4, 1)


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = FeatureCache(100)
    cache.put(("0", 100.0), features(0))
    assert len(cache) == 0
    assert cache.get(("0", 100.0)) is None


def test_clearing_forgets_bytes_too() -> None:
    cache = FeatureCache(128)
    for number in range(3):
        cache.put((str(number), 100.0), features(number))
        cache.clear()
    assert (len(cache), cache.hits, cache.misses) == (0, 0, 0)
    cache.put(("9", 100.0), features(9))
    assert len(cache) == 1


def test_an_ecg_is_named_by_samples_and_rate() -> None:
    rng = np.random.default_rng(0)
    signal_LT = rng.normal(size=(12, 1000)).astype(np.float32)
    same = Ecg(signal_LT.copy(), 100.0, record_id="other", patient_id="other")
    assert ecg_key(Ecg(signal_LT, 100.0)) == ecg_key(same)
    changed_LT = signal_LT.copy()
    changed_LT[3, 7] += 1e-6
    assert ecg_key(Ecg(changed_LT, 100.0)) != ecg_key(same)
    assert ecg_key(Ecg(signal_LT, 500.0)) != ecg_key(same)
