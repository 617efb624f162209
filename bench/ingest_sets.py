"""Listings of real PTB-XL records of any length: the records there are, again under other ids.

Each repetition lies in a folder of its own that links to the set, so that paths are distinct and no
record is copied. Run as a program it ingests such a listing: a process to watch or to kill.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from bench.real_ecgs import real_recipe
from truelead.config import DataConfig
from truelead.data.ingest import ingest
from truelead.data.ray_session import ensure_ray
from truelead.data.sources.ptbxl import load_records
from truelead.errors import DataError
from truelead.types import Record

WORKERS = 2
OBJECT_STORE_BYTES = 128 * 2**20


def settings(rate: int, records_per_shard: int = 256) -> DataConfig:
    """As PTB-XL is stored: the rate of its files, 10 s."""
    if rate not in (100, 500):
        raise DataError(f"rate: expected 100 or 500 Hz, found {rate}")
    return DataConfig.model_validate(
        {"sampling_rate": rate, "records_per_shard": records_per_shard}
    )


def listing(folder: Path, data: DataConfig, count: int) -> list[Record]:
    """`count` records below `folder`, which gets the links.

    Raises:
        DataError: there is no real set.
    """
    root = real_recipe().data.root
    if not isinstance(root, Path) or not root.is_dir():
        raise DataError("TRUELEAD_DATA: expected the folder with ptbxl/, found none")
    there = [r for r in load_records(root, data) if (root / f"{r.path}.hea").is_file()]
    records: list[Record] = []
    while len(records) < count:
        turn = len(records) // len(there)
        link = folder / f"{turn:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            os.symlink(root.resolve(), link)
        records += [
            replace(
                record,
                record_id=f"{turn}-{record.record_id}",
                patient_id=f"{turn}-{record.patient_id}",
                path=f"{link.name}/{record.path}",
            )
            for record in there[: count - len(records)]
        ]
    return records


def main() -> int:
    """FOLDER OUTPUT RATE COUNT RECORDS_PER_SHARD: ingest, then print the digest."""
    folder, output, rate, count, per_shard = sys.argv[1:]
    data = settings(int(rate), int(per_shard))
    records = listing(Path(folder), data, int(count))
    ensure_ray(cpus=WORKERS, object_store_bytes=OBJECT_STORE_BYTES)
    manifest = ingest(records, folder, output, data, progress=False)
    print(manifest.digest, manifest.accepted, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
