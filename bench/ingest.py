"""The ingest beside a plain loop over wfdb.rdsamp that writes the same Parquet, on real records.

Both read the same files from the disk cache and write the same columns (labels, signal, SHA-256 of
the sources). The loop does nothing else; the ingest also verifies checksums, measures quality,
computes content digests, flushes its files to disk and writes the manifest. The start of Ray and of
its workers is left out: it takes seconds, once. What Ray Data needs to start an execution is not:
for its first second it runs one task only. Wall time is that of two workers against one loop; CPU
time is that of one process each, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import wfdb

from bench.ingest_sets import OBJECT_STORE_BYTES, WORKERS, listing, settings
from bench.reported import row
from truelead.config import DataConfig
from truelead.data.ingest import ingest
from truelead.data.plan import make_plan
from truelead.data.ray_session import ensure_ray
from truelead.data.schema import encode_signal, record_row, shard_schema
from truelead.data.shards import ROWS_PER_GROUP, ensure_shard
from truelead.types import Ecg, Record

COMMAND = "make bench SECTION=data"
RECORDS = {500: 12000, 100: 12000}
PEER_RECORDS = 400
ROUNDS = 3
GOAL = 5.0


def rows() -> list[dict[str, Any]]:
    """For each rate: times faster in wall time with two workers, and in CPU time."""
    ensure_ray(cpus=WORKERS, object_store_bytes=OBJECT_STORE_BYTES)
    return [one for rate in RECORDS for one in _rows(rate)]


def _rows(rate: int) -> list[dict[str, Any]]:
    data = settings(rate)
    with tempfile.TemporaryDirectory(prefix="truelead_bench_") as scratch:
        here = Path(scratch)
        records = listing(here / "set", data, RECORDS[rate])
        # The workers start and import here; nothing of it is measured.
        ingest(records[:256], here / "set", here / "warm", data, progress=False)
        ours, peers, ours_cpu, peers_cpu = [], [], [], []
        for number in range(ROUNDS):
            begun = time.perf_counter()
            ingest(records, here / "set", here / f"{number}", data, progress=False)
            ours.append(len(records) / (time.perf_counter() - begun))
            wall, cpu = _plain_loop(records[:PEER_RECORDS], here / "set", here, data)
            peers.append(PEER_RECORDS / wall)
            peers_cpu.append(PEER_RECORDS / cpu)
            ours_cpu.append(_one_process(records[:PEER_RECORDS], here, data, number))
    text = f"{rate} Hz, 10 s"
    return [
        _row(f"ingest of {len(records)} records, {text}, 2 workers, wall time", ours, peers, GOAL),
        _row(
            f"ingest of {PEER_RECORDS} records, {text}, one process, CPU time",
            ours_cpu,
            peers_cpu,
            None,
        ),
    ]


def _row(
    name: str, ours: Sequence[float], peers: Sequence[float], goal: float | None
) -> dict[str, Any]:
    ratios = np.divide(ours, peers)
    value = float(np.median(ratios))
    return row(
        f"{name}: {np.median(ours):.0f} records/s",
        value,
        "times the loop's speed",
        COMMAND,
        goal=goal,
        holds=None if goal is None else value >= goal,
        peer=f"loop over wfdb.rdsamp {wfdb.__version__}: {np.median(peers):.0f} records/s",
        interval=[float(ratios.min()), float(ratios.max())],
    )


def _one_process(records: list[Record], here: Path, data: DataConfig, number: int) -> float:
    """Records per CPU second of the tasks' own work, in this process."""
    folder = here / f"single-{number}"
    folder.mkdir()
    begun = time.thread_time()
    for job in make_plan(records, data).jobs:
        ensure_shard(job, here / "set", folder)
    return len(records) / (time.thread_time() - begun)


def _plain_loop(
    records: Sequence[Record], root: Path, here: Path, data: DataConfig
) -> tuple[float, float]:
    """Wall and CPU seconds of the loop."""
    samples = round(data.sampling_rate * data.duration_seconds)
    begun, begun_cpu = time.perf_counter(), time.thread_time()
    stored = []
    for position, record in enumerate(records):
        path = root / record.path
        signal, fields = wfdb.rdsamp(str(path))
        ecg = Ecg(np.ascontiguousarray(signal.T, dtype=np.float32), float(fields["fs"]))
        source = path.with_name(path.name + ".hea").read_bytes()
        source += path.with_name(path.name + ".dat").read_bytes()
        stored.append(
            {
                "position": position,
                **record_row(record),
                "sampling_rate": float(data.sampling_rate),
                "source_sampling_rate": float(fields["fs"]),
                "source_sha256": hashlib.sha256(source).hexdigest(),
                "format": "wfdb",
                "signal": encode_signal(ecg),
            }
        )
    pq.write_table(
        pa.Table.from_pylist(stored, schema=shard_schema(samples)),
        here / "loop.parquet",
        row_group_size=ROWS_PER_GROUP,
        compression="lz4",
        use_dictionary=False,
        write_statistics=False,
    )
    return time.perf_counter() - begun, time.thread_time() - begun_cpu


if __name__ == "__main__":
    for found in rows():
        print(found)
