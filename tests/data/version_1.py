"""A frozen writer of shards as schema version 1 had them, to migrate from. Never change it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from truelead.types import Record

_TEXT = (
    "record_id",
    "patient_id",
    "source",
    "path",
    "report",
    "heart_axis",
    "baseline_drift",
    "static_noise",
    "burst_noise",
    "electrodes_problems",
    "extra_beats",
    "pacemaker",
    "split",
    "recorded_at",
    "infarction_stadium1",
    "infarction_stadium2",
)


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _labels(record: Record) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in _TEXT[:-2]}
    row["infarction_stadium1"], row["infarction_stadium2"] = record.infarction_stadium
    row["scp_codes"] = json.dumps(dict(record.scp_codes), ensure_ascii=False)
    return row | {"age": record.age, "sex": record.sex, "strat_fold": record.strat_fold}


def _schema(samples: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("position", pa.int64(), nullable=False),
            *(pa.field(name, pa.string(), nullable=False) for name in (*_TEXT, "scp_codes")),
            pa.field("age", pa.float64()),
            pa.field("sex", pa.int8()),
            pa.field("strat_fold", pa.int8(), nullable=False),
            pa.field("sampling_rate", pa.float64(), nullable=False),
            pa.field("source_sampling_rate", pa.float64(), nullable=False),
            pa.field("source_sha256", pa.string(), nullable=False),
            pa.field("signal", pa.binary(12 * samples * 2), nullable=False),
        ]
    )


def write_version_1(
    folder: Path,
    root: Path,
    records: list[Record],
    signals: dict[str, np.ndarray],
    rate: float,
    per_shard: int,
) -> None:
    """The folder that version 1 wrote of WFDB records, of which all could be read but "gone"."""
    folder.mkdir(parents=True)
    samples = next(iter(signals.values())).shape[1]
    rate = float(rate)
    form = {"sampling_rate": rate, "duration_seconds": samples / rate, "samples": samples}
    entries, jobs, rejected = [], [], []
    for split in ("train", "development", "valid", "test"):
        places = [i for i, record in enumerate(records) if record.split == split]
        for number, start in enumerate(range(0, len(places), per_shard)):
            chosen = places[start : start + per_shard]
            name = f"{split}-{number:05d}.parquet"
            tree = {
                "name": name,
                "split": split,
                "positions": chosen,
                "records": [_labels(records[i]) for i in chosen],
                **form,
            }
            jobs.append(_sha256({"schema_version": 1, "job": tree}))
            lost = [_rejected(i, records[i]) for i in chosen if records[i].record_id == "gone"]
            rejected += lost
            rows = [_row(i, records[i], root, signals, rate) for i in chosen]
            rows = [row for row in rows if row["record_id"] != "gone"]
            entries.append(_shard(folder / name, split, rows, samples, jobs[-1], lost))
    plan = {
        "schema_version": 1,
        **form,
        "records_per_shard": per_shard,
        "listed": len(records),
        "records_sha256": _sha256(jobs),
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    fields = {name: pa.string() for name in ("record_id", "path", "split", "reason", "message")}
    pq.write_table(
        pa.Table.from_pylist(rejected, schema=pa.schema({"position": pa.int64(), **fields})),
        folder / "rejected.parquet",
    )
    manifest = {
        "schema_version": 1,
        "digest": _sha256([entry["content_sha256"] for entry in entries]),
        "plan": plan,
        "accepted": sum(entry["rows"] for entry in entries),
        "rejected": len(rejected),
        "rejected_by_reason": {"missing-file": len(rejected)} if rejected else {},
        "splits": {},
        "shards": entries,
        "versions": {"truelead": "0.1.0"},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _rejected(position: int, record: Record) -> dict[str, Any]:
    return {
        "position": position,
        "record_id": record.record_id,
        "path": record.path,
        "split": record.split,
        "reason": "missing-file",
        "message": "records/none.hea: header: expected a readable file",
    }


def _row(
    position: int, record: Record, root: Path, signals: dict[str, np.ndarray], rate: float
) -> dict[str, Any]:
    row = {"position": position, **_labels(record)}
    if record.record_id == "gone":
        return row
    base = str(root / record.path)
    source = Path(f"{base}.hea").read_bytes() + Path(f"{base}.dat").read_bytes()
    signal = signals[record.record_id]
    stored = np.where(np.isnan(signal), -32768, np.rint(np.nan_to_num(signal) * 1000))
    return row | {
        "sampling_rate": rate,
        "source_sampling_rate": rate,
        "source_sha256": hashlib.sha256(source).hexdigest(),
        "signal": stored.astype("<i2").tobytes(),
    }


def _shard(
    path: Path, split: str, rows: list[Any], samples: int, job: str, lost: list[Any]
) -> dict[str, Any]:
    content = hashlib.sha256()
    for row in rows:
        labels = {name: value for name, value in row.items() if name != "signal"}
        content.update(json.dumps(labels, sort_keys=True, ensure_ascii=False).encode() + b"\n")
        content.update(row["signal"])
    receipt = json.dumps({"job": job, "content_sha256": content.hexdigest(), "rejected": lost})
    table = pa.Table.from_pylist(rows, schema=_schema(samples)).replace_schema_metadata(
        {
            "truelead.receipt": receipt,
            "truelead.receipt_sha256": hashlib.sha256(receipt.encode()).hexdigest(),
        }
    )
    pq.write_table(table, path, compression="lz4", use_dictionary=False, write_statistics=False)
    return {
        "name": path.name,
        "split": split,
        "rows": len(rows),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "content_sha256": content.hexdigest(),
        "rejected": lost,
    }
