"""Reads the stored ECGs: one by its id, or many at once.

Shape suffixes: N ECGs, L leads (12), T samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from truelead.data.durable import file_sha256
from truelead.data.manifest import Manifest, read_manifest
from truelead.data.row_groups import Place, RowGroupReader, damage_named
from truelead.data.schema import LABEL_FIELDS, decode_signals, row_record
from truelead.data.storage import local_path
from truelead.errors import DataError
from truelead.types import LEADS, Ecg, Record

CACHE_BYTES = 64 * 2**20
"""Row groups that random access keeps in memory."""


class ShardStore:
    """A folder of shards, opened for reading; travels between processes as its path.

    Args:
        folder: written by `truelead.data.ingest.ingest`.
        cache_bytes: bound on what `signal` keeps in memory.

    Raises:
        DataError: the manifest is missing, damaged or of another schema version; a shard is
            missing or has another size.
    """

    def __init__(self, folder: str | Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.folder = local_path(folder)
        self.manifest: Manifest = read_manifest(self.folder)
        for entry in self.manifest.shards:
            file = self.folder / entry.name
            found = f"{file.stat().st_size} bytes" if file.is_file() else "none"
            if found != f"{entry.bytes} bytes":
                raise DataError(
                    f"{file}: expected a shard of {entry.bytes} bytes, found {found}: "
                    "resume the ingest"
                )
        self._cache_bytes = cache_bytes
        self._reader = RowGroupReader(
            self.folder, self.manifest.shards, self.manifest.samples, cache_bytes
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (_reopen, (str(self.folder), self._cache_bytes))

    def __len__(self) -> int:
        return self.manifest.accepted

    def __contains__(self, record_id: object) -> bool:
        return record_id in self._by_id

    @property
    def digest(self) -> str:
        """SHA-256 of the content; see `Manifest`."""
        return self.manifest.digest

    @property
    def sampling_rate(self) -> float:
        """Samples a second (Hz)."""
        return self.manifest.sampling_rate

    @property
    def samples(self) -> int:
        """T: samples a lead."""
        return self.manifest.samples

    @cached_property
    def records(self) -> list[Record]:
        """The stored records in the order in which the set listed them."""
        return [record for record, _ in self._by_id.values()]

    def record(self, record_id: str) -> Record:
        """The record of this id.

        Raises:
            DataError: no such record is stored.
        """
        return self._found(record_id)[0]

    def ids(self, split: str | None = None) -> list[str]:
        """Ids of a split (None: of all) in the order of `records`."""
        return [r.record_id for r in self.records if split is None or r.split == split]

    def signal(self, record_id: str) -> Ecg:
        """One ECG; row groups just read stay in a bounded memory.

        Raises:
            DataError: no such record is stored; its shard is damaged.
        """
        record, place = self._found(record_id)
        return Ecg(
            decode_signals(self._reader.one(place)),
            self.sampling_rate,
            record_id=record.record_id,
            patient_id=record.patient_id,
        )

    def signals(self, record_ids: Sequence[str]) -> NDArray[np.float32]:
        """Many ECGs as float32 (N, 12, T) in mV, in the order asked for; NaN where missing.

        Reads each row group once, so ask for many at a time.

        Raises:
            DataError: a record is not stored; a shard is damaged.
        """
        places = [self._found(record_id)[1] for record_id in record_ids]
        signal_NLT = np.empty((len(places), len(LEADS), self.samples), dtype=np.float32)
        for indices, stored_NLT in self._reader.many(places):
            signal_NLT[indices] = decode_signals(stored_NLT)
        return signal_NLT

    def verify(self) -> None:
        """Compare every shard with the manifest's SHA-256.

        Raises:
            DataError: one is damaged.
        """
        for entry in self.manifest.shards:
            if file_sha256(self.folder / entry.name) != entry.sha256:
                raise DataError(
                    f"{self.folder / entry.name}: expected the manifest's sha256, found another: "
                    "resume the ingest"
                )

    @cached_property
    def _by_id(self) -> dict[str, tuple[Record, Place]]:
        names = ["position", *(field.name for field in LABEL_FIELDS)]
        found: list[tuple[int, Record, Place]] = []
        for shard, entry in enumerate(self.manifest.shards):
            path = self.folder / entry.name
            with damage_named(path):
                rows = pq.read_table(path, columns=names).to_pylist()
                if len(rows) != entry.rows:
                    raise pa.ArrowInvalid("not the manifest's number of rows")
                found += [
                    (values["position"], row_record(values), Place(shard, row))
                    for row, values in enumerate(rows)
                ]
        found.sort(key=lambda item: item[0])
        return {record.record_id: (record, place) for _, record, place in found}

    def _found(self, record_id: str) -> tuple[Record, Place]:
        try:
            return self._by_id[record_id]
        except KeyError:
            raise DataError(
                f"{self.folder}: expected a stored record, found no {record_id!r}"
            ) from None


def open_store(folder: str | Path) -> ShardStore:
    """The `ShardStore` of a folder.

    Raises:
        DataError: see `ShardStore`.
    """
    return ShardStore(folder)


def _reopen(folder: str, cache_bytes: int) -> ShardStore:
    return ShardStore(folder, cache_bytes=cache_bytes)
