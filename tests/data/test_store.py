"""The store: random access equals bulk equals what was written; damage is named."""

from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.conftest import RATE, SAMPLES, HandMadeSet
from truelead.data.ingest import ingest
from truelead.data.schema import decode_signals, stored_signals
from truelead.data.store import ShardStore, open_store
from truelead.data.streaming import dataset
from truelead.errors import DataError

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def folder(
    hand_made: HandMadeSet, tmp_path_factory: pytest.TempPathFactory, ray_cluster: Any
) -> Path:
    """Ingested shards of 8; with them come row groups of 8."""
    output = tmp_path_factory.mktemp("store") / "shards"
    ingest(hand_made.records, hand_made.root, output, hand_made.data, progress=False)
    return output


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(folder, tmp_path / "shards"))


def test_records_as_listed(folder: Path, hand_made: HandMadeSet) -> None:
    store = open_store(folder)
    assert store.records == hand_made.records
    assert len(store) == len(hand_made.records)
    for split in ("train", "development", "valid", "test"):
        assert store.ids(split) == [r.record_id for r in hand_made.records if r.split == split]
    assert store.ids("nowhere") == []
    assert store.record("r0007") == hand_made.records[7]
    assert "r0007" in store
    assert "r9999" not in store
    assert (store.sampling_rate, store.samples) == (RATE, SAMPLES)
    assert store.digest == store.manifest.digest


def test_one_by_one_equals_bulk_equals_written(folder: Path, hand_made: HandMadeSet) -> None:
    store = ShardStore(folder)
    ids = [hand_made.records[i].record_id for i in np.random.default_rng(0).permutation(40)]
    ids += ids[:3]  # an ECG may be asked for twice
    bulk_NLT = store.signals(ids)
    assert bulk_NLT.shape == (43, 12, SAMPLES)
    assert bulk_NLT.dtype == np.float32
    for record_id, bulk_LT in zip(ids, bulk_NLT, strict=True):
        ecg = store.signal(record_id)
        assert (ecg.record_id, ecg.sampling_rate) == (record_id, RATE)
        assert ecg.patient_id == store.record(record_id).patient_id
        np.testing.assert_array_equal(ecg.signal_LT, bulk_LT)
        np.testing.assert_allclose(bulk_LT, hand_made.signals[record_id], atol=0.5e-3)
    assert store.signals([]).shape == (0, 12, SAMPLES)


def test_cache_is_bounded_and_changes_nothing(folder: Path, hand_made: HandMadeSet) -> None:
    group_bytes = 8 * 12 * SAMPLES * 2
    store = ShardStore(folder, cache_bytes=2 * group_bytes)
    for record in hand_made.records * 2:
        written = hand_made.signals[record.record_id]
        np.testing.assert_allclose(store.signal(record.record_id).signal_LT, written, atol=0.5e-3)
        assert 0 < store._reader.cached_bytes <= 2 * group_bytes


def test_returned_signals_are_the_callers_own(folder: Path) -> None:
    store = ShardStore(folder)
    first = store.signal("r0000").signal_LT
    kept = first.copy()
    first += 1
    np.testing.assert_array_equal(store.signal("r0000").signal_LT, kept)


def test_travels_as_its_path(folder: Path) -> None:
    store = ShardStore(folder)
    store.signals(store.ids())
    packed = pickle.dumps(store)
    assert len(packed) < 1000
    again = pickle.loads(packed)  # noqa: S301  what Ray does between processes
    np.testing.assert_array_equal(
        again.signals(store.ids("valid")), store.signals(store.ids("valid"))
    )


def test_threads_share_a_store(folder: Path, hand_made: HandMadeSet) -> None:
    store = ShardStore(folder, cache_bytes=1)
    ids = store.ids() * 3
    with ThreadPoolExecutor(4) as threads:
        ecgs = list(threads.map(store.signal, ids))
    for ecg in ecgs:
        np.testing.assert_allclose(ecg.signal_LT, hand_made.signals[ecg.record_id], atol=0.5e-3)


def test_unknown_record(folder: Path) -> None:
    store = ShardStore(folder)
    for call in (store.record, store.signal, lambda name: store.signals([name])):
        with pytest.raises(DataError, match="expected a stored record, found no 'nobody'"):
            call("nobody")


def test_missing_and_damaged_shards(copied: Path) -> None:
    with pytest.raises(DataError, match=r"manifest.json: expected this file, found none"):
        ShardStore(copied / "elsewhere")
    store = ShardStore(copied)
    store.verify()
    victim = copied / store.manifest.shards[0].name
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    damaged = ShardStore(copied)  # the size alone is right
    with pytest.raises(DataError, match=r"train-00000.parquet: expected the manifest's sha256"):
        damaged.verify()
    with pytest.raises(DataError, match=r"train-00000.parquet: expected a whole shard"):
        damaged.signal("r0000")
    victim.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"train-00000.parquet: expected a shard of \d+ bytes"):
        ShardStore(copied)
    victim.unlink()
    with pytest.raises(DataError, match=r"train-00000.parquet: .* found none: resume"):
        ShardStore(copied)


def ids_and_signals(rows: Any, **options: Any) -> tuple[list[str], np.ndarray]:
    ids: list[str] = []
    signals = []
    for batch in rows.iter_batches(batch_size=5, batch_format="pyarrow", **options):
        ids += batch["record_id"].to_pylist()
        signals.append(decode_signals(stored_signals(batch["signal"])))
    return ids, np.concatenate(signals)


def test_stream_is_the_split_in_order(folder: Path) -> None:
    store = ShardStore(folder)
    ids, signal_NLT = ids_and_signals(dataset(folder, "train"))
    assert ids == store.ids("train")
    np.testing.assert_array_equal(signal_NLT, store.signals(ids))


def test_stream_shuffles_shards_the_same_way_twice(folder: Path) -> None:
    first, again = (dataset(folder, "train", shuffle_seed=4) for _ in range(2))
    epochs = [ids_and_signals(first)[0] for _ in range(2)]
    assert ids_and_signals(again)[0] == epochs[0]
    assert epochs[0] != epochs[1]
    listed_ids = ShardStore(folder).ids("train")
    assert all(sorted(ids) == sorted(listed_ids) for ids in epochs)


def test_stream_columns(folder: Path) -> None:
    rows = dataset(folder, "valid", columns=("record_id", "scp_codes"))
    assert rows.schema().names == ["record_id", "scp_codes"]
    with pytest.raises(DataError, match=r"columns: expected some of position, .* found 'mood'"):
        dataset(folder, "valid", columns=("mood",))
    with pytest.raises(DataError, match=r"split: expected one of train \(21\), .* found 'dev'"):
        dataset(folder, "dev")
