"""Signals out of shards by row, a row group at a time, with bounded memory.

Shape suffixes: N ECGs, L leads (12), T samples.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from truelead.data.manifest import ShardEntry
from truelead.data.schema import stored_signals
from truelead.errors import DataError
from truelead.types import LEADS

OPEN_FILES = 32


class Place(NamedTuple):
    """Where a stored ECG lies: index of the shard in the manifest, row in the shard."""

    shard: int
    row: int


class _OpenShard(NamedTuple):
    file: pq.ParquetFile
    starts: NDArray[np.int64]  # first row of each row group


class RowGroupReader:
    """Reads stored signals; safe to share between threads.

    Args:
        folder, shards: of the manifest.
        samples: T, samples a lead.
        cache_bytes: bound on the row groups that `one` keeps.
    """

    def __init__(
        self, folder: Path, shards: Sequence[ShardEntry], samples: int, cache_bytes: int
    ) -> None:
        self._folder = folder
        self._shards = shards
        self._samples = samples
        self._cache_bytes = cache_bytes
        self._lock = threading.Lock()
        self._open: OrderedDict[int, _OpenShard] = OrderedDict()
        self._groups: OrderedDict[tuple[int, int], NDArray[np.int16]] = OrderedDict()
        self._cached_bytes = 0

    @property
    def cached_bytes(self) -> int:
        """Size of the row groups in memory."""
        return self._cached_bytes

    def one(self, place: Place) -> NDArray[np.int16]:
        """int16 (12, T) of one ECG; its row group stays in memory for a while."""
        with self._lock:
            shard = self._opened(place.shard)
            group = _group_of(shard, place.row)
            key = (place.shard, group)
            stored_NLT = self._groups.get(key)
            if stored_NLT is None:
                stored_NLT = self._read(place.shard, group)
                self._keep(key, stored_NLT)
            self._groups.move_to_end(key)
            return stored_NLT[place.row - int(shard.starts[group])]

    def many(self, places: Sequence[Place]) -> Iterator[tuple[list[int], NDArray[np.int16]]]:
        """For each row group needed: indices into `places`, and their int16 (n, 12, T)."""
        wanted: dict[int, list[int]] = defaultdict(list)
        for index, place in enumerate(places):
            wanted[place.shard].append(index)
        for shard_index, indices in sorted(wanted.items()):
            with self._lock:
                shard = self._opened(shard_index)
            by_group: dict[int, list[int]] = defaultdict(list)
            for index in indices:
                by_group[_group_of(shard, places[index].row)].append(index)
            for group, members in sorted(by_group.items()):
                with self._lock:
                    stored_NLT = self._read(shard_index, group)
                rows = np.array([places[i].row for i in members]) - shard.starts[group]
                whole = np.array_equal(rows, np.arange(len(stored_NLT)))
                yield members, stored_NLT if whole else stored_NLT[rows]

    def _opened(self, index: int) -> _OpenShard:
        if index not in self._open:
            entry = self._shards[index]
            with damage_named(self._folder / entry.name):
                file = pq.ParquetFile(self._folder / entry.name)
                metadata = file.metadata
                if metadata.num_rows != entry.rows:
                    raise pa.ArrowInvalid("not the manifest's number of rows")
            counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])[:-1].astype(np.int64)
            self._open[index] = _OpenShard(file, starts)
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)[1].file.close()
        self._open.move_to_end(index)
        return self._open[index]

    def _read(self, shard_index: int, group: int) -> NDArray[np.int16]:
        with damage_named(self._folder / self._shards[shard_index].name):
            table = self._opened(shard_index).file.read_row_group(group, columns=["signal"])
            stored_NLT = stored_signals(table["signal"])
            if stored_NLT.shape[1:] != (len(LEADS), self._samples):
                raise pa.ArrowInvalid("not the manifest's number of samples")
        return stored_NLT

    def _keep(self, key: tuple[int, int], stored_NLT: NDArray[np.int16]) -> None:
        self._groups[key] = stored_NLT
        self._cached_bytes += stored_NLT.nbytes
        while self._cached_bytes > self._cache_bytes and len(self._groups) > 1:
            self._cached_bytes -= self._groups.popitem(last=False)[1].nbytes


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turns what Arrow says about a damaged or missing file into a `DataError` that names it."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(
            f"{path}: expected a whole shard, found damage ({type(error).__name__}): "
            "resume the ingest"
        ) from error


def _group_of(shard: _OpenShard, row: int) -> int:
    return int(np.searchsorted(shard.starts, row, side="right")) - 1
